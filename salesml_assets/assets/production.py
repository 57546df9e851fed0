"""The production model and what it forecasts."""

from functools import partial
from typing import Any

import dagster as dg

from salesml_assets.assets.evaluation import latest_comparison
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.names import (
    FEATURES,
    FORECASTS,
    MODEL_COMPARISON,
    PANEL,
    PRODUCTION_MODEL,
    RAW_SALES,
    SALES,
    SALES_SERIES,
)
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training

GROUP = "production"
# The tables that a production model is made from.
INGREDIENTS = (RAW_SALES, SALES, SALES_SERIES, FEATURES, PANEL, MODEL_COMPARISON)


def production_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=PRODUCTION_MODEL,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, SALES_SERIES, MODEL_COMPARISON],
        description="The winning recipe refitted on all data, one row per version, with the evidence for it.",
    )
    def production_model(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.intervals import interval_table
        from salesml_assets.forecasting.model.bundle import write_bundle
        from salesml_assets.forecasting.production import (
            champion_predictions,
            make_bundle,
            with_version,
        )
        from salesml_assets.forecasting.training.backtest import refit
        from salesml_assets.forecasting.versions import latest_version

        comparison = latest_comparison(tables.tables, files)
        decision, recipe = comparison.decision, comparison.recipe
        panel, engines = training.panel(settings, context.run.run_id), training.engines(settings)
        fit, rows = refit(ALGORITHMS[recipe.algorithm], recipe.parameters, panel, panel.last, engines)
        newest = latest_version(tables.tables)
        version = newest.version + 1 if newest else 1
        own = decision.winner not in settings.training.algorithms
        backtest = (
            champion_predictions(recipe, panel, engines) if own else partial(tables.tables.batches, decision.winner)
        )
        bundle = make_bundle(
            fit.model,
            recipe,
            panel,
            tables.tables,
            cutoff=panel.last,
            rows=rows,
            version=version,
            intervals=interval_table(backtest),
            lake_versions={table: tables.version_in_run(table, context.run.run_id) for table in INGREDIENTS},
            decision=decision.model_dump(mode="json"),
        )
        # The run is part of the address, too: an interrupted run leaves its files without disturbing the next one.
        folder = (PRODUCTION_MODEL, f"{version}-{context.run.run_id}")
        write_bundle(bundle, lambda content, name: files.write(content, *folder, name))
        metadata: dict[str, Any] = {
            "algorithm": recipe.algorithm,
            "model version": version,
            "parameters": dg.JsonMetadataValue(recipe.parameters),
            "decision": decision.reason,
            "learned up to": str(panel.last),
            "training rows": rows,
            "bundle": dg.PathMetadataValue(files.path(*folder)),
            "importance": dg.JsonMetadataValue(fit.model.importance()),
        }
        if fit.difference is not None:
            metadata["largest difference from MLlib"] = fit.difference
        return dg.Output(with_version(tables.tables, bundle, files.path(*folder)), metadata=metadata)

    @dg.asset(
        name=FORECASTS,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, PRODUCTION_MODEL],
        description="Every series over the whole horizon, with 80 % and 95 % intervals.",
    )
    def forecasts(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.model.bundle import BundleError
        from salesml_assets.forecasting.model.predict import forecast
        from salesml_assets.forecasting.panel import FUTURE
        from salesml_assets.forecasting.versions import latest_version, read_version

        newest = latest_version(tables.tables)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        try:
            bundle = read_version(files, newest)
        except BundleError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        rows = training.apply(partial(forecast, bundle), FUTURE, settings, context.run.run_id)
        return dg.Output(rows, metadata={"model": newest.algorithm, "model version": newest.version})

    return [production_model, forecasts]
