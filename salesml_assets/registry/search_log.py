"""Trials of a model search as runs of MLflow."""

from __future__ import annotations

import time

from salesml_assets.config.settings import RegistrySettings
from salesml_assets.forecasting.search.study import COMPLETE, FAILED, Outcome
from salesml_assets.registry.connection import RegistryAwayError, connected

SEARCH_TAG, TRIAL_TAG, STATE_TAG = "salesml.search", "salesml.trial", "salesml.state"
MAX_RUNS = 1_000  # of one page of MLflow's search


def log_trials(outcome: Outcome, settings: RegistrySettings) -> str | None:
    """Logs the trials of a search that are not logged yet: parameters, the value of each stage, error and bias.

    Args:
        outcome: The search.
        settings: Where the registry is.

    Returns:
        Why that could not be done; None where it was. The next search makes up for it.
    """
    try:
        with connected(settings) as connection, connection.asking():
            from mlflow.entities import Metric, Param

            client = connection.client
            condition = f"tags.`{SEARCH_TAG}` = '{outcome.study}'"
            found = client.search_runs([connection.experiment], condition, max_results=MAX_RUNS)
            logged = {run.data.tags[TRIAL_TAG] for run in found if run.info.status == "FINISHED"}
            for trial in outcome.trials:
                if str(trial.number) in logged or trial.state == FAILED:
                    continue
                now = int(1000 * time.time())
                tags = {
                    SEARCH_TAG: outcome.study,
                    TRIAL_TAG: str(trial.number),
                    STATE_TAG: trial.state,
                    "mlflow.runName": f"search trial {trial.number}",
                }
                run = client.create_run(connection.experiment, start_time=now, tags=tags)
                metrics = [Metric("search_stage", value, now, step) for step, value in enumerate(trial.stages)]
                if trial.state == COMPLETE and trial.value is not None:
                    metrics.append(Metric("search_value", trial.value, now, 0))
                for name, value in (("search_error", trial.error), ("search_bias", trial.bias)):
                    if value is not None:
                        metrics.append(Metric(name, value, now, 0))
                parameters = [Param(name, str(value)) for name, value in trial.recipe.items()]
                client.log_batch(run.info.run_id, metrics=metrics, params=parameters)
                client.set_terminated(run.info.run_id)
    except RegistryAwayError as error:
        return str(error)
    return None
