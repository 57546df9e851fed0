"""Backtests, algorithms and the production model on a small shop."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from salesml_assets.forecasting.algorithms.learned import Learned

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.intervals import BOUNDS, interval_table
from salesml_assets.forecasting.production import Manifest, forecast, load, refit
from salesml_assets.forecasting.training.backtest import Candidate, backtest, choose
from salesml_assets.forecasting.training.panel import folds_of, last_step, make_panel
from salesml_assets.forecasting.training.planned import covariates_of, read_planned
from salesml_assets.forecasting.training.sample import EncodedPanel, training_rows
from salesml_assets.forecasting.training.series import daily_rows, sales_series
from salesml_assets.spark.partitions import map_series
from salesml_assets_tests.forecasting.small import small_sales

HORIZON = 7
FAST = {
    "random_forest": {"numTrees": [3], "maxDepth": [4]},
    "gradient_boosting": {"maxIter": [2], "maxDepth": [3]},
    "xgboost": {"objective": ["reg:tweedie", "reg:tweedie+reg:absoluteerror"], "n_estimators": [20]},
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        forecast={"horizon": HORIZON},
        training={"max_rows": 2_000, "tree_rows": 1_000, "grids": FAST},
        lake={"root": str(tmp_path_factory.mktemp("lake"))},
    )


@pytest.fixture(scope="module")
def features(spark: SparkSession, settings: Settings) -> DataFrame:
    sales = spark.createDataFrame(small_sales())
    calendar = business_calendar(daily_rows(sales, "revenue"), "D")
    series = sales_series(sales, settings, calendar).persist()
    spec = feature_spec(settings, {})
    return map_series(series, functools.partial(add_features, spec=spec), series.count()).persist()


@pytest.fixture(scope="module")
def panel(features: DataFrame, settings: Settings) -> DataFrame:
    return make_panel(features, settings)[0].persist()


@pytest.fixture(scope="module")
def encoded(panel: DataFrame, settings: Settings) -> EncodedPanel:
    return EncodedPanel(panel, settings)


def test_the_lowest_wape_without_structural_bias_is_chosen() -> None:
    tried = [
        (Candidate({"name": "median"}, 0.7, -0.5), "median"),
        (Candidate({"name": "mean"}, 0.9, -0.1), "mean"),
        (Candidate({"name": "worse"}, 1.0, 0.0), "worse"),
    ]
    assert choose(tried)[1] == "mean"
    assert choose(tried[:1])[1] == "median"


def test_training_rows_end_at_the_cutoff_and_at_the_limit(panel: DataFrame, settings: Settings) -> None:
    fold = folds_of(panel, settings)[1]
    everything, count, _ = training_rows(panel, fold.cutoff, 1_000_000)
    assert everything.where(F.col("ds") > F.lit(fold.cutoff)).count() == 0
    some, limit, _ = training_rows(panel, fold.cutoff, count // 2)
    assert some.count() == pytest.approx(limit, rel=0.15)
    assert some.exceptAll(everything).count() == 0


def test_vectors_are_those_of_the_training_rows_and_know_nothing_later(
    panel: DataFrame, encoded: EncodedPanel, settings: Settings
) -> None:
    fold = folds_of(panel, settings)[1]
    known = encoded.up_to(fold.cutoff)
    assert encoded.up_to(fold.cutoff) is known  # for the next algorithm
    some = known.at_most(known.count // 2)
    oracle, count, _ = training_rows(panel, fold.cutoff, known.count // 2)
    assert some.count == count
    sums = [F.count(F.lit(1)), F.sum("y"), F.sum("scale"), F.max("draw")]
    assert list(some.rows.agg(*sums).first() or []) == pytest.approx(list(oracle.agg(*sums).first() or []))
    later = F.col("ds") > F.lit(fold.cutoff)
    changed = {name: F.when(later, F.lit(99.0)).otherwise(F.col(name)) for name in ("y", "scale", "f_last")}
    other = EncodedPanel(panel.withColumns(changed), settings)
    for one, two in zip(known.encoder.stages, other.up_to(fold.cutoff).encoder.stages, strict=True):
        assert getattr(one, "labelsArray", None) == getattr(two, "labelsArray", None)
        assert getattr(one, "mean", None) == getattr(two, "mean", None)
        assert getattr(one, "std", None) == getattr(two, "std", None)
    scored = encoded.to_score(fold)
    assert scored.count() == panel.where(f"kind = 'score' and fold = {fold.number}").count()
    assert encoded.to_score(fold) is scored


def test_volume_classes_go_from_big_to_small(panel: DataFrame) -> None:
    classes = panel.select("unique_id", "volume_class").distinct().toPandas().set_index("unique_id")["volume_class"]
    assert classes["p6"] == "A"
    assert classes["p7"] == "C"  # sold nothing before the first scored origin


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_an_algorithm_predicts_all_rows_and_the_same_ones_again(
    name: str, panel: DataFrame, encoded: EncodedPanel, settings: Settings
) -> None:
    algorithm = ALGORITHMS[name]
    folds = folds_of(panel, settings)
    result = backtest(algorithm, encoded, folds, algorithm.candidates(settings.training))
    predictions = result.predictions.orderBy("unique_id", "ds").toPandas()
    wanted = panel.where("kind = 'score'").orderBy("unique_id", "ds").toPandas()
    pd.testing.assert_frame_equal(predictions[["unique_id", "ds", "y"]], wanted[["unique_id", "ds", "y"]])
    assert predictions["yhat"].notna().all()
    assert (predictions["yhat"] >= 0).all()
    again = backtest(algorithm, EncodedPanel(panel, settings), folds, [result.parameters])
    pd.testing.assert_frame_equal(again.predictions.orderBy("unique_id", "ds").toPandas(), predictions)


@pytest.mark.parametrize("name", ["moving_average", "linear_regression", "gradient_boosting", "xgboost"])
def test_a_saved_model_forecasts_the_same_when_loaded(
    name: str, panel: DataFrame, encoded: EncodedPanel, settings: Settings, tmp_path: Path
) -> None:
    algorithm = ALGORITHMS[name]
    parameters = algorithm.candidates(settings.training)[-1]
    fitted, rows = refit(algorithm, parameters, encoded, last_step(panel))
    fitted.save(str(tmp_path / "model"))
    loaded = load({"algorithm": name}, str(tmp_path / "model"))
    future = panel.where("kind = 'future'")
    first, second = (model.predict(future).orderBy("unique_id", "ds").toPandas()["yhat"] for model in (fitted, loaded))
    pd.testing.assert_series_equal(first, second, check_exact=True)
    assert fitted.importance() == pytest.approx(loaded.importance())
    if algorithm.rows:
        assert rows > 500
        assert sum(fitted.importance().values()) == pytest.approx(1.0)
        assert "f_mean_28" in fitted.importance()


@pytest.mark.parametrize(("name", "trees"), [("random_forest", "numTrees"), ("gradient_boosting", "maxIter")])
def test_the_first_trees_of_an_ensemble_are_a_smaller_one(
    name: str, trees: str, panel: DataFrame, encoded: EncodedPanel, tmp_path: Path
) -> None:
    algorithm, cutoff = ALGORITHMS[name], last_step(panel)
    sizes = [{trees: count, "maxDepth": 3} for count in (1, 2, 5)]
    trainer = algorithm.prepare(encoded, cutoff)
    cut = list(trainer.fit_all(sizes))
    assert [len(model.models[0].trees) for model in cut] == [1, 2, 5]
    rows = panel.where("kind = 'future'").orderBy("unique_id", "ds")
    vectors = cut[0].encoder.transform(rows)
    together = trainer.predict_all(cut, vectors).toPandas()["yhats"].to_list()
    values = [model.predict(rows).toPandas()["yhat"].to_numpy() for model in cut]
    np.testing.assert_array_equal(np.array(together).T, values)
    if name == "gradient_boosting":  # a tree knows those before it only, so growing fewer gives the same
        grown = refit(algorithm, sizes[1], encoded, cutoff)[0]
        np.testing.assert_array_equal(grown.predict(rows).toPandas()["yhat"], values[1])
    else:  # the mean of the first trees
        single = [
            tree.predict(row["features"]) for tree in cut[2].models[0].trees[:2] for row in _first_encoded(cut[2], rows)
        ]
        assert values[1][0] == pytest.approx(np.mean(single) * rows.first()["scale"])
    cut[1].save(str(tmp_path / "model"))
    loaded = load({"algorithm": name}, str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(rows).toPandas()["yhat"], values[1])
    assert sum(cut[1].importance().values()) == pytest.approx(1.0)
    trainer.close()


def _first_encoded(model: Learned, rows: DataFrame) -> list[Row]:
    return model.encoder.transform(rows).select("features").take(1)


def test_every_series_gets_a_forecast(panel: DataFrame, encoded: EncodedPanel, settings: Settings) -> None:
    algorithm = ALGORITHMS["moving_average"]
    result = backtest(algorithm, encoded, folds_of(panel, settings), [{"window": "medium"}])
    table = interval_table(result.predictions)
    made = forecast(result.fitted, panel, table, settings, "moving_average", 1).toPandas()
    assert len(made) == 8 * HORIZON
    assert (made["lo95"] <= made["lo80"]).all()
    assert (made["lo80"] <= made["yhat"]).all()
    assert (made["yhat"] <= made["hi80"]).all()
    assert (made["hi80"] <= made["hi95"]).all()
    sundays = pd.to_datetime(made["ds"]).dt.day_of_week == 6
    assert (made.loc[sundays, ["yhat", *BOUNDS]] == 0).all(axis=None)
    assert set(made.loc[made["unique_id"] == "p7", "model"]) == {"moving_average (short series)"}
    assert (made.loc[~sundays, "yhat"] > 0).all()


def test_a_manifest_is_json(settings: Settings) -> None:
    manifest = Manifest(
        1, "xgboost", {"max_depth": 3}, dt.date(2023, 1, 1), 10, feature_spec(settings, {}), {"features": []},
        [], settings.model_dump(mode="json"), {"sales": 0}, dt.datetime(2023, 1, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    values = json.loads(manifest.to_json())
    assert values["features"]["windows"] == list(feature_spec(settings, {}).windows)
    assert set(values) == {field.name for field in dataclasses.fields(Manifest)}


def test_covariates_planned_ahead_reach_the_days_they_are_planned_for(
    spark: SparkSession, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    sales = small_sales()
    sales["promotion"] = (pd.to_datetime(sales["date"]).dt.day % 5 == 0).astype(float)
    sales["campaign"] = sales["promotion"].map({1.0: "flyer", 0.0: "none"})
    last = sales["date"].max()
    days = pd.date_range(last, periods=HORIZON + 1)[1:]
    plan = pd.DataFrame([(day, f"p{product}") for day in days for product in range(8)], columns=["date", "product"])
    plan["promotion"] = (plan["date"].dt.day % 5 == 0).astype(float)
    plan["campaign"] = plan["promotion"].map({1.0: "flyer", 0.0: "none"})
    plan.assign(date=plan["date"].dt.date).to_parquet(tmp_path / "plan.parquet")
    settings = settings_for(
        sales={"columns": {"date": "date", "product": "product"}},
        forecast={
            "horizon": HORIZON,
            "known_future": {"path": str(tmp_path / "plan.parquet"), "columns": ["promotion", "campaign"]},
        },
    )
    frame = spark.createDataFrame(sales)
    calendar = business_calendar(daily_rows(frame, "revenue"), "D")
    series = sales_series(frame, settings, calendar, read_planned(spark, settings, calendar))
    spec = feature_spec(settings, covariates_of(series, settings))
    assert (spec.numbers, spec.texts) == (("promotion",), ("campaign",))
    features = map_series(series, functools.partial(add_features, spec=spec), 2_000)
    future = make_panel(features, settings)[0].where("kind = 'future'").toPandas()
    promoted = pd.to_datetime(future["ds"]).dt.day % 5 == 0
    assert (future["f_promotion"] == promoted.astype(float)).all()
    assert set(future.loc[promoted, "c_campaign"]) == {"flyer"}
    assert set(future.loc[~promoted, "c_campaign"]) == {"none"}
