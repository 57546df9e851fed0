"""Plans, prices, openings and closings move the days that they are for, in the right direction."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.intervals import interval_table
from salesml_assets.forecasting.model.bundle import Bundle, Calendar
from salesml_assets.forecasting.model.history import forecast_history
from salesml_assets.forecasting.model.predict import predict_folds
from salesml_assets.forecasting.new_series import new_series
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.names import ENDED, SHORT_SERIES
from salesml_assets_tests.forecasting.predictions import in_batches
from salesml_assets_tests.serving.small_service import fitted

FIRST, DAYS, HORIZON = dt.date(2022, 1, 3), 500, 14
PLANNED = ["price", "promo", "open"]
SETTINGS = Settings(
    forecast={"horizon": HORIZON, "series": ["store"], "target": "quantity", "known_future": {"columns": PLANNED}}
)
CLOSED_FOR_GOOD = {6: 250, 7: 330}  # store: day
AS_USUAL = {"price": 10.0, "promo": 0.0, "open": 1.0}


def sales_of(stores: int = 10) -> pl.DataFrame:
    """Stores with prices that are cut at times, promotions, and days on which one is shut; two close for good."""
    random = np.random.default_rng(3)
    parts = []
    for number in range(stores):
        price = np.where(random.random(DAYS) < 0.2, 7.0, 10.0)
        promo, is_open = (random.random(DAYS) < 0.15) * 1.0, (random.random(DAYS) > 0.06) * 1.0
        is_open[CLOSED_FOR_GOOD.get(number, DAYS) :] = 1.0  # nobody says so: the plan goes on
        is_there = np.arange(DAYS) < CLOSED_FOR_GOOD.get(number, DAYS)
        mean = is_there * (20 + 5 * number) * (price / 10.0) ** -1.5 * (1 + 0.8 * promo) * is_open
        week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(DAYS) / 7)
        days = [FIRST + dt.timedelta(day) for day in range(DAYS)]
        parts.append(
            pl.DataFrame({"store": f"s{number}", "ds": days, "y": random.poisson(mean * week).astype(float),
                          "price": price, "promo": promo, "open": is_open})
        )  # fmt: skip
    return pl.concat(parts)


@pytest.fixture(scope="module")
def sales() -> pl.DataFrame:
    return sales_of()


@pytest.fixture(scope="module")
def bundle(sales: pl.DataFrame) -> Bundle:
    spec = feature_spec(SETTINGS, dict.fromkeys(PLANNED, "double"))
    last = FIRST + dt.timedelta(DAYS - 1)
    features = add_features(sales.with_columns(unique_id="store", closed=pl.lit(False)), spec)
    plan = PanelPlan(HORIZON, last, tuple(rolling_folds(last, HORIZON, 3, 1)), 0.5, 1)
    panel = expand(features, spec, plan).with_columns(volume_class=pl.lit("A"))
    model = fitted(panel, rounds=80, depth=5, eta=0.15)
    profiles = new_series(lambda: [features], spec, plan.folds[0].cutoff)
    known = {fold.number: profiles.profile(fold.cutoff, HORIZON) for fold in plan.folds}
    scored = predict_folds(dict.fromkeys(known, model), known, panel.filter(pl.col("kind") == "score"), True)
    return Bundle(
        model=model, version=1, algorithm="xgboost", parameters={}, cutoff=last, rows=1, features=spec,
        series_keys=("store",), horizon=HORIZON, calendar=Calendar(1, None, ()), non_negative=True,
        intervals=interval_table(in_batches(scored)), lake_versions={},
        settings=SETTINGS.model_dump(mode="json"), trained_at=dt.datetime(2023, 6, 1, tzinfo=dt.UTC),
        profile=profiles.profile(last, HORIZON),
    )  # fmt: skip


def plan(store: str, changes: dict[int, dict[str, float]] | None = None) -> pl.DataFrame:
    """What is planned for a store, as usual but for some steps ahead."""
    rows: list[dict[str, Any]] = []
    for step in range(1, HORIZON + 1):
        day = FIRST + dt.timedelta(DAYS - 1 + step)
        rows.append({"store": store, "ds": day, **AS_USUAL, **(changes or {}).get(step, {})})
    return pl.DataFrame(rows)


def forecasts(bundle: Bundle, sales: pl.DataFrame, changes: dict[int, dict[str, float]] | None = None) -> np.ndarray:
    made = forecast_history(bundle, sales, plan("s3", changes)).filter(pl.col("store") == "s3")
    return made["yhat"].to_numpy()


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [({"promo": 1.0}, 1.4, 2.2), ({"price": 7.0}, 1.3, 2.1), ({"open": 0.0}, 0.0, 0.12)],
    ids=["promotion", "price cut", "shut"],
)
def test_a_plan_for_one_day_moves_that_day_and_no_other(
    bundle: Bundle, sales: pl.DataFrame, change: dict[str, float], low: float, high: float
) -> None:
    usual, planned = forecasts(bundle, sales), forecasts(bundle, sales, {5: change})
    ratio = planned / usual
    assert low <= ratio[4] <= high
    assert np.delete(ratio, 4) == pytest.approx(np.ones(HORIZON - 1), abs=0.02)


def test_a_lasting_price_cut_raises_every_day(bundle: Bundle, sales: pl.DataFrame) -> None:
    usual = forecasts(bundle, sales)
    cut = forecasts(bundle, sales, {step: {"price": 7.0} for step in range(1, HORIZON + 1)})
    assert (cut > 1.2 * usual).all()
    dear = forecasts(bundle, sales, {step: {"price": 13.0} for step in range(1, HORIZON + 1)})
    assert dear.sum() <= usual.sum()


def test_a_store_that_will_close_sells_nothing_from_then_on(bundle: Bundle, sales: pl.DataFrame) -> None:
    usual = forecasts(bundle, sales)
    closing = forecasts(bundle, sales, {step: {"open": 0.0} for step in range(8, HORIZON + 1)})
    assert closing[:7] == pytest.approx(usual[:7], rel=0.02)
    assert closing[7:].sum() < 0.1 * usual[7:].sum()


@pytest.mark.parametrize(("silent", "most"), [(28, 0.35), (60, 0.2), (120, 0.0)])
def test_a_store_that_closed_unannounced_fades_and_ends(
    bundle: Bundle, sales: pl.DataFrame, silent: int, most: float
) -> None:
    """The model has seen stores close; after the level window the forecast is zero by rule."""
    gone = FIRST + dt.timedelta(DAYS - silent)
    closed = (pl.col("store") == "s3") & (pl.col("ds") >= gone)
    empty = sales.with_columns(y=pl.when(closed).then(0.0).otherwise("y"))
    made = forecast_history(bundle, empty, plan("s3")).filter(pl.col("store") == "s3")
    before = forecasts(bundle, sales)
    assert made["yhat"].sum() <= most * before.sum()
    assert (set(made["model"]) == {ENDED}) == (silent > 91)


def test_a_store_that_just_opened_is_forecast_at_its_level(bundle: Bundle, sales: pl.DataFrame) -> None:
    opened = FIRST + dt.timedelta(DAYS - 6)
    young = sales.filter((pl.col("store") != "s3") | (pl.col("ds") >= opened))
    made = forecast_history(bundle, young, plan("s3")).filter(pl.col("store") == "s3")
    assert set(made["model"]) <= set(SHORT_SERIES)
    assert len(made) == HORIZON
    assert 0.4 < made["yhat"].sum() / forecasts(bundle, sales).sum() < 2.5
    assert (made["hi95"] > made["yhat"]).all()
