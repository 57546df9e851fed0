"""The comparison as an asset: everything it needs is in the lake, nothing is in Dagster's event log."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import dagster as dg
import polars as pl
import pytest

from salesml_assets.assets.evaluation import training_facts
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.forecasting.model.bundle import write_bundle
from salesml_assets.lake.maintenance import remove_old_files
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import FEATURES, MODEL_COMPARISON, MODELS_FOLDER, POOLED_CALENDAR, SALES_SERIES, TRAINING_FILE
from salesml_assets.reporting.results import latest_comparison
from salesml_assets.resources.files import FileStore
from salesml_assets_tests.forecasting.predictions import (
    ALGORITHMS,
    backtest_predictions,
    polars_table,
    sold_as_predicted,
)
from salesml_assets_tests.forecasting.small_lake import small_features, small_pool
from salesml_assets_tests.forecasting.small_models import SETTINGS, bundle

TRAINED_BY = "run-of-the-models"


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(training={"algorithms": list(ALGORITHMS)}, forecast={"target": "quantity"})


@pytest.fixture
def lake(settings: Settings) -> Lakehouse:
    """A lake with the tables of four algorithms and of their series, and the files of their trainings."""
    lake, files = Lakehouse(settings.lake.root), FileStore.from_settings(settings)
    features = small_features(SETTINGS)
    lake.write_polars(features, FEATURES, run_id=TRAINED_BY)
    lake.write_polars(small_pool(features, SETTINGS), POOLED_CALENDAR, run_id=TRAINED_BY)
    last = features["ds"].max()
    assert isinstance(last, dt.date)
    cutoff = last - dt.timedelta(7)
    for name, rows in backtest_predictions(series=40).items():
        lake.write_arrow(polars_table(rows).to_arrow(), name, run_id=TRAINED_BY)
        write_facts(files, name, TRAINED_BY, depth=6)
        folder = (MODELS_FOLDER, TRAINED_BY, name)
        write_bundle(bundle(1, cutoff=cutoff), lambda content, file, folder=folder: files.write(content, *folder, file))
    sold = sold_as_predicted(polars_table(backtest_predictions(series=40)["xgboost"]))
    priced = sold.with_columns(quantity=pl.lit(2.0), revenue=pl.lit(5.0))
    lake.write_arrow(priced.to_arrow(), SALES_SERIES, run_id=TRAINED_BY)
    return lake


def write_facts(files: FileStore, name: str, run: str, depth: int) -> None:
    facts = {
        "parameters": {"max_depth": depth},
        "training_rows": 1_000,
        "training_seconds": 2.5,
        "importance": {"f_last": 1.0},
    }
    files.write(json.dumps(facts), MODELS_FOLDER, run, name, TRAINING_FILE)


def run_comparison(settings: Settings) -> dg.ExecuteInProcessResult:
    job = definitions(settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(asset_selection=[dg.AssetKey(MODEL_COMPARISON)])


def test_an_empty_instance_compares_what_the_lake_holds(settings: Settings, lake: Lakehouse) -> None:
    run = run_comparison(settings)
    assert run.success
    found = latest_comparison(lake, FileStore.from_settings(settings))
    assert found.decision.winner == "xgboost"
    assert set(found.metrics.loc[found.metrics["metric"] == "change", "algorithm"]) == set(ALGORITHMS)
    assert found.table()[0]["change"] == 0  # of the seasonal naive: a week moves none of its values
    assert found.recipe.parameters == {"max_depth": 6}
    assert found.runs["xgboost"] == {
        "parameters": {"max_depth": 6}, "rows": 1_000, "seconds": 2.5, "importance": {"f_last": 1.0},
    }  # fmt: skip
    levels = found.metrics[(found.metrics["dimension"] == "level") & (found.metrics["metric"] == "wape")]
    assert set(levels["segment"]) == {"total", "category"}
    assert set(levels["algorithm"]) == set(ALGORITHMS)
    # A unit sold for 2.5 on average.
    assert found.business.is_money
    assert found.business.sold == pytest.approx(2.5 * found.daily["y"].sum() / 3)
    assert lake.history(MODEL_COMPARISON, 1)[0].run_id == run.run_id
    assert lake.size(MODEL_COMPARISON).rows == len(found.metrics)


def test_the_graph_keeps_what_the_comparison_depends_on(settings: Settings) -> None:
    graph = definitions(settings).resolve_asset_graph()
    parents = {key.to_user_string() for key in graph.get(dg.AssetKey(MODEL_COMPARISON)).parent_keys}
    assert parents == {*ALGORITHMS, "features", "panel", "pooled_calendar", "sales_series"}


def test_facts_are_those_of_the_run_that_wrote_the_table(settings: Settings, lake: Lakehouse) -> None:
    files = FileStore.from_settings(settings)
    write_facts(files, "xgboost", "a-run-that-wrote-no-table", depth=2)
    assert training_facts(lake, files, "xgboost")["parameters"] == {"max_depth": 6}
    lake.write_arrow(lake.read_arrow("xgboost"), "xgboost", run_id="next-run")
    write_facts(files, "xgboost", "next-run", depth=4)
    assert training_facts(lake, files, "xgboost")["parameters"] == {"max_depth": 4}
    remove_old_files(lake, "xgboost", 7)  # its commits name no run
    assert training_facts(lake, files, "xgboost")["parameters"] == {"max_depth": 4}


def test_a_table_of_an_earlier_release_says_what_to_do(settings: Settings, lake: Lakehouse) -> None:
    lake.write_arrow(lake.read_arrow("xgboost"), "xgboost", run_id="old-run")
    with pytest.raises(dg.Failure, match=r"xgboost: run old-run wrote its table, but no training.json .* again"):
        training_facts(lake, FileStore.from_settings(settings), "xgboost")


def test_without_a_comparison_there_is_no_latest_one(settings: Settings, lake: Lakehouse) -> None:
    with pytest.raises(LakeError, match="materialize the asset 'model_comparison' first"):
        latest_comparison(lake, FileStore.from_settings(settings))
