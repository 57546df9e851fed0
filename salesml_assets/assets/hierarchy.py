"""Forecasts of totals: by category, by store, overall."""

import itertools

import dagster as dg

from salesml_assets.assets.production import GROUP
from salesml_assets.config.settings import Settings
from salesml_assets.lake.parquet import frames_as_batches
from salesml_assets.names import FORECASTS, HIERARCHY_FORECASTS, PANEL, PRODUCTION_MODEL, SALES_SERIES
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training


def hierarchy_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The totals, by settings; none where no level is wanted."""
    if not settings.has_totals:
        return []

    @dg.asset(
        name=HIERARCHY_FORECASTS,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[*settings.training.algorithms, PANEL, SALES_SERIES, PRODUCTION_MODEL, FORECASTS],
        description="Forecasts of totals by category, store and overall, with intervals of their own.",
    )
    def hierarchy_forecasts(context: dg.AssetExecutionContext, tables: Lake, training: Training) -> dg.Output[Table]:
        from functools import partial

        import pyarrow.compute as pc

        from salesml_assets.forecasting.batches import Batches
        from salesml_assets.forecasting.hierarchy import backtest_of, forecast_totals, read_hierarchy, series_rows
        from salesml_assets.forecasting.panel import FUTURE
        from salesml_assets.forecasting.production import champion_predictions
        from salesml_assets.forecasting.reconciliation import reconciliation_of_forecasts
        from salesml_assets.forecasting.versions import latest_version

        lake = tables.tables
        newest, found = latest_version(lake), read_hierarchy(lake, settings)
        if newest is None or found is None:
            missing = PRODUCTION_MODEL if newest is None else SALES_SERIES
            raise dg.Failure(f"there is nothing to add up yet: materialize {missing} first")
        hierarchy, past = found
        predictions: Batches
        if lake.exists(newest.algorithm):
            predictions = partial(lake.batches, newest.algorithm, version=lake.version(newest.algorithm))
        else:
            context.log.info(f"{newest.algorithm} is not among the algorithms: its backtest is computed")
            panel = training.panel(settings, context.run.run_id)
            predictions = champion_predictions(newest.recipe, panel, training.engines(settings))
        published: Batches = partial(
            lake.batches, FORECASTS, version=tables.version_in_run(FORECASTS, context.run.run_id)
        )
        is_reconciled = settings.forecast.hierarchy.reconciliation == "mint"
        if is_reconciled:
            to_forecast: Batches = partial(
                lake.batches,
                PANEL,
                filters=pc.field("kind") == FUTURE,
                version=tables.version_in_run(PANEL, context.run.run_id),
            )
            moved = reconciliation_of_forecasts(hierarchy, predictions, published, past, settings, to_forecast)
            predictions, published = moved.backtest(predictions), moved.published(published)
        errors = backtest_of(hierarchy, predictions, past)
        totals = forecast_totals(hierarchy, published, errors, past, settings.forecast.non_negative)
        series = series_rows(hierarchy, published) if is_reconciled else ()
        rows = frames_as_batches(itertools.chain([totals], series))
        counts = hierarchy.nodes.group_by("level", maintain_order=True).len().rows()
        return dg.Output(rows, metadata={"model version": newest.version, **{f"totals: {k}": n for k, n in counts}})

    return [hierarchy_forecasts]
