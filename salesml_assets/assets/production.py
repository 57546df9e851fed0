"""The production model and what it forecasts."""

import datetime as dt
import json
from functools import partial
from typing import Any

import dagster as dg

from salesml_assets.assets.evaluation import latest_comparison
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.names import FORECASTS, MODEL_COMPARISON, PRODUCTION_MODEL
from salesml_assets.resources.encoded import EncodedPanels
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake, Table

GROUP = "production"
# The tables that a production model is made from.
INGREDIENTS = ("raw_sales", "sales", "sales_series", "features", "panel", MODEL_COMPARISON)


def production_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the group, by settings."""

    @dg.asset(
        name=PRODUCTION_MODEL,
        group_name=GROUP,
        kinds={"spark", "deltalake"},
        io_manager_key="lake",
        deps=[MODEL_COMPARISON],
        description="The winning recipe refitted on all data, one row per version, with the evidence for it.",
    )
    def production_model(
        context: dg.AssetExecutionContext, panel: Table, tables: Lake, encoded: EncodedPanels, files: FileStore
    ) -> dg.Output[Table]:
        from salesml_assets.forecasting.algorithms.base import PanelColumns
        from salesml_assets.forecasting.batches import in_memory
        from salesml_assets.forecasting.features import feature_spec
        from salesml_assets.forecasting.intervals import interval_table
        from salesml_assets.forecasting.production import (
            Manifest,
            all_versions,
            champion_predictions,
            latest_version,
            refit,
        )
        from salesml_assets.forecasting.training.panel import last_step
        from salesml_assets.forecasting.training.planned import covariates_of

        comparison = latest_comparison(tables.tables, files)
        decision, recipe = comparison.decision, comparison.recipe
        cutoff = last_step(panel)
        vectors = encoded.of(panel, settings)
        fitted, rows = refit(ALGORITHMS[recipe.algorithm], recipe.parameters, vectors, cutoff)
        newest = latest_version(tables.tables)
        version = newest.version + 1 if newest else 1
        # The run stands in the address, too: a broken run leaves its files without disturbing the next one.
        folder = f"{version}-{context.run_id}"
        fitted.save(files.path(PRODUCTION_MODEL, folder, "model"))
        columns = PanelColumns.of(panel)
        own = decision.winner not in settings.training.algorithms
        backtest = (
            in_memory(champion_predictions(recipe, vectors)) if own else partial(tables.tables.batches, decision.winner)
        )
        intervals = interval_table(backtest)
        manifest = Manifest(
            version=version,
            algorithm=recipe.algorithm,
            parameters=recipe.parameters,
            cutoff=cutoff,
            rows=rows,
            features=feature_spec(settings, covariates_of(tables.read("sales_series"), settings)),
            columns={"features": list(columns.features), "texts": list(columns.texts), "keys": list(columns.keys)},
            intervals=intervals.to_dicts(),
            settings=settings.model_dump(mode="json"),
            lake_versions={table: tables.version(table) for table in INGREDIENTS},
            trained_at=dt.datetime.now(dt.UTC),
        )
        path = files.write(manifest.to_json(), PRODUCTION_MODEL, folder, "manifest.json")
        metadata: dict[str, Any] = {
            "algorithm": recipe.algorithm,
            "model version": version,
            "parameters": dg.JsonMetadataValue(recipe.parameters),
            "decision": decision.reason,
            "learned up to": str(cutoff),
            "training rows": rows,
            "manifest": dg.PathMetadataValue(path),
            "importance": dg.JsonMetadataValue(fitted.importance()),
        }
        evidence = decision.model_dump(mode="json")
        return dg.Output(
            all_versions(tables.tables, manifest, files.path(PRODUCTION_MODEL, folder), evidence), metadata=metadata
        )

    @dg.asset(
        name=FORECASTS,
        group_name=GROUP,
        kinds={"spark", "deltalake"},
        io_manager_key="lake",
        deps=[PRODUCTION_MODEL],
        description="Every series over the whole horizon, with 80 % and 95 % intervals.",
    )
    def forecasts(panel: Table, tables: Lake, files: FileStore) -> dg.Output[Table]:
        import pandas as pd

        from salesml_assets.forecasting.production import forecast, latest_version, load

        newest = latest_version(tables.tables)
        if newest is None:
            raise dg.Failure(f"there is no production model yet: materialize {PRODUCTION_MODEL} first")
        manifest = json.loads(files.read_text(PRODUCTION_MODEL, newest.folder, "manifest.json"))
        fitted = load(manifest, files.path(PRODUCTION_MODEL, newest.folder, "model"))
        intervals = pd.DataFrame(manifest["intervals"])
        rows = forecast(fitted, panel, intervals, settings, newest.algorithm, newest.version)
        return dg.Output(rows, metadata={"model": newest.algorithm, "model version": newest.version})

    return [production_model, forecasts]
