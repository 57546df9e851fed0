"""The replay of orders against a plain loop over one shelf, and what has to hold of any policy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting import order_replay
from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.intervals import PROBABILITIES, held_out_tables, spread
from salesml_assets.forecasting.order_replay import (
    DEFAULT_LEVEL,
    REPLAYED_LEVELS,
    Policy,
    order_metrics,
    replay_orders,
    simulate,
)
from salesml_assets_tests.forecasting.predictions import in_batches

WEEKLY_ORDERS = Policy(lead_time=1, review=7)


def one_shelf(
    demand: list[float], forecast: list[float], variance: list[float], score: float, policy: Policy
) -> tuple[float, float]:
    """The same policy, step by step, with a list of deliveries under way."""
    horizon, served, stock = len(demand), 0.0, 0.0
    shelf = 0.0
    deliveries: list[tuple[int, float]] = []
    for step in range(horizon):
        if step % policy.review == 0:
            window = range(step, min(horizon, step + policy.lead_time + policy.review))
            level = max(0.0, sum(forecast[k] for k in window) + score * sum(variance[k] for k in window) ** 0.5)
            position = shelf + sum(amount for _, amount in deliveries)
            if step == 0:
                shelf = level
            elif level > position:
                deliveries.append((step + policy.lead_time, level - position))
        shelf += sum(amount for day, amount in deliveries if day == step)
        deliveries = [(day, amount) for day, amount in deliveries if day > step]
        sold = min(shelf, demand[step])
        shelf -= sold
        served += sold
        stock += shelf
    return served, stock / horizon


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 400)), min_size=1, max_size=20),
    st.floats(-3, 3),
    st.integers(0, 5),
    st.integers(1, 8),
)
def test_one_shelf_step_by_step(
    steps: list[tuple[float, float, float]], score: float, lead_time: int, review: int
) -> None:
    policy = Policy(lead_time, review)
    demand, forecast, variance = (np.array([values], dtype=float) for values in zip(*steps, strict=True))
    served, stock = simulate(demand, forecast, variance, np.array([score]), policy)
    expected = one_shelf(demand[0].tolist(), forecast[0].tolist(), variance[0].tolist(), score, policy)
    assert (served[0], stock[0]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_perfect_forecast_serves_everything_and_leaves_nothing() -> None:
    demand = np.random.default_rng(3).gamma(2.0, 5.0, (50, 28))
    served, stock = simulate(demand, demand, np.zeros_like(demand), np.zeros(50), Policy(0, 1))
    assert served == pytest.approx(demand.sum(axis=1))
    assert stock == pytest.approx(np.zeros(50), abs=1e-9)
    served, _ = simulate(demand, demand, np.zeros_like(demand), np.zeros(50), WEEKLY_ORDERS)
    assert served == pytest.approx(demand.sum(axis=1))


def test_more_safety_serves_more_and_takes_more_stock(predictions: dict[str, Batches]) -> None:
    found = replay_orders({"xgboost": predictions["xgboost"]}, WEEKLY_ORDERS, 0.85)
    assert found["service_level"].tolist() == sorted({*REPLAYED_LEVELS, 0.85})
    assert (found["fill_rate"].diff().dropna() > 0).all()
    assert (found["cover"].diff().dropna() > 0).all()
    assert found["fill_rate"].between(0, 1).all()


def test_a_better_forecast_needs_less_stock_for_the_same_availability(predictions: dict[str, Batches]) -> None:
    names = ("xgboost", "seasonal_naive")
    found = replay_orders({name: predictions[name] for name in names}, WEEKLY_ORDERS, DEFAULT_LEVEL)
    good, poor = (found[found["algorithm"] == name] for name in names)
    needed = np.interp(0.97, good["fill_rate"], good["cover"])
    assert needed < 0.9 * np.interp(0.97, poor["fill_rate"], poor["cover"])


def test_every_row_counts_once_whatever_its_batch(tables: dict[str, pl.DataFrame]) -> None:
    """Against a loop over the shelves of all series and folds, with quantiles of the sums in the other folds."""
    rows = tables["xgboost"].filter(pl.col("unique_id").is_in([f"s{number:03d}" for number in range(0, 300, 10)]))
    level, policy = 0.9, Policy(2, 5)
    prices = pl.DataFrame({"unique_id": rows["unique_id"].unique(maintain_order=True)}).with_row_index("price")
    prices = prices.with_columns(pl.col("price") + 1.0)
    with_unit = rows.with_columns(variance=spread() ** 2).join(prices, on="unique_id")
    shelves = {key: shelf.sort("horizon") for key, shelf in with_unit.group_by("unique_id", "fold")}
    errors = []
    for (_, fold), shelf in shelves.items():
        for first in (0, 5, 10, 15, 20):  # orders after which all seven steps are within the horizon
            window = shelf.slice(first, 7)
            score = (window["y"] - window["yhat"]).sum() / window["variance"].sum() ** 0.5
            errors.append((fold, window["scale"][0], score))
    scores = pl.DataFrame(errors, {"fold": pl.Int32, "scale": pl.Float64, "score": pl.Float64}, orient="row")
    served = stock = demand = 0.0
    for (_, fold), shelf in shelves.items():
        if fold == 0:
            continue
        table = held_out_tables(scores)[fold]
        size = int(np.argmax(shelf["scale"][0] >= table["min_scale"].to_numpy()))
        score = np.interp(level, PROBABILITIES, table["quantiles"][size].to_list())
        sold, held = one_shelf(
            shelf["y"].to_list(), shelf["yhat"].to_list(), shelf["variance"].to_list(), float(score), policy
        )
        price = shelf["price"][0]
        served, stock = served + price * sold, stock + price * held
        demand += price * shelf["y"].sum()
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    found = replay_orders({"xgboost": in_batches(shuffled, 999)}, policy, level, prices)
    found = found.set_index("service_level").loc[level]
    assert found["fill_rate"] == pytest.approx(served / demand, rel=1e-8)
    assert found["stock"] == pytest.approx(stock / 3, rel=1e-8)
    assert found["cover"] == pytest.approx(stock / (demand / 28), rel=1e-8)
    assert found["lost"] == pytest.approx((demand - served) / 3, rel=1e-8)


def test_an_order_lasts_as_often_as_its_level_says(predictions: dict[str, Batches]) -> None:
    """Although errors of neighbouring steps are alike (the shocks of these predictions are autocorrelated)."""
    steps = order_replay._steps_of(predictions["xgboost"], None)
    levels = [0.6, 0.8, 0.9, 0.95]
    scores = order_replay._window_scores(steps, WEEKLY_ORDERS, levels)
    scored = steps.fold >= 1
    for place, level in enumerate(levels):
        lasted = []
        for first in (0, 7, 14):
            window = slice(first, first + 8)
            safety = scores[:, place] * np.sqrt(steps.variance[:, window].sum(axis=1))
            up_to = steps.forecast[:, window].sum(axis=1) + safety
            lasted.append((steps.demand[:, window].sum(axis=1) <= up_to)[scored].mean())
        assert np.mean(lasted) == pytest.approx(level, abs=0.06)


def test_many_series_are_drawn_from(predictions: dict[str, Batches], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replay_orders({"a": predictions["xgboost"]}, WEEKLY_ORDERS, 0.9)
    monkeypatch.setattr(order_replay, "MAX_SERIES", 150)
    some = replay_orders({"a": predictions["xgboost"]}, WEEKLY_ORDERS, 0.9)
    assert (some["stock"] < whole["stock"]).all()
    assert some["fill_rate"].to_numpy() == pytest.approx(whole["fill_rate"].to_numpy(), abs=0.05)


def test_without_demand_there_is_no_rate(tables: dict[str, pl.DataFrame]) -> None:
    empty = in_batches(tables["xgboost"].with_columns(y=0.0))
    found = replay_orders({"xgboost": empty}, WEEKLY_ORDERS, 0.9)
    assert found[["fill_rate", "cover"]].isna().all(axis=None)
    assert (found["lost"] == 0).all()
    assert order_metrics(found, 0.9)["value"].isna().all()


def test_metrics_are_those_of_the_reported_level(predictions: dict[str, Batches]) -> None:
    found = replay_orders({"xgboost": predictions["xgboost"]}, WEEKLY_ORDERS, 0.9)
    metrics = order_metrics(found, 0.9)
    at = found.set_index("service_level").loc[0.9]
    expected = pd.DataFrame(
        {
            "algorithm": "xgboost", "dimension": "total", "segment": "all", "metric": ["fill_rate", "stock_cover"],
            "value": [at["fill_rate"], at["cover"]],
        }
    )  # fmt: skip
    pd.testing.assert_frame_equal(metrics, expected)


@pytest.mark.parametrize(("frequency", "review"), [("D", 7), ("W", 1), ("W-SAT", 1)])
def test_orders_are_placed_weekly_by_default(frequency: str, review: int) -> None:
    assert Policy.of(Settings(forecast={"frequency": frequency})) == Policy(1, review)
    assert Policy.of(Settings(orders={"lead_time": 3, "review": 2})) == Policy(3, 2)
