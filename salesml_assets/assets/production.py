"""The production model and what it forecasts."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.names import (
    FEATURES,
    FORECASTS,
    MODEL_COMPARISON,
    PANEL,
    POOLED_CALENDAR,
    PRODUCTION_MODEL,
    RAW_SALES,
    SALES,
    SALES_SERIES,
    SPARK_MODEL_FOLDER,
)
from salesml_assets.reporting.results import latest_comparison
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.forecasting.recipe import Recipe
    from salesml_assets.forecasting.versions import Version

GROUP = "production"
# The tables that a production model is made from.
INGREDIENTS = (RAW_SALES, SALES, SALES_SERIES, FEATURES, POOLED_CALENDAR, PANEL, MODEL_COMPARISON)


def production_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=PRODUCTION_MODEL,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, MODEL_COMPARISON],
        description="The winning recipe refitted on all data, one row per version, with the evidence for it.",
    )
    def production_model(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.production import with_version
        from salesml_assets.forecasting.versions import latest_version

        comparison = latest_comparison(tables.tables, files)
        newest = latest_version(tables.tables)
        version = newest.version + 1 if newest else 1
        note = unreadable_note(files, newest, version)
        # The run is part of the address, too: an interrupted run leaves its files without disturbing the next one.
        folder = f"{version}-{context.run.run_id}"
        in_lake = comparison.decision.winner in settings.training.algorithms
        trained = train(
            context,
            tables,
            training,
            files,
            settings,
            recipe=comparison.recipe,
            backtest=comparison.decision.winner if in_lake else None,
            version=version,
            folder=folder,
            decision=comparison.decision.model_dump(mode="json"),
        )
        metadata = {**trained.metadata, "model version": version, "decision": comparison.decision.reason}
        if note:
            context.log.warning(note)
            metadata["note"] = note
        return dg.Output(with_version(tables.tables, trained.bundle, trained.path), metadata=metadata)

    @dg.asset(
        name=FORECASTS,
        group_name=GROUP,
        kinds={"polars", "deltalake"},
        io_manager_key="lake",
        deps=[PANEL, PRODUCTION_MODEL],
        description="Every series over the whole horizon, with 80 % and 95 % intervals and, by costs, what to order.",
    )
    def forecasts(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.versions import latest_version

        newest = latest_version(tables.tables)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        rows = forecast_by(newest, training, files, settings, context.run.run_id)
        return dg.Output(rows, metadata={"model": newest.algorithm, "model version": newest.version})

    return [production_model, forecasts]


def forecast_by(version: "Version", training: Training, files: FileStore, settings: Settings, run_id: str) -> Any:
    """What the lake's IO manager writes of the forecasts by a version.

    Args:
        version: A production model, or a challenger.
        training: The panel.
        files: The files of the lake.
        settings: The settings.
        run_id: The run that reads.

    Raises:
        Failure: The version cannot be read.
    """
    from salesml_assets.forecasting.model.bundle import BundleError
    from salesml_assets.forecasting.model.predict import forecast
    from salesml_assets.forecasting.panel import FUTURE
    from salesml_assets.forecasting.versions import read_version

    try:
        bundle = read_version(files, version)
    except BundleError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    made = partial(forecast, bundle, service_level=settings.orders.service_level)
    return training.apply(made, FUTURE, settings, run_id)


@dataclass(frozen=True)
class Trained:
    """A model in its folder.

    Attributes:
        bundle: The model.
        path: Address of the folder.
        metadata: What Dagster shows of it.
    """

    bundle: "Bundle"
    path: str
    metadata: dict[str, Any]


def train(
    context: dg.AssetExecutionContext,
    tables: Lake,
    training: Training,
    files: FileStore,
    settings: Settings,
    *,
    recipe: "Recipe",
    backtest: str | None,
    version: int,
    folder: str,
    decision: dict[str, Any],
) -> Trained:
    """Fits a recipe on all data and writes its bundle.

    Args:
        context: The run.
        tables: The lake.
        training: The panel, and what models are fitted on.
        files: Where the bundle is written.
        settings: The settings.
        recipe: What is fitted.
        backtest: The algorithm whose table is the recipe's backtest; None: it is backtested now, for its intervals.
        version: Number of the model.
        folder: Name of its folder.
        decision: Why it is trained.
    """
    from salesml_assets.forecasting.intervals import interval_table
    from salesml_assets.forecasting.model.bundle import write_bundle
    from salesml_assets.forecasting.production import champion_predictions, make_bundle
    from salesml_assets.forecasting.training.backtest import refit

    panel, engines = training.panel(settings, context.run.run_id), training.engines(settings)
    fit, rows = refit(ALGORITHMS[recipe.algorithm], recipe.parameters, panel, panel.last, engines)
    predictions = partial(tables.tables.batches, backtest) if backtest else champion_predictions(recipe, panel, engines)
    bundle = make_bundle(
        fit.model,
        recipe,
        panel,
        tables.tables,
        cutoff=panel.last,
        rows=rows,
        version=version,
        intervals=interval_table(predictions),
        lake_versions={table: tables.version_in_run(table, context.run.run_id) for table in INGREDIENTS},
        decision=decision,
    )
    if fit.original is not None and settings.registry.enabled and settings.registry.spark_model:
        from salesml_assets.spark.mlflow_model import mlflow_files

        for name, content in mlflow_files(fit.original, engines.scratch).items():
            files.write(content, PRODUCTION_MODEL, folder, SPARK_MODEL_FOLDER, name)
    write_bundle(bundle, lambda content, name: files.write(content, PRODUCTION_MODEL, folder, name))
    metadata: dict[str, Any] = {
        "algorithm": recipe.algorithm,
        "parameters": dg.JsonMetadataValue(recipe.parameters),
        "learned up to": str(panel.last),
        "training rows": rows,
        "bundle": dg.PathMetadataValue(files.path(PRODUCTION_MODEL, folder)),
        "importance": dg.JsonMetadataValue(fit.model.importance()),
    }
    if fit.difference is not None:
        metadata["largest difference from MLlib"] = fit.difference
    return Trained(bundle, files.path(PRODUCTION_MODEL, folder), metadata)


def unreadable_note(files: FileStore, newest: "Version | None", version: int) -> str | None:
    """Why the present model cannot be used any more, and that a new one is trained; None where it can be read."""
    from salesml_assets.forecasting.model.bundle import BundleError, read_about

    if newest is None:
        return None
    try:
        read_about(partial(files.read, PRODUCTION_MODEL, newest.folder), newest.path)
    except BundleError as error:
        return f"Version {newest.version} cannot be read by this release, so version {version} was trained. {error}"
    return None
