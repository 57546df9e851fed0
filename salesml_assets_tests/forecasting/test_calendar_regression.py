"""The calendar regression: the ridge that NumPy finds at once, priors, time, parts that add up."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import polars.testing
import pytest

from salesml_assets.forecasting.calendar_columns import PARTS, REGRESSION
from salesml_assets.forecasting.calendar_regression import (
    EPOCH,
    HALF_LIFE,
    YEAR,
    SeriesCalendar,
    Terms,
    calendar_matrix,
    knots,
)
from salesml_assets.forecasting.features import FeatureSpec, add_features
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.holiday_features import Days
from salesml_assets.forecasting.panel import PanelPlan, expand, expand_future
from salesml_assets.forecasting.pooled import Pool, make_pool

HOLIDAYS = tuple(("X", f"{year}-{day}", "Feast") for year in range(2020, 2026) for day in ("05-01", "12-25"))
DAILY = FeatureSpec(numbers=("promo",), calendar_regression=True, calendar_features=True, holidays=HOLIDAYS, region="X")
WEEKLY = FeatureSpec(
    True,
    52,
    52,
    (2, 4, 8, 13),
    13,
    8,
    ("promo",),
    calendar_regression=True,
    calendar_features=True,
    holidays=HOLIDAYS,
    region="X",
)
LAST, HORIZON = dt.date(2023, 12, 31), 10


def series(spec: FeatureSpec, count: int = 6, seed: int = 3) -> pl.DataFrame:
    """Sales with weekdays, a promotion that doubles them, and a feast that halves them."""
    random = np.random.default_rng(seed)
    days = pl.date_range(dt.date(2021, 1, 3), LAST, f"{7 if spec.weekly else 1}d", eager=True)
    feast = np.array([f"{day:%m-%d}" in ("05-01", "12-25") for day in days])
    parts = []
    for number in range(count):
        promo = (random.random(len(days)) < 0.1).astype(float)
        week = 1.0 if spec.weekly else 1 + 0.3 * np.sin(np.array([day.weekday() for day in days]))
        mean = 20.0 * (number + 1) * week * (1 + promo) * np.where(feast, 0.5, 1.0)
        y = mean * random.gamma(20, 1 / 20, len(days))
        keys = {"unique_id": f"s{number}", "product": f"s{number}", "category": "ab"[number % 2]}
        part = pl.DataFrame({"ds": days, "y": y, "promo": promo, "closed": False})
        parts.append(part.with_columns(**{key: pl.lit(value) for key, value in keys.items()}))
    return pl.concat(parts)


def pool_of(frame: pl.DataFrame, spec: FeatureSpec, step: int) -> Pool:
    folds = rolling_folds(LAST, HORIZON, 3, step)
    cutoffs = tuple(fold.cutoff.toordinal() for fold in folds)
    at = knots(frame["ds"].min().toordinal(), LAST.toordinal(), cutoffs)  # type: ignore[union-attr]
    totals = frame.group_by("ds").agg(pl.col("y").sum()).with_columns(region=pl.lit("X"))
    return make_pool(add_features(frame, spec), totals, spec, at)


def extended(frame: pl.DataFrame, spec: FeatureSpec, step: int) -> pl.DataFrame:
    days = [LAST + dt.timedelta(step * number) for number in range(1, HORIZON + 1)]
    future = frame.select("unique_id", "product", "category").unique().sort("unique_id")
    future = future.join(pl.DataFrame({"ds": days}), how="cross")
    promo = (pl.col("ds") == days[3]).cast(pl.Float64)
    future = future.with_columns(closed=False, promo=promo)
    return pl.concat([add_features(frame, spec), future], how="diagonal_relaxed")


def panel_of(frame: pl.DataFrame, spec: FeatureSpec, pool: Pool, step: int = 1) -> pl.DataFrame:
    plan = PanelPlan(HORIZON, LAST, tuple(rolling_folds(LAST, HORIZON, 3, step)), 0.05, 42)
    return expand(extended(frame, spec, step), spec, plan, pool).sort("kind", "unique_id", "origin", "horizon")


def test_the_coefficients_are_those_of_one_ridge_over_all_rows() -> None:
    """Against least squares over the rows and, for the penalty, one more row for each term."""
    random = np.random.default_rng(1)
    terms = Terms.of(FeatureSpec())
    ordinals = EPOCH + 8_000 + np.arange(500)
    matrix = calendar_matrix(FeatureSpec(), Days(np.zeros(0, np.int64), ()), ordinals)
    y, usable = random.gamma(5.0, 4.0, 500), random.random(500) < 0.9
    prior = random.normal(size=(1, terms.count, 2)) * 0.1
    found = SeriesCalendar(matrix, y, usable, ordinals).moments(np.array([430]), np.array([20.0]))
    coefficients = found.solve(terms.penalties, prior)

    rows = matrix[:430][usable[:430]].copy()
    rows[:, -1] -= (ordinals[429] - EPOCH) / YEAR
    weights = np.sqrt(0.5 ** ((ordinals[429] - ordinals[:430][usable[:430]]) / HALF_LIFE))
    z = np.clip(y[:430][usable[:430]] / 20.0, 0, 10)
    root = np.sqrt(terms.penalties)
    for version, values in enumerate((z, np.log1p(z))):
        stacked = np.vstack([rows * weights[:, None], np.diag(root)])
        right = np.append(values * weights, root * prior[0, :, version])
        np.testing.assert_allclose(coefficients[0, :, version], np.linalg.lstsq(stacked, right)[0], atol=1e-7)


def test_knots_are_four_weeks_apart_and_have_the_cutoffs() -> None:
    found = knots(1_000, 1_100, (1_090, 1_065)).tolist()
    assert found == [1_016, 1_044, 1_065, 1_072, 1_090, 1_100]


@pytest.mark.parametrize(("spec", "step"), [(DAILY, 1), (WEEKLY, 7)], ids=["daily", "weekly"])
def test_nothing_changes_before_a_cutoff_when_all_later_sales_do(spec: FeatureSpec, step: int) -> None:
    frame = series(spec)
    cutoff = rolling_folds(LAST, HORIZON, 3, step)[2].cutoff
    changed = frame.with_columns(y=pl.when(pl.col("ds") > cutoff).then(pl.col("y") * 7 + 1_000).otherwise("y"))
    before, after = (
        panel_of(one, spec, pool_of(one, spec, step), step).filter(pl.col("origin") <= cutoff)
        for one in (frame, changed)
    )
    names = [name for name in before.columns if "calendar" in name or "holiday" in name]
    assert len(names) > 8
    assert before.height > 200
    pl.testing.assert_frame_equal(before.select(names), after.select(names))


@pytest.mark.parametrize(("spec", "step"), [(DAILY, 1), (WEEKLY, 7)], ids=["daily", "weekly"])
def test_one_series_alone_gets_the_values_of_the_whole_panel(spec: FeatureSpec, step: int) -> None:
    frame = series(spec)
    pool = pool_of(frame, spec, step)
    whole = panel_of(frame, spec, pool, step).filter(pl.col("kind") == "future")
    # What a fitted model keeps of the pool.
    from salesml_assets.forecasting.pooled import latest

    kept = Pool.from_frame(latest(pool.to_frame(Terms.of(spec))), Terms.of(spec))
    parts = extended(frame, spec, step).partition_by("unique_id")
    alone = pl.concat(expand_future(part, spec, HORIZON, kept) for part in parts).sort("unique_id", "horizon")
    pl.testing.assert_frame_equal(alone.drop("draw"), whole.drop("draw"), check_exact=True)


def test_a_promotion_a_feast_and_a_weekday_move_the_day_for_which_they_are_known() -> None:
    frame = series(DAILY)
    future = panel_of(frame, DAILY, pool_of(frame, DAILY, 1)).filter(kind="future", unique_id="s5")
    planned = future.filter(pl.col("horizon") == 4)
    assert planned["calendar_planned"].item() > 30  # the promotion doubles sales of some 120
    assert future.filter(pl.col("horizon") != 4)["calendar_planned"].abs().max() < 1e-9  # type: ignore[operator]
    scored = panel_of(frame, DAILY, pool_of(frame, DAILY, 1)).filter(kind="score")
    christmas = scored.filter(pl.col("ds") == dt.date(2023, 12, 25))
    assert (christmas["f_holiday_is"] == 1).all()
    assert christmas["f_holiday_effect"].is_between(0.35, 0.75).all()
    error = (scored[REGRESSION] - scored["y"]).abs().sum() / scored["y"].sum()
    naive = (scored["seasonal_naive"] - scored["y"]).abs().sum() / scored["y"].sum()
    assert error < 0.8 * naive


def test_the_parts_add_up_to_the_forecast() -> None:
    frame = series(DAILY)
    future = panel_of(frame, DAILY, pool_of(frame, DAILY, 1)).filter(kind="future")
    np.testing.assert_allclose(future.select(PARTS).to_numpy().sum(axis=1), future[REGRESSION].to_numpy(), rtol=1e-9)


def test_a_short_series_is_drawn_to_its_group() -> None:
    """Of two series with two weeks of history, the one of the group with a strong weekday shows it."""
    frame = series(DAILY, 8)
    strong = 1 + 0.9 * (pl.col("ds").dt.weekday() == 6)
    frame = frame.with_columns(y=pl.when(pl.col("category") == "a").then(pl.col("y") * strong).otherwise("y"))
    short = frame.filter(pl.col("unique_id").is_in(["s6", "s7"]) & (pl.col("ds") > LAST - dt.timedelta(15)))
    known = pl.concat([frame.filter(~pl.col("unique_id").is_in(["s6", "s7"])), short])
    pool = pool_of(known, DAILY, 1)
    plan = PanelPlan(HORIZON, LAST, tuple(rolling_folds(LAST, HORIZON, 3, 1)), 0.05, 42)
    future = expand(extended(known, DAILY, 1), DAILY, plan, pool).filter(pl.col("kind") == "future")
    saturday = future.filter(pl.col("ds").dt.weekday() == 6)
    saturday = saturday.group_by("unique_id").agg(pl.col("calendar_weekday").mean())
    level = dict(future.group_by("unique_id").agg(pl.col("scale").mean()).iter_rows())
    effect = {name: value / level[name] for name, value in saturday.iter_rows()}
    assert effect["s6"] > effect["s7"] + 0.2


def test_a_pool_of_other_features_is_refused() -> None:
    pool = pool_of(series(DAILY), DAILY, 1)
    frame = pool.to_frame(Terms.of(DAILY))
    with pytest.raises(ValueError, match="other terms"):
        Pool.from_frame(frame, Terms.of(WEEKLY))
