"""Backtests on a small shop: choice of parameters, all algorithms, the same result again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.intervals import BOUNDS, interval_table
from salesml_assets.forecasting.model.bundle import Bundle, read_bundle
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.production import make_bundle, predictions_of
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.training.backtest import Backtest, Candidate, backtest, choose, refit
from salesml_assets.forecasting.training.sample import TrainingPanel
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import CATEGORY_PROFILE, POOLED_CALENDAR, SALES_SERIES
from salesml_assets_tests.forecasting.small_lake import small_features, small_pool, small_series, training_panel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HORIZON = 7
FAST = {
    "random_forest": {"numTrees": [3], "maxDepth": [4]},
    "gradient_boosting": {"maxIter": [2], "maxDepth": [3]},
    "xgboost": {"objective": ["reg:tweedie", "reg:tweedie+reg:absoluteerror"], "n_estimators": [20]},
}
MLLIB = ("linear_regression", "random_forest", "gradient_boosting")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        forecast={"horizon": HORIZON},
        training={"max_rows": 2_000, "tree_rows": 1_000, "grids": FAST},
        lake={"root": str(tmp_path_factory.mktemp("lake"))},
    )


@pytest.fixture(scope="module")
def panel(settings: Settings) -> TrainingPanel:
    return training_panel(settings)


@pytest.fixture(scope="module")
def lake(settings: Settings) -> Lakehouse:
    tables = Lakehouse(settings.lake.root)
    tables.write_polars(small_series(), SALES_SERIES)
    tables.write_polars(small_pool(small_features(settings), settings), POOLED_CALENDAR)
    return tables


def no_spark() -> SparkSession:
    raise AssertionError("this needs no Spark")


@pytest.fixture
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Engines:
    """What fits run on; Spark where a learner of MLlib is tested, and an error elsewhere."""
    name = request.node.callspec.params.get("name", "") if hasattr(request.node, "callspec") else ""
    session = request.getfixturevalue("spark") if name in MLLIB else None
    return Engines(2, (lambda: session) if session else no_spark, str(tmp_path / "scratch"))


def everything(result: Backtest, panel: TrainingPanel) -> pl.DataFrame:
    """All predictions of a backtest."""
    return pl.concat(predictions_of(result, panel)(None)).sort("unique_id", "ds")  # type: ignore[arg-type]


def test_the_lowest_wape_without_structural_bias_is_chosen() -> None:
    tried = [
        (Candidate({"name": "median"}, 0.7, -0.5), "median"),
        (Candidate({"name": "mean"}, 0.9, -0.1), "mean"),
        (Candidate({"name": "worse"}, 1.0, 0.0), "worse"),
    ]
    assert choose(tried)[1] == "mean"
    assert choose(tried[:1])[1] == "median"


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_an_algorithm_predicts_all_rows_and_the_same_ones_again(
    name: str, panel: TrainingPanel, engines: Engines, settings: Settings
) -> None:
    algorithm = ALGORITHMS[name]
    result = backtest(algorithm, panel, algorithm.candidates(settings.training), engines)
    predictions = everything(result, panel)
    wanted = pl.concat(panel.to_score()).sort("unique_id", "ds")
    assert_frame_equal(predictions.select("unique_id", "ds", "y"), wanted.select("unique_id", "ds", "y"))
    assert predictions["yhat"].is_finite().all()
    assert (predictions["yhat"] >= 0).all()
    again = backtest(algorithm, training_panel(settings), [result.parameters], engines)
    assert_frame_equal(everything(again, panel), predictions, check_exact=True)
    assert (result.difference is not None) == (name in MLLIB)
    if result.difference is not None:
        assert result.difference < 1e-5


@pytest.mark.parametrize("name", ["moving_average", "linear_regression", "gradient_boosting", "xgboost"])
def test_a_saved_model_forecasts_the_same_when_loaded(
    name: str, panel: TrainingPanel, engines: Engines, settings: Settings, lake: Lakehouse
) -> None:
    algorithm = ALGORITHMS[name]
    parameters = algorithm.candidates(settings.training)[-1]
    fit, rows = refit(algorithm, parameters, panel, panel.last, engines)
    recipe = Recipe(algorithm=name, parameters=parameters)
    files = make_bundle(fit.model, recipe, panel, lake, cutoff=panel.last, rows=rows).to_files()
    loaded = read_bundle(files.__getitem__, "here").model
    future = pl.concat(panel.to_forecast())
    np.testing.assert_array_equal(fit.model.predict(future), loaded.predict(future))
    assert fit.model.importance() == loaded.importance()
    if algorithm.rows:
        assert rows > 500
        assert sum(loaded.importance().values()) == pytest.approx(1.0)
        assert "f_mean_28" in loaded.importance()


def bundle_of(panel: TrainingPanel, engines: Engines, lake: Lakehouse) -> Bundle:
    """A moving average with the intervals of its backtest."""
    result = backtest(ALGORITHMS["moving_average"], panel, [{"window": "medium"}], engines)
    recipe = Recipe(algorithm="moving_average", parameters=result.parameters)
    table = interval_table(predictions_of(result, panel))
    return make_bundle(result.model, recipe, panel, lake, cutoff=panel.last, rows=0, version=1, intervals=table)


def test_every_series_gets_a_forecast(panel: TrainingPanel, engines: Engines, lake: Lakehouse) -> None:
    made = forecast(bundle_of(panel, engines, lake), pl.concat(panel.to_forecast()))
    assert made.height == 8 * HORIZON
    low95, low80, middle, high80, high95 = (made[name] for name in ("lo95", "lo80", "yhat", "hi80", "hi95"))
    assert (low95 <= low80).all()
    assert (low80 <= middle).all()
    assert (middle <= high80).all()
    assert (high80 <= high95).all()
    sundays = made.filter(pl.col("ds").dt.weekday() == 7)
    assert sundays.height
    assert (sundays.select("yhat", *BOUNDS) == 0).to_numpy().all()
    assert set(made.filter(pl.col("unique_id") == "p7")["model"]) == {CATEGORY_PROFILE}
    assert (made.filter(pl.col("ds").dt.weekday() != 7)["yhat"] > 0).all()


def test_a_bundle_knows_the_weekdays_without_trade(panel: TrainingPanel, engines: Engines, lake: Lakehouse) -> None:
    bundle = bundle_of(panel, engines, lake)
    assert (bundle.calendar.step_days, bundle.calendar.week_end, bundle.calendar.closed_weekdays) == (1, None, (6,))
    assert bundle.horizon == HORIZON
    assert bundle.cutoff == panel.last
