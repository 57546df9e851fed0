"""Rows of (series, origin, horizon)."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import numpy as np
import polars as pl
import polars.testing
import pytest

from salesml_assets.forecasting.features import FeatureSpec, add_features
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import PanelPlan, expand, expand_future, feature_names

SPEC = FeatureSpec()
START, LAST, HORIZON = dt.date(2022, 1, 3), dt.date(2023, 12, 31), 10


def history(series: int = 5, seed: int = 1, numbers: tuple[str, ...] = ()) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    days = pl.date_range(START, LAST, eager=True)
    frames = [
        pl.DataFrame({
            "unique_id": f"s{number}", "product": f"s{number}", "ds": days,
            "y": random.gamma(2.0, 5.0, len(days)) * (random.random(len(days)) < 0.8),
            "closed": days.dt.weekday() == 7,
            **{name: random.integers(0, 2, len(days)).astype(float) for name in numbers},
        }).with_columns(y=pl.when("closed").then(0.0).otherwise("y"))
        for number in range(series)
    ]  # fmt: skip
    return pl.concat(frames)


def panel_of(frame: pl.DataFrame, share: float = 0.05, spec: FeatureSpec = SPEC, last: dt.date = LAST) -> pl.DataFrame:
    days = pl.date_range(last + dt.timedelta(1), last + dt.timedelta(HORIZON), eager=True)
    future = (
        frame.select("unique_id", "product").unique()
        .join(pl.DataFrame({"ds": days}), how="cross")
        .with_columns(closed=pl.col("ds").dt.weekday() == 7)
    )  # fmt: skip
    features = add_features(frame, spec)
    plan = PanelPlan(HORIZON, last, tuple(rolling_folds(last, HORIZON, 3, 1)), share, 42)
    return expand(pl.concat([features, future], how="diagonal_relaxed"), spec, plan)


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    return panel_of(history())


def test_targets_lie_at_origin_plus_horizon(panel: pl.DataFrame) -> None:
    assert ((panel["ds"] - panel["origin"]).dt.total_days() == panel["horizon"]).all()
    values = history().select("unique_id", "ds", pl.col("y").alias("truth"))
    joined = panel.filter(pl.col("kind") != "future").join(values, on=["unique_id", "ds"])
    assert (joined["y"] == joined["truth"]).all()


def test_every_fold_has_every_open_day_of_every_series(panel: pl.DataFrame) -> None:
    scored = panel.filter(pl.col("kind") == "score")
    for fold in rolling_folds(LAST, HORIZON, 3, 1):
        days = pl.date_range(fold.cutoff + dt.timedelta(1), fold.last, eager=True)
        open_days = (days.dt.weekday() != 7).sum()
        rows = scored.filter(pl.col("fold") == fold.number)
        assert rows.height == 5 * open_days
        assert rows["origin"].unique().to_list() == [fold.cutoff]


def test_every_series_is_forecast_over_the_whole_horizon(panel: pl.DataFrame) -> None:
    future = panel.filter(pl.col("kind") == "future")
    assert future.height == 5 * HORIZON
    assert future["y"].null_count() == future.height


def test_features_are_finite(panel: pl.DataFrame) -> None:
    names = [name for name in panel.columns if name.startswith("f_")]
    assert names == feature_names(FeatureSpec())
    assert panel.select(pl.all_horizontal(pl.col(names).is_finite().fill_null(False)).all()).item()


def test_seasonal_naive_is_the_nearest_same_weekday_that_was_open(panel: pl.DataFrame) -> None:
    values = {(row["unique_id"], row["ds"]): row["y"] for row in history().iter_rows(named=True)}
    for row in panel.filter(pl.col("kind") == "score").iter_rows(named=True):
        day = row["ds"] - dt.timedelta(7 * -(-row["horizon"] // 7))
        assert day <= row["origin"]
        assert row["seasonal_naive"] == values[row["unique_id"], day]


@pytest.mark.parametrize("numbers", [(), ("promotion",)])
def test_no_feature_changes_when_everything_after_the_origin_does(numbers: tuple[str, ...]) -> None:
    """Values after the cutoff are replaced; what was planned in advance stays."""
    spec = FeatureSpec(numbers=numbers)
    frame = history(numbers=numbers)
    cutoff = rolling_folds(LAST, HORIZON, 3, 1)[2].cutoff
    changed = frame.with_columns(y=pl.when(pl.col("ds") > cutoff).then(pl.col("y") * 7 + 1000).otherwise("y"))
    before, after = (
        panel_of(one, spec=spec).filter(pl.col("origin") <= cutoff).sort("kind", "unique_id", "origin", "horizon")
        for one in (frame, changed)
    )
    names = ["unique_id", "origin", "horizon", "scale", "seasonal_naive", *feature_names(spec)]
    assert before.height > 500
    pl.testing.assert_frame_equal(before.select(names), after.select(names))


def test_a_planned_covariate_moves_the_day_for_which_it_is_planned() -> None:
    spec = FeatureSpec(numbers=("promotion",))
    rows = panel_of(history(numbers=("promotion",)), spec=spec).filter(pl.col("kind") == "score")
    truth = history(numbers=("promotion",)).select("unique_id", "ds", pl.col("promotion").alias("planned"))
    joined = rows.join(truth, on=["unique_id", "ds"])
    assert (joined["f_promotion"] == joined["planned"]).all()


def test_the_sample_is_the_same_in_every_process(panel: pl.DataFrame) -> None:
    code = (
        "from salesml_assets_tests.forecasting.test_panel import *;"
        "print(panel_of(history()).filter(pl.col('kind') == 'train')['draw'].sum())"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(again.stdout) == pytest.approx(panel.filter(pl.col("kind") == "train")["draw"].sum(), abs=1e-9)


def test_the_sample_is_about_the_share_asked_for() -> None:
    frame = history()
    all_rows = panel_of(frame, share=1.0).filter(pl.col("kind") == "train").height
    some = panel_of(frame, share=0.1).filter(pl.col("kind") == "train").height
    assert some / all_rows == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("spec", "step"),
    [
        (FeatureSpec(numbers=("promo", "price"), texts=("flyer",)), 1),
        (FeatureSpec(True, 52, 52, (2, 4, 8, 13), 13, 8, ("promo", "price"), ("flyer",)), 7),
    ],
    ids=["daily", "weekly"],
)
def test_the_short_way_to_future_rows_gives_the_values_of_the_whole_panel(spec: FeatureSpec, step: int) -> None:
    random = np.random.default_rng(5)
    frame = history(4, numbers=("promo", "price")).with_columns(
        flyer=pl.when(pl.col("promo") > 0).then(pl.lit("a")), y=pl.when(pl.col("y") > 1).then("y")
    )
    frame = frame.filter((pl.col("ds") - START).dt.total_days() % step == 0).with_columns(
        closed=pl.col("closed") & (step == 1)
    )
    last = frame["ds"].max()
    assert isinstance(last, dt.date)
    # A series that is too short for a model, and one that has sold nothing for long.
    frame = frame.filter((pl.col("unique_id") != "s1") | (pl.col("ds") > last - dt.timedelta(5 * step)))
    frame = frame.with_columns(
        y=pl.when((pl.col("unique_id") == "s2") & (pl.col("ds").dt.year() > 2022)).then(0.0).otherwise("y")
    )
    days = [last + dt.timedelta(step * number) for number in range(1, HORIZON + 1)]
    future = (
        frame.select("unique_id", "product").unique().sort("unique_id").join(pl.DataFrame({"ds": days}), how="cross")
    )
    future = future.with_columns(
        closed=(pl.col("ds").dt.weekday() == 7) & (step == 1),
        promo=pl.Series(random.integers(0, 2, len(future)).astype(float)),
        flyer=pl.lit("b"),
    )
    extended = pl.concat([add_features(frame, spec), future], how="diagonal_relaxed")
    plan = PanelPlan(HORIZON, last, tuple(rolling_folds(last, HORIZON, 3, step)), 0.05, 42)
    whole = expand(extended, spec, plan).filter(pl.col("kind") == "future").sort("unique_id", "horizon")

    short = expand_future(extended, spec, HORIZON)

    assert len(short) == 4 * HORIZON
    polars.testing.assert_frame_equal(short.drop("draw"), whole.drop("draw"), check_exact=True)
    one = pl.concat(expand_future(part, spec, HORIZON) for part in extended.partition_by("unique_id"))
    polars.testing.assert_frame_equal(one.sort("unique_id", "horizon"), short, check_exact=True)


def ends(sold: dict[int, float], days: int = 730) -> list[bool]:
    """Whether a series has ended for each horizon, by what it sold on which day."""
    steps = pl.date_range(START, START + dt.timedelta(days - 1), eager=True)
    y = [sold.get(day, 0.0) for day in range(days)]
    frame = pl.DataFrame({"unique_id": "a", "product": "a", "ds": steps, "y": y, "closed": False})[min(sold) :]
    future = pl.DataFrame(
        {"unique_id": "a", "product": "a", "ds": [steps[-1] + dt.timedelta(n) for n in range(1, 29)], "closed": False}
    )
    rows = expand_future(pl.concat([add_features(frame, SPEC), future], how="diagonal"), SPEC, 28)
    return rows.sort("horizon")["ended"].to_list()


@pytest.mark.parametrize(
    ("sold", "ended"),
    [
        (dict.fromkeys(range(600), 5.0), True),  # daily, then not for 130 days
        (dict.fromkeys(range(690), 5.0), False),  # daily, then not for 40 days: it may be out of stock
        (dict.fromkeys(range(0, 600, 60), 1.0), False),  # once in 60 days: 190 days are not yet unusual
        (dict.fromkeys(range(0, 400, 30), 1.0), True),  # once in 30 days, then not for 340
        ({500: 1.0}, True),  # one sale, 229 days ago
        ({600: 1.0}, False),  # one sale, 129 days ago
        ({720: 1.0}, False),  # just launched
    ],
)
def test_a_series_has_ended_where_its_silence_is_no_accident(sold: dict[int, float], ended: bool) -> None:
    assert ends(sold) == [ended] * 28


def test_a_series_that_sold_at_this_time_of_an_earlier_year_has_a_season() -> None:
    """Sold daily in the 28 days that begin ten days after the end of the data, two years ago and one year ago."""
    last = 729
    season = {last + 10 + day - 364 * years: 5.0 for day in range(28) for years in (1, 2)}
    found = ends({day: units for day, units in season.items() if day >= 0})
    assert not any(found)
    # The same goods long after their season, whose next one is far away.
    assert all(ends({day - 150: units for day, units in season.items() if day >= 150}))
