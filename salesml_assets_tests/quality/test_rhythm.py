"""Days, weeks, months, quarters: which rhythm a source has, and for which set-up it is none."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.quality.rhythm import contradiction, daily_from, isolated_start, rhythm_of


def days(dates: object, rows: int = 12, series: int = 12) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(dates)  # type: ignore[call-overload]
    return pd.DataFrame({"date": stamps.date, "rows": rows, "series": series})


@pytest.mark.parametrize(
    ("rule", "name"),
    [("MS", "monthly"), ("ME", "monthly"), ("BME", "monthly"), ("QS", "quarterly"), ("QE", "quarterly"),
     ("YS", "yearly"), ("W-MON", "weekly"), ("2W-FRI", "every other week"), ("D", "daily"), ("B", "daily")],
)  # fmt: skip
@pytest.mark.parametrize("series", [1, 12])
def test_rhythms(rule: str, name: str, series: int) -> None:
    periods = {"D": 400, "B": 300}.get(rule, 24)
    found = rhythm_of(days(pd.date_range("2019-01-01", periods=periods, freq=rule), series=series))
    assert found.name == name
    assert (contradiction(found, "D") is None) == (name == "daily")
    assert (contradiction(found, "W") is None) == (name in ("daily", "weekly"))


def test_the_reason_says_what_was_found() -> None:
    monthly = rhythm_of(days(pd.date_range("2019-01-01", periods=60, freq="MS")))
    reason = contradiction(monthly, "D")
    assert reason is not None
    assert "monthly rows, typically 31 days apart (2019-01-01, 2019-02-01, 2019-03-01, ...)" in reason
    weekly = rhythm_of(days(pd.date_range("2019-01-01", periods=60, freq="W")))
    assert "set forecast.frequency: W" in str(contradiction(weekly, "D"))


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0), st.integers(1, 5))
def test_sales_by_chance_are_daily(seed: int, rate: float, lines: int) -> None:
    random = np.random.default_rng(seed)
    every = pd.date_range("2022-01-03", periods=500)
    sold = every[random.random(500) < rate]
    # Each day a few of forty products.
    assert rhythm_of(days(sold, rows=lines, series=random.integers(1, 6, len(sold)))).name == "daily"


@given(st.sets(st.integers(0, 6), min_size=1, max_size=5), st.integers(6, 60))
def test_closed_weekdays_are_no_rhythm(closed: set[int], weeks: int) -> None:
    every = pd.date_range("2022-01-03", periods=7 * weeks)
    assert rhythm_of(days([day for day in every if day.day_of_week not in closed])).name == "daily"


def test_stocktaking_is_irregular() -> None:
    random = np.random.default_rng(1)
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.cumsum(random.integers(8, 60, 40)), "D")
    found = rhythm_of(days(dates))
    assert found.name == "irregular"
    assert "irregular" in str(contradiction(found, "D"))


def test_a_date_of_a_clock_that_began_anew() -> None:
    usual = days(pd.date_range("2024-05-02", "2024-06-30"), rows=4)
    stray = days(["1980-01-01"], rows=1, series=1)
    found = isolated_start(pd.concat([usual, stray]))
    assert found is not None
    assert (found.first, found.last, found.rows, found.then) == (
        dt.date(1980, 1, 1), dt.date(1980, 1, 1), 1, dt.date(2024, 5, 2),
    )  # fmt: skip
    assert isolated_start(usual) is None
    # A shop that was closed for half a year has a history before it.
    assert isolated_start(pd.concat([days(pd.date_range("2023-01-02", "2023-06-30"), rows=4), usual])) is None


def test_days_after_totals_of_months() -> None:
    totals = days(pd.date_range("2022-01-31", periods=12, freq="ME"))
    daily = days(pd.date_range("2023-01-01", "2023-12-31"))
    assert daily_from(pd.concat([totals, daily])) == dt.date(2023, 1, 1)
    assert daily_from(daily) is None
    assert daily_from(totals) is None
