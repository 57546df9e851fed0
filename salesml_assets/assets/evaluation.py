"""All algorithms on the same rows: metrics, the promotion decision, the report."""

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.lake.facts import run_of_table
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    COMPARISON_FILE,
    EVERYTHING_FILE,
    FEATURES,
    MODEL_COMPARISON,
    MODELS_FOLDER,
    PANEL,
    POOLED_CALENDAR,
    SALES_SERIES,
    TRAINING_FILE,
)
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training

if TYPE_CHECKING:
    from salesml_assets.forecasting.batches import Batches
    from salesml_assets.forecasting.comparison import Comparison
    from salesml_assets.forecasting.model.bundle import Bundle

GROUP = "evaluation"


def evaluation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""
    algorithms = settings.training.algorithms

    @dg.asset(
        name=MODEL_COMPARISON,
        group_name=GROUP,
        kinds={"polars", "scipy", "deltalake"},
        io_manager_key="lake",
        deps=[*algorithms, FEATURES, PANEL, POOLED_CALENDAR, SALES_SERIES],
        description="Error of every algorithm by fold, horizon and segment, and which one serves.",
    )
    def model_comparison(
        context: dg.AssetExecutionContext, tables: Lake, training: Training, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.business import average_prices
        from salesml_assets.forecasting.comparison import CHAMPION, compare, comparison_json
        from salesml_assets.forecasting.hierarchy import level_accuracy, read_hierarchy
        from salesml_assets.forecasting.model.bundle import BundleError
        from salesml_assets.forecasting.production import champion_predictions, champion_recipe
        from salesml_assets.forecasting.reconciliation import reconciled_backtests
        from salesml_assets.forecasting.stability import backtest_changes

        lake = tables.tables
        runs = {name: training_facts(lake, files, name) for name in algorithms}
        champion = champion_recipe(lake)
        champion_rows = None
        if champion is not None and champion.parameters != runs.get(champion.algorithm, {}).get("parameters"):
            context.log.info(f"the champion's recipe is backtested as well: {champion}")
            panel = training.panel(settings, context.run.run_id)
            champion_rows = champion_predictions(champion, panel, training.engines(settings))
        priced = settings.forecast.target == "quantity" and "revenue" in lake.columns(SALES_SERIES)
        prices = average_prices(_rows_of(lake, SALES_SERIES)) if priced else None
        predictions = {name: _rows_of(lake, name) for name in algorithms}
        try:
            changes = backtest_changes(lake, {name: backtest_bundle(lake, files, name) for name in algorithms})
        except BundleError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        scored = predictions if champion_rows is None else {**predictions, CHAMPION: champion_rows}
        levels = None
        if totals := read_hierarchy(lake, settings):
            hierarchy, past = totals
            if settings.forecast.hierarchy.reconciliation == "mint":
                scored = reconciled_backtests(hierarchy, scored, past, settings)
            levels = level_accuracy(hierarchy, scored, past, settings)
        comparison = compare(predictions, settings, runs, champion, champion_rows, prices, changes, levels)
        summary = comparison_json(comparison)
        path = files.write(
            json.dumps(summary, indent=2, sort_keys=True), MODEL_COMPARISON, context.run.run_id, COMPARISON_FILE
        )
        files.write(comparison.to_json(), MODEL_COMPARISON, context.run.run_id, EVERYTHING_FILE)
        metadata: dict[str, Any] = {
            "decision": comparison.decision.reason,
            "winner": comparison.decision.winner,
            **_plotted(comparison),
            "models": dg.JsonMetadataValue(comparison.table()),
            "model_comparison.json": dg.PathMetadataValue(path),
        }
        return dg.Output(comparison.metrics, metadata=metadata)

    return [model_comparison]


def _plotted(comparison: "Comparison") -> dict[str, float]:
    """The winner's figures, which the UI plots over time."""
    names = {
        "wape": "WAPE",
        "bias": "bias",
        "coverage80": "coverage of the 80 % interval",
        "change": "change (stability)",
    }
    rows = comparison.metrics
    rows = rows[(rows["algorithm"] == comparison.decision.winner) & (rows["dimension"] == "total")].dropna()
    values = dict(zip(rows["metric"], rows["value"], strict=True))
    return {label: float(values[metric]) for metric, label in names.items() if metric in values}


def training_facts(lake: Lakehouse, files: FileStore, name: str) -> dict[str, object]:
    """Facts about the training behind an algorithm's table: `parameters`, `rows`, `seconds`, `importance`.

    Args:
        lake: The lake; the table names the run that trained.
        files: The files of that run.
        name: Name of the algorithm.

    Raises:
        LakeError: There is no such table.
        dg.Failure: The run left no such file, as releases before it was introduced did not.
    """
    run = run_of_table(lake, name)
    try:
        facts = json.loads(files.read_text(MODELS_FOLDER, run, name, TRAINING_FILE))
    except FileNotFoundError as error:
        raise dg.Failure(
            f"{name}: run {run} wrote its table, but no {TRAINING_FILE} (an earlier release did not): "
            f"materialize {name} again",
            allow_retries=False,
        ) from error
    return {
        "parameters": facts["parameters"],
        "rows": facts["training_rows"],
        "seconds": facts["training_seconds"],
        "importance": facts["importance"],
    }


def backtest_bundle(lake: Lakehouse, files: FileStore, name: str) -> "Bundle":
    """The model of an algorithm's latest backtest origin.

    Args:
        lake: The lake; the algorithm's table names the run that trained.
        files: The files of that run.
        name: Name of the algorithm.

    Raises:
        LakeError: There is no such table.
        BundleError: Its bundle is missing or was changed.
    """
    from salesml_assets.forecasting.model.bundle import read_bundle

    folder = (MODELS_FOLDER, run_of_table(lake, name), name)
    return read_bundle(partial(files.read, *folder), files.path(*folder))


def _rows_of(lake: Lakehouse, name: str) -> "Batches":
    """The rows of the table's latest version; they stay the same, however often they are read."""
    return partial(lake.batches, name, version=lake.version(name))
