"""The sensor that starts a retrain when a check of drift has failed: one drift, one retrain.

Time is counted in weeks of sales: an evaluation has the time of the week that it judged, a retrain that of the last day
that its model learned from. So nothing depends on when the daemon evaluated the sensor, and old sales can be replayed
faster than they came.
"""

from __future__ import annotations

import datetime as dt

import dagster as dg

from salesml_assets.automation.history import REMEMBERED, ReadReports, learned_days, new_reports, past_reports
from salesml_assets.automation.jobs import RETRAIN_JOB, partition_range_tags
from salesml_assets.config.settings import Settings
from salesml_assets.drift.retrain import Evaluation, Retrain, RetrainRules, should_retrain
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, DRIFT_TABLE_TAG, DRIFT_WEEK_TAG, STARTED_BY_TAG

INTERVAL_SECONDS = 60
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
    def drift_retrain(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        lake = Lakehouse(settings.lake.root, settings.s3)
        table = lake.identity(DRIFT_REPORT)
        if table is None:
            return dg.SkipReason("Drift has not been measured yet.")
        read = ReadReports.model_validate_json(context.cursor) if context.cursor else None
        if read is None or read.table != table:
            read = ReadReports(table=table)
        reports = new_reports(past_reports(lake, read.reports), rules.calm)
        newest = max(reports, key=lambda report: report.week, default=None)
        read.reports = dict(sorted(read.reports.items())[-REMEMBERED:])
        cursor = read.model_dump_json()
        if newest is None:
            return dg.SensorResult(skip_reason="There are no new weeks since the model was trained.", cursor=cursor)
        evaluations = [Evaluation(_midnight(report.week), bool(report.drifted)) for report in reports]
        retrains = past_retrains(context.instance, lake, table)
        decision = should_retrain(evaluations, retrains, _midnight(newest.week), rules)
        if not decision.start:
            return dg.SensorResult(skip_reason=f"No retrain: {decision.reason}.", cursor=cursor)
        kinds = ", ".join(newest.drifted)
        tags = {
            STARTED_BY_TAG: f"drift of {kinds} in the week from {newest.week}: {decision.reason}",
            DRIFT_WEEK_TAG: str(newest.week),
            DRIFT_TABLE_TAG: table,
        }
        # In another lake there may be a drift of the same week.
        request = dg.RunRequest(f"{decision.key}-{table[:8]}", tags=partition_range_tags(settings) | tags)
        return dg.SensorResult([request], cursor=cursor)

    return drift_retrain


def past_retrains(instance: dg.DagsterInstance, lake: Lakehouse, table: str) -> list[Retrain]:
    """The runs of the retrain job that made a model of the lake, that run or wait, and that its drift started.

    A retrain that failed and was not started by a drift does not count: it answered none.

    Args:
        instance: Dagster's instance.
        lake: The lake.
        table: The id of its table `drift_report`.
    """
    learned = learned_days(lake)
    retrains = []
    for run in instance.get_runs(dg.RunsFilter(job_name=RETRAIN_JOB), limit=REMEMBERED):
        if run.status not in ENDED:
            retrains.append(Retrain(started=dt.datetime.min))  # the rule asks only whether one runs
        elif run.status == dg.DagsterRunStatus.SUCCESS:
            if day := learned.get(run.run_id):
                retrains.append(Retrain(_midnight(day), _midnight(day), new_model=True))
        elif run.tags.get(DRIFT_TABLE_TAG) == table:
            week = _midnight(dt.date.fromisoformat(run.tags[DRIFT_WEEK_TAG]))
            retrains.append(Retrain(week, week, failed=True))
    return retrains


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time())
