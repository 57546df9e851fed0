"""What is learned of new series, and the forecasts of those that are too short for a model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import polars as pl
import polars.testing
import pytest

from salesml_assets.forecasting.features import FeatureSpec, add_features
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.model.profile import Profile, profile_from_json, profile_to_json
from salesml_assets.forecasting.new_series import new_series
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.names import CATEGORY_PROFILE, FALLBACK, SHOP_PROFILE

START, DAYS, HORIZON = dt.date(2023, 1, 2), 600, 14
LAST = START + dt.timedelta(DAYS - 1)
SPEC = FeatureSpec()
WEEKEND = 2.0  # Saturdays sell so many times as much as other days; Sundays are closed
LEVELS = {"shirts": 6.0, "socks": 1.0}


def fashion(series: int = 400, spread: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Products that are launched all the time, sell for three weeks at the level of their category, then no more."""
    random = np.random.default_rng(seed)
    frames = []
    for number in range(series):
        category = ("shirts", "socks")[number % 2]
        born = int(random.integers(0, DAYS - 1))
        days = pl.date_range(START + dt.timedelta(born), LAST, eager=True)
        level = LEVELS[category] * (random.gamma(1 / spread, spread) if spread else 1.0)
        shape = np.where(days.dt.weekday().to_numpy() == 6, WEEKEND, 1.0) * (np.arange(len(days)) < 21)
        shape = np.where(days.dt.weekday().to_numpy() == 7, 0.0, shape)
        y = random.poisson(level * shape).astype(float)
        first = int(np.argmax(y > 0))
        frames.append(
            pl.DataFrame({"unique_id": f"s{number:03d}", "product": f"s{number:03d}", "category": category,
                          "ds": days, "y": y}).with_columns(closed=pl.col("ds").dt.weekday() == 7)[first:]
        )  # fmt: skip
    return pl.concat(frames)


def scored(features: pl.DataFrame, folds: int = 6) -> pl.DataFrame:
    """The rows to score of series that are short at their origin."""
    steps = pl.DataFrame({"ds": [LAST + dt.timedelta(step) for step in range(1, HORIZON + 1)]})
    future = features.select("unique_id", "product", "category").unique().join(steps, how="cross")
    extended = pl.concat([features, future.with_columns(closed=pl.col("ds").dt.weekday() == 7)], how="diagonal")
    plan = PanelPlan(HORIZON, LAST, tuple(rolling_folds(LAST, HORIZON, folds, 1)), 0.0, 1)
    return expand(extended, SPEC, plan).filter((pl.col("kind") == "score") & pl.col("short"))


def forecasts(features: pl.DataFrame, rows: pl.DataFrame, folds: int = 6) -> pl.DataFrame:
    """Each fold's rows with the forecast of the profile of its cutoff."""
    cutoffs = rolling_folds(LAST, HORIZON, folds, 1)
    learned = new_series(lambda: features.iter_slices(777), SPEC, cutoffs[0].cutoff)
    parts = [rows.filter(pl.col("fold") == fold.number) for fold in cutoffs]
    made = [learned.profile(fold.cutoff, HORIZON).forecast(part) for fold, part in zip(cutoffs, parts, strict=True)]
    return pl.concat([part.hstack(one) for part, one in zip(parts, made, strict=True) if len(part)])


def whole(features: pl.DataFrame) -> Callable[[], list[pl.DataFrame]]:
    """All rows as one batch."""
    return lambda: [features]


def wape(rows: pl.DataFrame, column: str) -> float:
    return float((rows[column] - rows["y"]).abs().sum() / rows["y"].abs().sum())


def bias(rows: pl.DataFrame, column: str) -> float:
    return float((rows[column] - rows["y"]).sum() / rows["y"].abs().sum())


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_new_products_are_forecast_better_than_by_their_own_mean(spread: float) -> None:
    """With and without lasting differences between the products of a category."""
    features = add_features(fashion(spread=spread), SPEC)
    rows = forecasts(features, scored(features))
    assert rows.height > 200
    assert set(rows["by"]) == {CATEGORY_PROFILE}
    assert wape(rows, "yhat") < wape(rows, "average_long") - 0.03
    assert abs(bias(rows, "yhat")) < 0.1


def test_a_first_sale_alone_is_no_level() -> None:
    """A product that sold one piece on its first day is one of a category that sells 0.1 a day, not one of 1 a day."""
    random = np.random.default_rng(4)
    days = pl.date_range(START, LAST, eager=True)
    frames = []
    for number in range(200):
        sold = random.poisson(0.1, DAYS).astype(float)
        first = int(np.argmax(sold > 0)) if number else DAYS - 1
        sold[first] = max(sold[first], 1.0)
        frames.append(pl.DataFrame({"unique_id": f"s{number:03d}", "ds": days, "y": sold, "closed": False})[first:])
    features = add_features(pl.concat(frames), SPEC)
    profile = new_series(whole(features), SPEC, LAST).profile(LAST, HORIZON)
    newest = pl.DataFrame(
        {"origin": [LAST], "ds": [LAST + dt.timedelta(3)], "horizon": [3], "age": [1], "known": [1],
         "average_long": [1.0]}
    )  # fmt: skip
    (made,) = profile.forecast(newest).iter_rows(named=True)
    assert made["by"] == SHOP_PROFILE
    assert made["yhat"] == pytest.approx(0.1, rel=0.3)


