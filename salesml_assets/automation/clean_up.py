"""The weekly job that removes files of table versions older than `lake.keep_days`, without starting Java."""

from collections.abc import Iterable

import dagster as dg

from salesml_assets.automation.jobs import run_tags
from salesml_assets.config.settings import HISTORY_DAYS, Settings
from salesml_assets.lake import maintenance
from salesml_assets.names import CHALLENGER_FORECASTS, DRIFT_REPORT, FORECASTS
from salesml_assets.resources.lake import Lake

CLEAN_UP_JOB = "clean_up"
CRON = "0 3 * * 0"  # the day before the weekly retrain, by default
# Past forecasts are compared with actuals; past evaluations show when a drift began.
KEEP_DAYS = {FORECASTS: HISTORY_DAYS, CHALLENGER_FORECASTS: HISTORY_DAYS, DRIFT_REPORT: HISTORY_DAYS}


def clean_up_job(assets: Iterable[dg.AssetsDefinition], settings: Settings) -> dg.JobDefinition:
    """The job over the tables of all assets.

    Args:
        assets: The assets; those without a table are skipped.
        settings: The settings.
    """
    names = sorted("/".join(key.path) for each in assets for key in each.keys)

    @dg.op(description="Removes files that no version of a table needs any more.")
    def remove_old_files(context: dg.OpExecutionContext, tables: Lake) -> None:
        removed = {}
        for name in filter(tables.exists, names):
            removed[name] = maintenance.remove_old_files(
                tables.tables, name, KEEP_DAYS.get(name, settings.lake.keep_days)
            )
            context.log.info(f"{name}: {removed[name]:,} files removed")
        context.add_output_metadata({"files removed": sum(removed.values()), "by table": removed})

    @dg.job(
        name=CLEAN_UP_JOB,
        description="Remove files of old versions of the tables.",
        tags=run_tags(settings),
        executor_def=dg.in_process_executor,
    )
    def clean_up() -> None:
        remove_old_files()

    return clean_up


def weekly_clean_up(settings: Settings) -> dg.ScheduleDefinition:
    """The weekly schedule of the job; running by default."""
    return dg.ScheduleDefinition(
        name="weekly_clean_up",
        job_name=CLEAN_UP_JOB,
        cron_schedule=CRON,
        execution_timezone=settings.automation.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes files of old versions of the tables.",
    )
