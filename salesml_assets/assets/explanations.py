"""Why the forecasts are what they are."""

from typing import Any

import dagster as dg

from salesml_assets.assets.evaluation import GROUP, backtest_bundle
from salesml_assets.config.settings import Settings
from salesml_assets.names import EXPLANATIONS, FORECASTS, PANEL, PRODUCTION_MODEL
from salesml_assets.reporting.results import latest_comparison
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table


def explanation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The explanations, by settings."""
    algorithms = settings.training.algorithms

    @dg.asset(
        name=EXPLANATIONS,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[*algorithms, PANEL, PRODUCTION_MODEL, FORECASTS],
        description="What drives the forecasts: of every algorithm as a whole, and of chosen series day by day.",
    )
    def explanations(tables: Lake, files: FileStore) -> dg.Output[Table]:
        import polars as pl

        from salesml_assets.forecasting.explanations.columns import LOCAL, SURROGATE
        from salesml_assets.forecasting.explanations.gather import explanations as explain_all
        from salesml_assets.forecasting.model.bundle import BundleError
        from salesml_assets.forecasting.versions import latest_version, read_version
        from salesml_assets.reporting.explained import strongest_groups

        lake = tables.tables
        newest = latest_version(lake)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        try:
            production = read_version(files, newest)
            tested = {name: backtest_bundle(lake, files, name) for name in algorithms}
        except BundleError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        table = explain_all(lake, production, tested, latest_comparison(lake, files))
        local = table.filter(pl.col("kind") == LOCAL)
        fits = table.filter(pl.col("kind") == SURROGATE)["share"].drop_nulls()
        metadata: dict[str, Any] = {
            "model version": newest.version,
            "strongest groups": dg.MarkdownMetadataValue(strongest_groups(table)),
            "explained series": local["unique_id"].n_unique(),
            "explained forecasts": local.select("unique_id", "ds").n_unique(),
        }
        if fits.len():
            metadata["median fit of the local surrogates (R²)"] = float(fits.median())  # type: ignore[arg-type]
        return dg.Output(table, metadata=metadata)

    return [explanations]
