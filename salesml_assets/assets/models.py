"""One asset per algorithm, made from the table of algorithms."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Algorithm
from salesml_assets.resources.encoded import EncodedPanels
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Table

GROUP = "models"


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset for each algorithm that takes part."""
    return [model_asset(ALGORITHMS[name], settings) for name in settings.training.algorithms]


def model_asset(algorithm: Algorithm, settings: Settings) -> dg.AssetsDefinition:
    """Tunes, backtests and fits one algorithm; its table holds the predictions of all origins."""

    @dg.asset(
        name=algorithm.name,
        group_name=GROUP,
        kinds={"spark", "deltalake", *(("xgboost",) if algorithm.name == "xgboost" else ())},
        io_manager_key="lake",
        description=algorithm.description,
    )
    def model(
        context: dg.AssetExecutionContext, panel: Table, encoded: EncodedPanels, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.training.backtest import backtest

        started = time.perf_counter()
        rows, candidates = encoded.of(panel, settings), algorithm.candidates(settings.training)
        result = backtest(algorithm, rows, rows.folds, candidates, context.log.info)
        path = files.path("models", context.run_id, algorithm.name)
        # Kept until the table is written, so that its time counts here and nothing is predicted twice.
        predictions = result.predictions.persist()
        with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:  # many small files, while rows are predicted
            saved = pool.submit(result.fitted.save, path)
            predictions.count()
            saved.result()
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
            "importance": dg.JsonMetadataValue(result.fitted.importance()),
            "model": dg.PathMetadataValue(path),
            "training_seconds": time.perf_counter() - started,
        }
        return dg.Output(predictions, metadata=metadata)

    return model