def test_weekdays_and_trust_are_those_of_the_category() -> None:
    even, different = (fashion(spread=spread, seed=3) for spread in (0.0, 1.0))
    tables = []
    for frame in (even, different):
        learned = new_series(whole(add_features(frame, SPEC)), SPEC, LAST - dt.timedelta(100)).profile(LAST, HORIZON)
        assert learned.categories == ["shirts", "socks"]
        tables.append(learned.table.filter(pl.col("category") == "shirts"))
    weekdays = dict(tables[0].filter(pl.col("part") == "weekday").select("step", "value").iter_rows())
    assert set(weekdays) == {1, 2, 3, 4, 5, 6}  # Sundays are closed
    assert weekdays[6] / np.mean([weekdays[day] for day in range(1, 6)]) == pytest.approx(WEEKEND, rel=0.15)
    trust = [float(table.filter(pl.col("part") == "trust")["value"].item()) for table in tables]
    # Where products of a category differ little, their own few sales say little.
    assert trust[0] > 5 * trust[1]


def test_a_profile_knows_nothing_after_its_cutoff() -> None:
    frame, cutoff = fashion(), LAST - dt.timedelta(60)
    changed = frame.with_columns(y=pl.when(pl.col("ds") > cutoff).then(pl.col("y") * 9 + 5).otherwise("y"))
    one, other = (
        new_series(whole(add_features(each, SPEC)), SPEC, cutoff).profile(cutoff, HORIZON) for each in (frame, changed)
    )
    pl.testing.assert_frame_equal(one.table, other.table)


def test_batches_of_any_size_give_the_same_profile_and_forecasts() -> None:
    features = add_features(fashion(100), SPEC)
    rows = scored(features)
    one = new_series(whole(features), SPEC, LAST).profile(LAST, HORIZON)
    parts = new_series(lambda: features.iter_slices(113), SPEC, LAST).profile(LAST, HORIZON)
    pl.testing.assert_frame_equal(one.table, parts.table)
    made = pl.concat(one.forecast(part) for part in rows.iter_slices(7))
    pl.testing.assert_frame_equal(one.forecast(rows), made, check_exact=True)


def test_a_saved_profile_forecasts_the_same() -> None:
    features = add_features(fashion(100), SPEC)
    rows = scored(features)
    profile = new_series(whole(features), SPEC, LAST).profile(LAST, HORIZON)
    again = profile_from_json(profile_to_json(profile))
    pl.testing.assert_frame_equal(profile.forecast(rows), again.forecast(rows), check_exact=True)


def test_an_unknown_category_is_forecast_as_the_shop() -> None:
    features = add_features(fashion(100), SPEC)
    rows = scored(features).head(5)
    profile = new_series(whole(features), SPEC, LAST).profile(LAST, HORIZON)
    for changed in (rows.with_columns(category=pl.lit("hats")), rows.drop("category")):
        assert set(profile.forecast(changed)["by"]) == {SHOP_PROFILE}


def test_where_nothing_is_known_the_own_mean_stays() -> None:
    rows = scored(add_features(fashion(100), SPEC)).head(5)
    made = Profile().forecast(rows)
    assert set(made["by"]) == {FALLBACK}
    assert made["yhat"].to_list() == rows["average_long"].to_list()


def test_last_years_season_moves_the_level() -> None:
    """A shop that sells twice as much in December, with a year of history before it."""
    days = pl.date_range(dt.date(2022, 1, 1), dt.date(2023, 11, 25), eager=True)
    factor = np.where(days.dt.month().to_numpy() == 12, 2.0, 1.0)
    frame = pl.concat(
        pl.DataFrame({"unique_id": f"s{number}", "ds": days, "y": 10 * factor, "closed": False}) for number in range(60)
    )
    last = days[-1]
    profile = new_series(whole(add_features(frame, SPEC)), SPEC, last).profile(last, 28)
    seasons = profile.table.filter(pl.col("part") == "season")["value"].to_list()
    assert seasons[0] == pytest.approx(1.0, abs=0.3)
    assert 1.4 < seasons[-1] < 2.0
    assert seasons == sorted(seasons)


def test_weekly_series_have_no_weekdays() -> None:
    spec = FeatureSpec(weekly=True, season=52, year=52, windows=(2, 4, 8, 13), recent=13, min_history=8)
    weeks = pl.date_range(dt.date(2022, 1, 2), dt.date(2023, 12, 31), "1w", eager=True)
    random = np.random.default_rng(1)
    frame = pl.concat(
        pl.DataFrame({"unique_id": f"s{number}", "ds": weeks, "y": random.poisson(5.0, len(weeks)).astype(float),
                      "closed": False})[int(random.integers(0, 90)):]
        for number in range(60)
    )  # fmt: skip
    profile = new_series(whole(add_features(frame, spec)), spec, weeks[-1]).profile(weeks[-1], 4)
    assert "weekday" not in set(profile.table["part"])
    row = pl.DataFrame({"origin": [weeks[-1]], "ds": [weeks[-1] + dt.timedelta(14)], "horizon": [2], "age": [3],
                        "known": [3], "average_long": [6.0]})  # fmt: skip
    assert profile.forecast(row)["yhat"].item() == pytest.approx(5.0, rel=0.2)
