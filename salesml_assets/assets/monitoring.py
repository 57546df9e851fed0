"""Realised errors of past forecasts, and tests of drift since the model was trained."""

from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY, FORECASTS, PRODUCTION_MODEL, SALES, SALES_SERIES
from salesml_assets.resources.lake import Lake, Table

GROUP = "monitoring"


def monitoring_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=FORECAST_ACCURACY,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[SALES_SERIES, FORECASTS],
        description="Past forecasts joined with actuals: realised error by model version, week and distance.",
    )
    def forecast_accuracy(tables: Lake) -> Table:
        from salesml_assets.forecasting.realised import forecast_accuracy as accuracy_of
        from salesml_assets.forecasting.realised import past_forecasts

        return accuracy_of(past_forecasts(tables.tables, settings), settings).to_arrow()

    @dg.asset(
        name=DRIFT_REPORT,
        group_name=GROUP,
        kinds={"polars", "pandas", "scipy", "deltalake"},
        io_manager_key="lake",
        deps=[SALES, SALES_SERIES, PRODUCTION_MODEL, FORECASTS],
        description="Tests of inputs, target, predictions, mix, series and errors against what the model learned from.",
    )
    def drift_report(context: dg.AssetExecutionContext, tables: Lake) -> dg.Output[Table]:
        from salesml_assets.drift.evaluate import evaluate, summaries
        from salesml_assets.drift.gather import drift_inputs
        from salesml_assets.drift.parameters import DriftParameters
        from salesml_assets.forecasting.realised import past_predictions
        from salesml_assets.forecasting.versions import latest_version
        from salesml_assets.lake.aggregate import latest_day

        lake = tables.tables
        newest, last = latest_version(lake), latest_day(lake.batches(SALES_SERIES, ["ds"]), "ds")
        if newest is None or last is None:
            missing = PRODUCTION_MODEL if newest is None else SALES_SERIES
            raise dg.Failure(f"there is nothing to measure drift of yet: materialize {missing} first")
        predictions = past_predictions(lake, settings, newest.algorithm)
        inputs = drift_inputs(lake, predictions, settings, last, newest.cutoff)
        parameters = DriftParameters(
            alpha=settings.drift.alpha, window=settings.drift.window_weeks, baseline=settings.drift.baseline_weeks
        )
        table = evaluate(inputs, parameters)
        found = summaries(table)
        drifted = [kind.kind for kind in found if not kind.passed]
        context.log.info(f"{len(table)} tests, drift of: {', '.join(drifted) or 'nothing'}")
        lines = "\n".join(f"- {'✓' if kind.passed else '✗'} {kind.sentence}" for kind in found)
        metadata: dict[str, Any] = {
            "judged week": f"{inputs.judged:%Y-%m-%d}",
            "learned until the week": f"{inputs.trained_until:%Y-%m-%d}",
            "model version": newest.version,
            "tests": len(table),
            "tests that found drift": int(table["drifted"].sum()),
            "drifted": ", ".join(drifted) or "none",
            "summary": dg.MarkdownMetadataValue(lines),
        }
        stamped = table.assign(
            evaluated_at=settings.today,
            week=inputs.judged.date(),
            learned_until=inputs.trained_until.date(),
            model_version=newest.version,
        )
        return dg.Output(stamped, metadata=metadata)

    return [forecast_accuracy, drift_report]
