"""What came of the forecasts, and whether the world has moved since the model was trained."""

from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY, FORECASTS, PRODUCTION_MODEL
from salesml_assets.resources.lake import Lake, Table

GROUP = "monitoring"


def monitoring_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=FORECAST_ACCURACY,
        group_name=GROUP,
        kinds={"spark", "deltalake"},
        io_manager_key="lake",
        deps=[FORECASTS],
        description="Past forecasts joined with what came of them, by model version, week and distance.",
    )
    def forecast_accuracy(sales_series: Table, tables: Lake) -> Table:
        from salesml_assets.forecasting.realised import forecast_accuracy as accuracy_of
        from salesml_assets.forecasting.realised import past_forecasts

        past = past_forecasts(sales_series.sparkSession, tables.tables, sales_series, settings)
        return accuracy_of(past, sales_series, settings).toArrow()  # a row for each model, week and distance

    @dg.asset(
        name=DRIFT_REPORT,
        group_name=GROUP,
        kinds={"spark", "pandas", "scipy", "deltalake"},
        io_manager_key="lake",
        deps=[PRODUCTION_MODEL, FORECASTS],
        description="Tests of inputs, target, predictions, mix, series and errors against what the model learned from.",
    )
    def drift_report(
        context: dg.AssetExecutionContext, sales: Table, sales_series: Table, tables: Lake
    ) -> dg.Output[Table]:
        from pyspark.sql import functions as F

        from salesml_assets.drift.evaluate import evaluate, summaries
        from salesml_assets.drift.gather import drift_inputs
        from salesml_assets.drift.parameters import DriftParameters
        from salesml_assets.forecasting.production import latest_version
        from salesml_assets.forecasting.realised import past_forecasts

        newest = latest_version(tables.tables)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        (last,) = sales_series.agg(F.max("ds")).first()
        columns = ["unique_id", "origin", "ds", "y", "yhat"]
        predictions = past_forecasts(sales_series.sparkSession, tables.tables, sales_series, settings).select(*columns)
        if tables.exists(newest.algorithm):
            predictions = predictions.unionByName(tables.read(newest.algorithm).select(*columns))
        inputs = drift_inputs(sales, predictions, settings, last, newest.cutoff)
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
            "drifted": ", ".join(drifted) or "none",
            "summary": dg.MarkdownMetadataValue(lines),
        }
        stamped = table.assign(evaluated_at=settings.today, week=inputs.judged.date(), model_version=newest.version)
        return dg.Output(stamped, metadata=metadata)

    return [forecast_accuracy, drift_report]
