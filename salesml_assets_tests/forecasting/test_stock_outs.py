"""What was sold of a product that was out of stock is no demand: neither in lags and means nor in what is learned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl
import polars.testing
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import PanelPlan, expand, expand_future

FIRST = dt.date(2022, 1, 3)
HORIZON = 14
MASKED = FeatureSpec(stock_outs=True, calendar_regression=True)


def shelf(demand: Sequence[float], out: Sequence[bool], *, is_known: bool = True) -> pl.DataFrame:
    """One product that sells nothing while it is out of stock, with flags or without."""
    days = [FIRST + dt.timedelta(number) for number in range(len(demand))]
    frame = pl.DataFrame({"unique_id": "a", "ds": days, "y": demand, "stock_out": out, "closed": False})
    if is_known:
        return frame.with_columns(pl.when(~pl.col("stock_out")).then("y").alias("y"))
    return frame.with_columns(y=pl.when(~pl.col("stock_out")).then("y").otherwise(0.0)).drop("stock_out")


def ahead(frame: pl.DataFrame) -> pl.DataFrame:
    last = frame["ds"].max()
    assert isinstance(last, dt.date)
    days = [last + dt.timedelta(step) for step in range(1, HORIZON + 1)]
    return pl.DataFrame({"unique_id": "a", "ds": days, "closed": False})


def rows_of(frame: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    return expand_future(pl.concat([add_features(frame, spec), ahead(frame)], how="diagonal"), spec, HORIZON)


def often_out(seed: int, days: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected demand, demand, and spells out of stock that begin on busy days and take a third of all days."""
    random = np.random.default_rng(seed)
    mean = 20.0 * np.exp(0.3 * np.sin(2 * np.pi * np.arange(days + HORIZON) / 7))
    demand = random.poisson(mean[:days]).astype(float)
    out, left = np.zeros(days, dtype=bool), 0
    for day in range(days):
        left = left - 1 if left else (int(random.integers(3, 7)) if random.random() < demand[day] / 160 else 0)
        out[day] = left > 0
    return mean, demand, out


@pytest.mark.parametrize("name", ["seasonal_naive", "average_short", "average_long", "calendar_regression"])
def test_flags_raise_the_forecast_towards_what_would_have_sold(name: str) -> None:
    errors: dict[bool, list[float]] = {True: [], False: []}
    totals: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(12):
        mean, demand, out = often_out(seed)
        for known in (True, False):
            spec = MASKED if known else FeatureSpec(calendar_regression=True)
            forecast = rows_of(shelf(demand.tolist(), out.tolist(), is_known=known), spec)[name].to_numpy()
            truth = mean[-HORIZON:]
            errors[known].append(np.abs(forecast - truth).sum() / truth.sum())
            totals[known].append(forecast.sum() / truth.sum())
    assert np.mean(totals[True]) == pytest.approx(1.0, abs=0.1)
    assert np.mean(totals[False]) < 0.85
    assert np.mean(errors[True]) < 0.7 * np.mean(errors[False])


def test_means_skip_what_was_out_of_stock_and_last_while_it_is() -> None:
    demand = [float(10 + number % 7) for number in range(200)]
    out = [120 <= number < 130 or number >= 170 for number in range(200)]
    found = add_features(shelf(demand, out), MASKED)
    for day in (125, 128, 169, 199):
        known = [value for value, missing in zip(demand[: day + 1], out[: day + 1], strict=True) if not missing]
        # Windows are of days: those before the spell slide out of a short one, and its last mean goes on.
        window = [demand[k] for k in range(max(0, day - 27), day + 1) if not out[k]]
        row = found.row(day, named=True)
        if window:
            assert row["mean_28"] == pytest.approx(np.mean(window))
        assert row["mean_7"] is not None
        assert row["scale"] > 10
        assert row["live"]
        assert row["known"] == len(known)
        assert row["since_sale"] == 0
    assert found.row(199, named=True)["mean_28"] == found.row(196, named=True)["mean_28"]


def test_a_product_that_is_out_of_stock_for_long_has_not_stopped_selling() -> None:
    demand = [float(5 + number % 3) for number in range(400)]
    out = [number >= 200 for number in range(400)]
    missing, silent = (rows_of(shelf(demand, out, is_known=known), MASKED) for known in (True, False))
    assert silent["ended"].all()
    assert not missing["ended"].any()
    assert missing["average_long"].to_numpy() == pytest.approx(np.full(HORIZON, 6.0), abs=0.1)


def test_neither_learned_from_nor_scored() -> None:
    _, demand, out = often_out(3)
    frame = shelf(demand.tolist(), out.tolist())
    last = frame["ds"].max()
    assert isinstance(last, dt.date)
    plan = PanelPlan(HORIZON, last, tuple(rolling_folds(last, HORIZON, 3, 1)), 1.0, 1)
    panel = expand(pl.concat([add_features(frame, MASKED), ahead(frame)], how="diagonal"), MASKED, plan)
    missing = frame.filter("stock_out")["ds"].implode()
    targets = panel.filter(pl.col("kind") != "future")
    assert not targets["ds"].is_in(missing).any()
    assert targets["y"].null_count() == 0
    assert {kind for (kind,) in panel.select(pl.col("kind").unique()).iter_rows()} == {"train", "score", "future"}


def test_without_flags_nothing_changes() -> None:
    random = np.random.default_rng(5)
    demand = random.poisson(3.0, 300).astype(float).tolist()
    plain = shelf(demand, [False] * 300, is_known=False)
    flagged = shelf(demand, [False] * 300)
    pl.testing.assert_frame_equal(
        add_features(flagged, FeatureSpec()).drop("stock_out"), add_features(plain, FeatureSpec()), check_exact=True
    )
    pl.testing.assert_frame_equal(rows_of(flagged, MASKED), rows_of(plain, FeatureSpec(calendar_regression=True)))


def test_the_definition_of_features_knows_whether_there_are_flags() -> None:
    assert not feature_spec(Settings(), {}).stock_outs
    assert feature_spec(Settings(sales={"columns": {"stock_out": "oos"}}), {}).stock_outs
