"""What was known at the end of each step, and the panel of rows to learn from."""

import functools
from typing import Any

import dagster as dg

from salesml_assets.assets.errors import input_errors_are_final
from salesml_assets.config.settings import Settings
from salesml_assets.names import FEATURES, POOLED_CALENDAR
from salesml_assets.resources.lake import Lake, Table

GROUP = "features"
KINDS = {"spark", "polars", "deltalake"}


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        group_name=GROUP,
        kinds=KINDS,
        io_manager_key="lake",
        description="One row per series and step: what was known at its end.",
    )
    def features(sales_series: Table) -> Table:
        from salesml_assets.forecasting.features import add_features, feature_spec
        from salesml_assets.forecasting.training.planned import covariates_of
        from salesml_assets.spark.partitions import map_series

        spec = feature_spec(settings, covariates_of(sales_series, settings), sales_series.columns)
        return map_series(sales_series, functools.partial(add_features, spec=spec), sales_series.count())

    @dg.asset(
        name=POOLED_CALENDAR,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[FEATURES],
        description="What series know from one another: effects of weekday, season, holidays and plans by group.",
    )
    def pooled_calendar(tables: Lake) -> dg.Output[Table]:
        from salesml_assets.forecasting.pool_table import pooled_calendar
        from salesml_assets.forecasting.pooled import summary

        rows = pooled_calendar(tables.tables, settings)
        return dg.Output(rows, metadata=summary(rows))

    @dg.asset(
        group_name=GROUP,
        kinds=KINDS,
        io_manager_key="lake",
        deps=[POOLED_CALENDAR],
        description="Rows of (series, origin, horizon): a sample to learn from, all rows of the backtest's origins, "
        "and the steps to forecast.",
    )
    def panel(context: dg.AssetExecutionContext, features: Table, tables: Lake) -> dg.Output[Table]:
        from salesml_assets.forecasting.training.panel import make_panel

        with input_errors_are_final():
            version = tables.version_in_run(POOLED_CALENDAR, context.run.run_id)
            rows, plan = make_panel(features, settings, tables.tables.read_polars(POOLED_CALENDAR, version=version))
        metadata: dict[str, Any] = {
            "origin of the forecasts": str(plan.last),
            "origins of the backtest": [str(fold.cutoff) for fold in plan.folds[1:]],
            "tuning origin": str(plan.folds[0].cutoff),
            "share of possible training rows": plan.share,
        }
        return dg.Output(rows, metadata=metadata)

    return [features, pooled_calendar, panel]
