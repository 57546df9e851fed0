"""Trials of a search in MLflow: once each, with what was tried and how it did."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from salesml_assets.config.settings import RegistrySettings
from salesml_assets.forecasting.search.study import COMPLETE, FAILED, PRUNED, Outcome, Trial
from salesml_assets.registry.connection import connected
from salesml_assets.registry.search_log import log_trials

RECIPE: dict[str, Any] = {"objective": "reg:tweedie", "max_depth": 4, "without": ""}
TRIALS = [
    Trial(0, COMPLETE, RECIPE, 1.0, 0.5, -0.02, [1.0, 1.0], 3.0),
    Trial(1, PRUNED, RECIPE, 1.2, 0.6, 0.1, [1.2], 1.0),
    Trial(2, FAILED, RECIPE, None, None, None, [], 0.1),
]


def test_each_trial_is_logged_once(registry: RegistrySettings) -> None:
    outcome = Outcome("study a", TRIALS, "done")
    assert log_trials(outcome, registry) is None
    more = replace(TRIALS[0], number=3, value=0.9, stages=[0.95, 0.9])
    assert log_trials(replace(outcome, trials=[*TRIALS, more]), registry) is None
    with connected(registry) as connection:
        runs = connection.client.search_runs([connection.experiment], "tags.`salesml.search` = 'study a'")
        by_number = {run.data.tags["salesml.trial"]: run for run in runs}
        assert sorted(by_number) == ["0", "1", "3"]
        assert len(runs) == 3
        last = by_number["3"]
        assert (last.data.metrics["search_value"], last.data.metrics["search_error"]) == (0.9, 0.5)
        assert (last.data.params["max_depth"], last.info.status) == ("4", "FINISHED")
        steps = connection.client.get_metric_history(last.info.run_id, "search_stage")
        assert [(step.step, step.value) for step in steps] == [(0, 0.95), (1, 0.9)]
        assert "search_value" not in by_number["1"].data.metrics


def test_a_registry_that_is_away_loses_no_search() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    problem = log_trials(Outcome("s", TRIALS), RegistrySettings(tracking_uri=address, timeout_seconds=1))
    assert problem is not None
    assert address in problem
