"""The weekly job that removes old files: of table versions, runs and replaced models; without starting Java."""

import datetime as dt
from collections.abc import Iterable

import dagster as dg

from salesml_assets.automation.jobs import run_tags
from salesml_assets.config.settings import HISTORY_DAYS, Settings
from salesml_assets.forecasting.challenger import running_test
from salesml_assets.forecasting.retention import GROUPS, kept_bundles, removable
from salesml_assets.forecasting.versions import all_versions
from salesml_assets.lake import maintenance
from salesml_assets.lake.facts import last_write
from salesml_assets.names import CHALLENGER_FORECASTS, DRIFT_REPORT, FORECASTS, MODEL_SEARCH, SERVED_PREDICTIONS
from salesml_assets.resources.files import FileStore
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

    @dg.op(description="Removes files that no version of a table and no model that may serve needs any more.")
    def remove_old_files(context: dg.OpExecutionContext, tables: Lake, files: FileStore) -> None:
        removed = {}
        if tables.exists(SERVED_PREDICTIONS):
            oldest = dt.datetime.now(dt.UTC) - dt.timedelta(HISTORY_DAYS)
            maintenance.compact(tables.tables, SERVED_PREDICTIONS, "at", oldest)
        for name in filter(tables.exists, [*names, SERVED_PREDICTIONS, MODEL_SEARCH]):
            removed[name] = maintenance.remove_old_files(
                tables.tables, name, KEEP_DAYS.get(name, settings.lake.keep_days)
            )
            context.log.info(f"{name}: {removed[name]:,} files removed")
        folders = _remove_folders(tables, files, names, settings.lake.rollback_days)
        context.log.info(f"{len(folders):,} folders of runs and models removed: {', '.join(folders) or 'none'}")
        context.add_output_metadata(
            {"files removed": sum(removed.values()), "by table": removed, "folders removed": folders}
        )

    @dg.job(
        name=CLEAN_UP_JOB,
        description="Remove files of old versions of the tables, old reports and replaced models.",
        tags=run_tags(settings),
        executor_def=dg.in_process_executor,
    )
    def clean_up() -> None:
        remove_old_files()

    return clean_up


def _remove_folders(tables: Lake, files: FileStore, names: list[str], days: int) -> list[str]:
    """Removes reports, bundles and other files of runs that nothing needs; what was removed."""
    now, lake, store = dt.datetime.now(dt.UTC), tables.tables, files.files
    runs = {commit.run_id for name in names if lake.exists(name) if (commit := last_write(lake, name)).run_id}
    bundles = kept_bundles(all_versions(lake), now, days)
    if test := running_test(lake):
        bundles |= {challenger.folder for challenger in test.challengers}
    found = removable({group: store.folders(group) for group in GROUPS}, bundles, runs, now, days)
    for group, name in found:
        store.remove(group, name)
    return [f"{group}/{name}" for group, name in found]


def weekly_clean_up(settings: Settings) -> dg.ScheduleDefinition:
    """The weekly schedule of the job; running by default."""
    return dg.ScheduleDefinition(
        name="weekly_clean_up",
        job_name=CLEAN_UP_JOB,
        cron_schedule=CRON,
        execution_timezone=settings.automation.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes files of old versions of the tables, old reports and replaced models.",
    )
