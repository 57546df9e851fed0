"""The report that people look at."""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from salesml_assets.assets.evaluation import GROUP, latest_comparison
from salesml_assets.checks import all_checks
from salesml_assets.config.settings import Settings
from salesml_assets.names import (
    DRIFT_WEEK_TAG,
    FORECAST_ACCURACY,
    FORECASTS,
    PRODUCTION_MODEL,
    REPORT,
    REPORT_FILE,
    STARTED_BY_TAG,
)
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake
from salesml_assets.runs.dagster_internals import AssetCheckExecutionRecordStatus
from salesml_assets.runs.usage import usage_of_run

if TYPE_CHECKING:
    import pandas as pd

EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The report, by settings."""

    @dg.asset(
        name=REPORT,
        group_name=GROUP,
        kinds={"matplotlib", "html"},
        deps=["quarantined_sales", "sales_series", "model_comparison", PRODUCTION_MODEL, FORECASTS, FORECAST_ACCURACY],
        description="One HTML file: which model serves and why, its errors, its forecasts, the quality of the data.",
    )
    def report(context: dg.AssetExecutionContext, tables: Lake, files: FileStore) -> dg.MaterializeResult:
        from salesml_assets.forecasting.production import latest_version
        from salesml_assets.reporting.encode import figure_markdown
        from salesml_assets.reporting.figures import pictures
        from salesml_assets.reporting.gather import report_data
        from salesml_assets.reporting.html import render_report
        from salesml_assets.reporting.markdown import summary_markdown

        newest = latest_version(tables.tables)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        manifest = json.loads(files.read_text(PRODUCTION_MODEL, newest.folder, "manifest.json"))
        data = report_data(
            latest_comparison(tables.tables, files),
            tables.read,
            settings,
            version=newest.version,
            importance=_metadata_of(context.instance, PRODUCTION_MODEL, "importance", {}),
            left_out=_metadata_of(context.instance, "raw_sales", "rows left out by sales.filter", 0),
            checks=latest_checks(context.instance, settings),
            lake_versions=manifest["lake_versions"],
            started_by=_started_by(context.instance),
        )
        drawn = pictures(data)
        page = render_report(data, drawn)
        path = files.write(page, REPORT, context.run_id, REPORT_FILE)
        figures = {picture.title: figure_markdown(picture.figure, picture.alt) for picture in drawn.values()}
        used = usage_of_run()
        return dg.MaterializeResult(
            metadata={
                **({"peak memory bytes": used.peak_memory_bytes, "cpu seconds": used.cpu_seconds} if used else {}),
                "report": dg.PathMetadataValue(path),
                "summary": dg.MarkdownMetadataValue(summary_markdown(data)),
                **{title: dg.MarkdownMetadataValue(figure) for title, figure in figures.items()},
            }
        )

    return [report]


def _metadata_of(instance: dg.DagsterInstance, asset: str, name: str, default: Any) -> Any:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None or name not in event.asset_materialization.metadata:
        return default
    return event.asset_materialization.metadata[name].value


def _started_by(instance: dg.DagsterInstance) -> str | None:
    """The drift that started the retrain of the present model, if one did."""
    event = instance.get_latest_materialization_event(dg.AssetKey(PRODUCTION_MODEL))
    run = instance.get_run_by_id(event.run_id) if event else None
    return run.tags.get(STARTED_BY_TAG) if run and DRIFT_WEEK_TAG in run.tags else None


def latest_checks(instance: dg.DagsterInstance, settings: Settings) -> "pd.DataFrame":
    """The latest result of every asset check: `check, passed, severity, detail`.

    Checks that the run has still before it are shown as they ended last time.
    """
    import pandas as pd

    keys = sorted(key for checks in all_checks(settings) for key in checks.check_keys)
    rows = []
    for key in keys:
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=EVALUATED)
        event = records[0].event.dagster_event if records and records[0].event else None
        if event is not None:
            evaluation = event.asset_check_evaluation_data
            rows.append(
                {
                    "check": f"{key.asset_key.to_user_string()}: {key.name}",
                    "passed": evaluation.passed,
                    "severity": evaluation.severity.value,
                    "detail": evaluation.description or "",
                }
            )
    return pd.DataFrame(rows, columns=["check", "passed", "severity", "detail"])
