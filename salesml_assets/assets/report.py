"""The report that people look at."""

from typing import TYPE_CHECKING

import dagster as dg

from salesml_assets.assets.evaluation import GROUP
from salesml_assets.checks import all_checks
from salesml_assets.config.settings import Settings
from salesml_assets.lake.facts import last_write
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    AB_TEST_REPORT,
    DRIFT_WEEK_TAG,
    EXPLANATIONS,
    FORECAST_ACCURACY,
    FORECASTS,
    HIERARCHY_FORECASTS,
    MODEL_COMPARISON,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    REPORT,
    REPORT_FILE,
    SALES_SERIES,
    STARTED_BY_TAG,
)
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake
from salesml_assets.runs.dagster_internals import AssetCheckExecutionRecordStatus
from salesml_assets.runs.usage import usage_of_run

if TYPE_CHECKING:
    import pandas as pd

SHOWN = (
    QUARANTINED_SALES, SALES_SERIES, MODEL_COMPARISON, PRODUCTION_MODEL, FORECASTS, FORECAST_ACCURACY, EXPLANATIONS,
)  # fmt: skip
MAX_EVALUATIONS = 20  # of each check, and versions of its table, that are read
EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def shown(settings: Settings) -> list[str]:
    """The assets whose results the report and the notebook show."""
    totals = [HIERARCHY_FORECASTS] if settings.has_totals else []
    return [*SHOWN, *totals, *([AB_TEST_REPORT] if settings.tests_challengers else [])]


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The report, by settings."""

    @dg.asset(
        name=REPORT,
        group_name=GROUP,
        kinds={"matplotlib", "html"},
        deps=shown(settings),
        description="One HTML file: which model serves and why, its errors, its forecasts, the quality of the data.",
    )
    def report(context: dg.AssetExecutionContext, tables: Lake, files: FileStore) -> dg.MaterializeResult:
        from salesml_assets.reporting.encode import figure_markdown
        from salesml_assets.reporting.figures import pictures
        from salesml_assets.reporting.html import render_report
        from salesml_assets.reporting.markdown import summary_markdown
        from salesml_assets.reporting.results import current_results

        lake = tables.tables
        checks = latest_checks(context.instance, lake, settings, context.run.run_id)
        data = current_results(lake, files, settings, checks, started_by(context.instance, lake))
        drawn = pictures(data)
        page = render_report(data, drawn)
        path = files.write(page, REPORT, context.run.run_id, REPORT_FILE)
        figures = {picture.title: figure_markdown(picture.figure, picture.alt) for picture in drawn.values()}
        used = usage_of_run()
        return dg.MaterializeResult(
            metadata={
                "report": dg.PathMetadataValue(path),
                "summary": dg.MarkdownMetadataValue(summary_markdown(data)),
                **{title: dg.MarkdownMetadataValue(figure) for title, figure in figures.items()},
                **({"peak memory bytes": used.peak_memory_bytes, "cpu seconds": used.cpu_seconds} if used else {}),
            }
        )

    return [report]


def started_by(instance: dg.DagsterInstance, lake: Lakehouse) -> str | None:
    """The drift that started the retrain of the present model, if one did; None for a model chosen by hand."""
    run_id = last_write(lake, PRODUCTION_MODEL).run_id
    run = instance.get_run_by_id(run_id) if run_id else None
    return run.tags.get(STARTED_BY_TAG) if run and DRIFT_WEEK_TAG in run.tags else None


def latest_checks(instance: dg.DagsterInstance, lake: Lakehouse, settings: Settings, run_id: str) -> "pd.DataFrame":
    """The latest result of every asset check on the tables of this lake: `check, passed, severity, detail`.

    Evaluations are Dagster's, of whatever lake its instance has served: those count that ran with a write of the
    table, or in this run. Checks that the run has still before it are shown as they ended last time.

    Args:
        instance: Dagster's instance.
        lake: The lake.
        settings: The settings.
        run_id: The present run.
    """
    import pandas as pd

    keys = sorted(key for checks in all_checks(settings) for key in checks.check_keys)
    runs = {key.asset_key.to_user_string(): {run_id} for key in keys}
    for asset, own in runs.items():
        if lake.exists(asset):
            own |= {commit.run_id for commit in lake.history(asset, MAX_EVALUATIONS) if commit.run_id}
    rows = []
    for key in keys:
        asset = key.asset_key.to_user_string()
        records = instance.event_log_storage.get_asset_check_execution_history(
            key, limit=MAX_EVALUATIONS, status=EVALUATED
        )
        own_records = (record for record in records if record.run_id in runs[asset] and record.event)
        event = next((record.event.dagster_event for record in own_records if record.event), None)
        if event is not None:
            evaluation = event.asset_check_evaluation_data
            rows.append(
                {
                    "check": f"{asset}: {key.name}",
                    "passed": evaluation.passed,
                    "severity": evaluation.severity.value,
                    "detail": evaluation.description or "",
                }
            )
    return pd.DataFrame(rows, columns=["check", "passed", "severity", "detail"])
