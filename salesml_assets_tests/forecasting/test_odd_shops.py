"""Shops of nothing but short series, and of almost nothing: backtest, comparison and forecasts, without Spark."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.calendar import first_sale
from salesml_assets.forecasting.comparison import Comparison, compare, comparison_json
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.intervals import interval_table
from salesml_assets.forecasting.model.bundle import Bundle, Calendar
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.production import predictions_of
from salesml_assets.forecasting.training.backtest import backtest, refit
from salesml_assets.forecasting.training.sample import TrainingPanel
from salesml_assets.names import CATEGORY_PROFILE, ENDED
from salesml_assets_tests.forecasting.small_lake import panel_source

HORIZON, START, DAYS = 14, dt.date(2024, 1, 1), 220
LAST = START + dt.timedelta(DAYS - 1)
LEAN = ("seasonal_naive", "moving_average", "xgboost")
SETTINGS = Settings.model_validate(
    {
        "forecast": {"horizon": HORIZON, "target": "quantity"},
        "training": {
            "algorithms": LEAN,
            "max_rows": 3_000,
            "grids": {"xgboost": {"objective": ["reg:tweedie"], "n_estimators": [20]}},
        },
    }
)


@dataclass(frozen=True)
class Outcome:
    """What a run of the whole graph would give."""

    comparison: Comparison
    forecasts: pl.DataFrame
    scored: pl.DataFrame


def run(sold: pl.DataFrame) -> Outcome:
    """From sums per series and day (`unique_id`, `category`, `ds`, `y`) to forecasts, with the lean algorithms."""
    spec = feature_spec(SETTINGS, {})
    spans = sold.group_by("unique_id", "category").agg(first_sale().alias("first")).sort("unique_id")
    dense = spans.with_columns(ds=pl.date_ranges("first", LAST)).drop("first").explode("ds")
    series = dense.join(sold.drop("category"), on=["unique_id", "ds"], how="left").with_columns(
        pl.col("y").fill_null(0.0), product="unique_id", closed=False
    )
    features = add_features(series, spec)
    steps = pl.DataFrame({"ds": [LAST + dt.timedelta(step) for step in range(1, HORIZON + 1)]})
    future = spans.drop("first").join(steps, how="cross").with_columns(product="unique_id", closed=False)
    folds = rolling_folds(LAST, HORIZON, SETTINGS.training.folds, 1)
    plan = PanelPlan(HORIZON, LAST, tuple(folds), 0.5, SETTINGS.training.seed)
    rows = expand(pl.concat([features, future], how="diagonal"), spec, plan).with_columns(volume_class=pl.lit("A"))
    panel = TrainingPanel(panel_source(rows, 5_000), lambda: features.iter_slices(10_000), SETTINGS)
    engines = Engines(cores=1, spark=pytest.fail, scratch="")
    results = {
        name: backtest(ALGORITHMS[name], panel, ALGORITHMS[name].candidates(SETTINGS.training), engines)
        for name in LEAN
    }
    batches = {name: predictions_of(result, panel) for name, result in results.items()}
    comparison = compare(batches, SETTINGS, {name: {"parameters": results[name].parameters} for name in LEAN})
    winner, recipe = comparison.decision.winner, comparison.recipe
    fit, count = refit(ALGORITHMS[winner], recipe.parameters, panel, panel.last, engines)
    bundle = Bundle(
        model=fit.model, version=1, algorithm=winner, parameters=recipe.parameters, cutoff=LAST, rows=count,
        features=spec, series_keys=("product",), horizon=HORIZON, calendar=Calendar(1, None, ()), non_negative=True,
        intervals=interval_table(batches[winner]), lake_versions={}, settings={}, trained_at=dt.datetime.now(dt.UTC),
        profile=panel.profile(LAST),
    )  # fmt: skip
    made = pl.concat(map(partial(forecast, bundle), panel.to_forecast()))
    return Outcome(comparison, made, pl.concat(batches[winner](None)))  # type: ignore[arg-type]


def fashion() -> pl.DataFrame:
    """600 products with three rows each within two weeks."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(600):
        born = int(random.integers(0, DAYS - 5))
        for day in sorted(random.choice(14, 3, replace=False)):
            if born + day < DAYS:
                amount = float(random.integers(1, (3, 6, 12)[number % 3]))
                category = ("shirts", "dresses", "socks")[number % 3]
                rows.append((f"p{number:04d}", category, START + dt.timedelta(born + int(day)), amount))
    return pl.DataFrame(rows, schema=["unique_id", "category", "ds", "y"], orient="row")


def test_a_shop_of_short_series_is_compared_and_forecast() -> None:
    sold = fashion()
    found = run(sold)
    assert found.forecasts.height == sold["unique_id"].n_unique() * HORIZON
    json = comparison_json(found.comparison)
    assert all(0 < json[name]["wape"] < 3 for name in LEAN)
    new = found.forecasts.filter(pl.col("model") == CATEGORY_PROFILE)
    assert new["unique_id"].n_unique() == sold.group_by("unique_id").agg(pl.col("ds").min()).filter(
        pl.col("ds") > LAST - dt.timedelta(13)
    ).height  # fmt: skip
    # Products sell within two weeks of their launch: what is sold ahead is the rest of the new ones'.
    after = found.scored.filter((pl.col("fold") > 0) & (pl.col("y") > 0))
    assert after.height > 30
    total, predicted = (found.scored.filter(pl.col("fold") > 0)[name].sum() for name in ("y", "yhat"))
    assert predicted == pytest.approx(total, rel=0.25)
    old = found.forecasts.filter(pl.col("model") == ENDED)
    assert old["unique_id"].n_unique() > 200
    assert (old["yhat"] == 0).all()


@pytest.mark.parametrize("listed", [True, False], ids=["zeros are listed", "zeros are not listed"])
def test_one_sale_in_220_days_gives_zeros_with_a_named_fallback(listed: bool) -> None:
    days = [(START + dt.timedelta(day), 19.68 if day == 4 else 0.0) for day in range(DAYS) if listed or day == 4]
    sold = pl.DataFrame(
        {"unique_id": "X1", "category": None, "ds": [day for day, _ in days], "y": [y for _, y in days]},
        schema_overrides={"category": pl.String},
    )
    found = run(sold)
    assert "nothing was sold at the scored origins" in found.comparison.decision.reason
    assert set(found.forecasts["model"]) == {ENDED}
    assert (found.forecasts["yhat"] == 0).all()
