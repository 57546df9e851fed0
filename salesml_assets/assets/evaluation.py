"""All algorithms on the same rows: metrics, the promotion decision, the report."""

import json
from typing import TYPE_CHECKING

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.names import COMPARISON_FILE, EVERYTHING_FILE, MODEL_COMPARISON
from salesml_assets.resources.encoded import EncodedPanels
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table

if TYPE_CHECKING:
    from salesml_assets.forecasting.comparison import Comparison

GROUP = "evaluation"


def evaluation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=MODEL_COMPARISON,
        group_name=GROUP,
        kinds={"pandas", "scipy", "deltalake"},
        io_manager_key="lake",
        ins={name: dg.AssetIn(name) for name in (*settings.training.algorithms, "panel")},
        deps=["sales_series"],
        description="Error of every algorithm by fold, horizon and segment, and which one serves.",
    )
    def model_comparison(
        context: dg.AssetExecutionContext, tables: Lake, encoded: EncodedPanels, files: FileStore, **inputs: Table
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.business import average_prices
        from salesml_assets.forecasting.comparison import compare, comparison_json
        from salesml_assets.forecasting.production import (
            champion_predictions,
            champion_recipe,
        )

        panel = inputs.pop("panel")
        runs = {name: _run_of(context.instance, name) for name in inputs}
        champion = champion_recipe(tables.tables)
        if champion is not None and champion.parameters != runs.get(champion.algorithm, {}).get("parameters"):
            context.log.info(f"the champion's recipe is backtested as well: {champion}")
            champion_rows = champion_predictions(champion, encoded.of(panel, settings))
        else:
            champion_rows = None
        series = tables.read("sales_series")
        priced = settings.forecast.target == "quantity" and "revenue" in series.columns
        prices = average_prices(series) if priced else None
        comparison = compare(inputs, settings, runs, champion, champion_rows, prices)
        summary = comparison_json(comparison)
        path = files.write(
            json.dumps(summary, indent=2, sort_keys=True), MODEL_COMPARISON, context.run_id, COMPARISON_FILE
        )
        files.write(comparison.to_json(), MODEL_COMPARISON, context.run_id, EVERYTHING_FILE)
        metadata = {
            "models": dg.JsonMetadataValue(comparison.table()),
            "decision": comparison.decision.reason,
            "winner": comparison.decision.winner,
            "model_comparison.json": dg.PathMetadataValue(path),
            "run": context.run_id,
        }
        return dg.Output(comparison.metrics, metadata=metadata)

    return [model_comparison]


def latest_comparison(context: dg.AssetExecutionContext, files: FileStore) -> "Comparison":
    """The latest comparison with its decision.

    Raises:
        dg.Failure: There is none.
    """
    from salesml_assets.forecasting.comparison import Comparison

    event = context.instance.get_latest_materialization_event(dg.AssetKey(MODEL_COMPARISON))
    if event is None or event.asset_materialization is None:
        raise dg.Failure(f"{MODEL_COMPARISON} has not been materialized")
    run = str(event.asset_materialization.metadata["run"].value)
    return Comparison.from_json(files.read_text(MODEL_COMPARISON, run, EVERYTHING_FILE))


def _run_of(instance: dg.DagsterInstance, name: str) -> dict[str, object]:
    """Parameters, training rows and seconds of an algorithm's latest materialization."""
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    if event is None or event.asset_materialization is None:
        raise dg.Failure(f"{name} has not been materialized")
    metadata = event.asset_materialization.metadata
    return {
        "parameters": metadata["parameters"].value,
        "rows": metadata["training_rows"].value,
        "seconds": metadata["training_seconds"].value,
        "importance": metadata["importance"].value,
    }
