"""The job over the whole graph, its schedule, and the job that loads months."""

from __future__ import annotations

import dagster as dg

from salesml_assets.assets.ingestion import monthly_partitions
from salesml_assets.automation.retries import RetryAfterErrors
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.names import LOAD_JOB, QUARANTINED_SALES, RAW_SALES, SALES, range_tags
from salesml_assets.runs.dagster_internals import is_valid_cron_string

RETRAIN_JOB = "retrain"
MAX_RUNTIME_TAG = "dagster/max_runtime"  # seconds after which Dagster's run monitoring terminates a run


def run_tags(settings: Settings) -> dict[str, str]:
    """Tags of every run."""
    return {MAX_RUNTIME_TAG: str(round(3600 * settings.automation.max_run_hours))}


def partition_range_tags(settings: Settings, since: str | None = None) -> dict[str, str]:
    """Run tags that load all months in one run, or those from `since` ('yyyy-MM') on; empty for full loads."""
    months = monthly_partitions(settings)
    if months is None:
        return {}
    keys = months.get_partition_keys()
    first = f"{since}-01" if since else keys[0]
    if first not in keys:
        raise ValueError(f"{since} is not a month from {keys[0][:7]} to {keys[-1][:7]}")
    return range_tags(first, keys[-1])


def retrain_job(settings: Settings) -> dg.UnresolvedAssetJobDefinition:
    """The job over all assets, from the source to the forecasts, in one process with one Spark session."""
    description = "Load, check, train, compare, promote and forecast."
    return _job(RETRAIN_JOB, dg.AssetSelection.all(), description, settings)


def load_job(settings: Settings) -> dg.UnresolvedAssetJobDefinition:
    """The job that loads some months: from the source to accepted and quarantined rows."""
    loaded = dg.AssetSelection.assets(RAW_SALES, SALES, QUARANTINED_SALES)
    return _job(LOAD_JOB, loaded, "Load and check months of the source.", settings)


def _job(
    name: str, selection: dg.AssetSelection, description: str, settings: Settings
) -> dg.UnresolvedAssetJobDefinition:
    automation = settings.automation
    return dg.define_asset_job(
        name,
        selection=selection,
        executor_def=dg.in_process_executor,
        op_retry_policy=RetryAfterErrors(max_retries=automation.retries, delay=60 * automation.retry_minutes),
        tags=run_tags(settings),
        description=description,
    )


def weekly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Runs the job by `automation.cron`; running by default, and a missed time is not caught up.

    Raises:
        ConfigurationError: `automation.cron` is not a valid cron expression.
    """
    if not is_valid_cron_string(settings.automation.cron):
        raise ConfigurationError(
            f"automation.cron: {settings.automation.cron!r} is not a valid cron expression, such as '0 6 * * 1'"
        )

    @dg.schedule(
        job_name=RETRAIN_JOB,
        cron_schedule=settings.automation.cron,
        execution_timezone=settings.automation.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        name="weekly_retrain",
        description="Loads every month of the source and retrains.",
    )
    def weekly_retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(tags=partition_range_tags(settings))

    return weekly_retrain
