"""One asset per algorithm, made from the table of algorithms."""

import json
import time
from functools import partial
from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Algorithm
from salesml_assets.names import MODELS_FOLDER, PANEL, TRAINING_FILE
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table
from salesml_assets.resources.training import Training

GROUP = "models"


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset for each algorithm that takes part."""
    return [model_asset(ALGORITHMS[name], settings) for name in settings.training.algorithms]


def model_asset(algorithm: Algorithm, settings: Settings) -> dg.AssetsDefinition:
    """Tunes, backtests and fits one algorithm; its table holds the predictions of all origins."""

    @dg.asset(
        name=algorithm.name,
        group_name=GROUP,
        kinds={"polars", "deltalake", *algorithm.kinds},
        io_manager_key="lake",
        deps=[PANEL],
        description=algorithm.description,
    )
    def model(
        context: dg.AssetExecutionContext, training: Training, tables: Lake, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.model.bundle import write_bundle
        from salesml_assets.forecasting.model.predict import predict_folds
        from salesml_assets.forecasting.panel import SCORE
        from salesml_assets.forecasting.production import make_bundle
        from salesml_assets.forecasting.recipe import Recipe
        from salesml_assets.forecasting.search.found import found_recipe
        from salesml_assets.forecasting.training.backtest import backtest

        started = time.perf_counter()
        panel, candidates = training.panel(settings, context.run.run_id), algorithm.candidates(settings.training)
        if algorithm.is_searched and algorithm.name not in settings.training.grids:
            found = found_recipe(tables.tables)
            context.log.info(f"recipe of the latest search: {found}" if found else "no search has found a recipe yet")
            candidates = [found] if found else candidates
        result = backtest(algorithm, panel, candidates, training.engines(settings), context.log.info)
        recipe = Recipe(algorithm=algorithm.name, parameters=result.parameters)
        cutoff = panel.folds[-1].cutoff
        bundle = make_bundle(result.model, recipe, panel, tables.tables, cutoff=cutoff, rows=result.rows)
        folder = (MODELS_FOLDER, context.run.run_id, algorithm.name)
        write_bundle(bundle, lambda content, name: files.write(content, *folder, name))
        facts: dict[str, Any] = {
            "parameters": result.parameters,
            "training_rows": result.rows,
            "training_seconds": time.perf_counter() - started,
            "importance": bundle.model.importance(),
        }
        files.write(json.dumps(facts, sort_keys=True), *folder, TRAINING_FILE)
        metadata: dict[str, Any] = {
            "parameters": dg.JsonMetadataValue(result.parameters),
            "training_rows": result.rows,
            "candidates": dg.TableMetadataValue(
                records=[
                    dg.TableRecord({"parameters": str(one.parameters), "WAPE": one.wape, "bias": one.bias})
                    for one in result.candidates
                ],
                schema=dg.TableSchema.from_name_type_dict({"parameters": "string", "WAPE": "float", "bias": "float"}),
            ),
            "importance": dg.JsonMetadataValue(facts["importance"]),
            "model": dg.PathMetadataValue(files.path(*folder)),
            "training_seconds": facts["training_seconds"],
        }
        if result.difference is not None:
            metadata["largest difference from MLlib"] = result.difference
        predict = partial(
            predict_folds, result.models, panel.fold_profiles, non_negative=settings.forecast.non_negative
        )
        return dg.Output(training.apply(predict, SCORE, settings, context.run.run_id), metadata=metadata)

    return model
