"""The sensor that starts a retrain when a check of drift has failed: one drift, one retrain.

Time is counted in weeks of sales: an evaluation stands at the week that it judged, a retrain at the last week that its
model learned from. So nothing depends on when the daemon looked, and old sales can be replayed faster than they came.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import dagster as dg

from salesml_assets.automation.history import Made, table_history
from salesml_assets.automation.jobs import RETRAIN_JOB, partition_range_tags
from salesml_assets.config.settings import Settings
from salesml_assets.drift.retrain import Evaluation, Retrain, RetrainRules, should_retrain
from salesml_assets.names import DRIFT_REPORT, DRIFT_WEEK_TAG, PRODUCTION_MODEL, STARTED_BY_TAG
from salesml_assets.resources.lake import TABLE_ID

INTERVAL_SECONDS = 60
REMEMBERED = 60  # evaluations and retrains that are looked at: more than a year of weeks
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def drift_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor; it runs from the start."""
    rules = RetrainRules(cool_down=dt.timedelta(weeks=settings.drift.cool_down_weeks), attempts=settings.drift.attempts)

    @dg.sensor(
        name="drift_retrain",
        job_name=RETRAIN_JOB,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a retrain when a check of drift has failed, once for each drift.",
    )
    def drift_retrain(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        reports = list(table_history(context.instance, DRIFT_REPORT, settings, REMEMBERED))
        if not reports:
            return dg.SkipReason("Drift has not been measured yet.")
        judged = {_week(made.metadata["judged week"]): made.metadata for made in reversed(reports) if _is_new(made)}
        if not judged:
            return dg.SkipReason("There are no new weeks since the model was trained.")
        evaluations = [Evaluation(week, metadata["drifted"] != "none") for week, metadata in judged.items()]
        retrains = past_retrains(
            context.instance, table_history(context.instance, PRODUCTION_MODEL, settings, REMEMBERED)
        )
        decision = should_retrain(evaluations, retrains, max(judged), rules)
        if not decision.start:
            return dg.SkipReason(f"No retrain: {decision.reason}.")
        newest = judged[max(judged)]
        tags = {
            STARTED_BY_TAG: f"drift of {newest['drifted']} in the week from {newest['judged week']}: {decision.reason}",
            DRIFT_WEEK_TAG: str(newest["judged week"]),
        }
        # In another lake there may be a drift of the same week.
        run_key = f"{decision.key}-{reports[0].metadata[TABLE_ID][:8]}"
        return dg.RunRequest(run_key=run_key, tags=partition_range_tags(settings) | tags)

    return drift_retrain


def _is_new(made: Made) -> bool:
    """Whether a report judges a week that the model has not learned from: only there can it have drifted since."""
    return _week(made.metadata["judged week"]) > _week(made.metadata["learned until the week"])


def past_retrains(instance: dg.DagsterInstance, models: Iterable[Made]) -> list[Retrain]:
    """The runs of the retrain job that made a model, run or wait, whatever started them, and those that drift started.

    A retrain that failed and was not started by a drift does not count: it answered none.

    Args:
        instance: Dagster's instance.
        models: What has become of the production model.
    """
    learned = {model.run: _week(model.metadata["learned up to"]) for model in models}
    retrains = []
    for run in instance.get_runs(dg.RunsFilter(job_name=RETRAIN_JOB), limit=REMEMBERED):
        if run.status not in ENDED:
            retrains.append(Retrain(started=dt.datetime.min))  # the rule asks only whether one runs
        elif run.status == dg.DagsterRunStatus.SUCCESS:
            if week := learned.get(run.run_id):
                retrains.append(Retrain(week, week, new_model=True))
        elif DRIFT_WEEK_TAG in run.tags:
            week = _week(run.tags[DRIFT_WEEK_TAG])
            retrains.append(Retrain(week, week, failed=True))
    return retrains


def _week(day: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time())
