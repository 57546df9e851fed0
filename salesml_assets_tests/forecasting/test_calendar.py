"""When the business trades, and gap-free series."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import BusinessCalendar, business_calendar
from salesml_assets.forecasting.training.series import calendar_of_series, daily_rows, future_steps, sales_series

SATURDAY = 5


def daily(start: str, days: int, closed: Callable[[pd.Timestamp], bool], rows: int = 50) -> pd.DataFrame:
    dates = pd.date_range(start, periods=days)
    return pd.DataFrame({"date": dates, "rows": [0 if closed(day) else rows for day in dates]}).query("rows > 0")


def test_weekly_closed_days_and_holidays_are_recognised() -> None:
    holidays = {pd.Timestamp("2023-12-25"), pd.Timestamp("2023-12-26")}
    counts = daily("2023-10-02", 150, lambda day: day.day_of_week == SATURDAY or day in holidays)
    calendar = business_calendar(counts, "D")
    assert calendar.closed_weekdays == (SATURDAY,)
    saturdays = {day.date() for day in pd.date_range("2023-10-02", periods=150) if day.day_of_week == SATURDAY}
    assert set(calendar.closed_days) == saturdays | {day.date() for day in holidays}
    assert calendar.is_closed(dt.date(2024, 3, 2))
    assert not calendar.is_closed(dt.date(2024, 3, 4))


def test_a_quiet_day_of_a_small_business_is_not_closed() -> None:
    counts = daily("2023-10-02", 100, lambda day: day.day == 13, rows=2)
    assert business_calendar(counts, "D").closed_days == ()


def test_a_weekday_that_opens_later_is_closed_only_before() -> None:
    opening = pd.Timestamp("2023-07-02")
    counts = daily("2023-01-01", 400, lambda day: day.day_of_week == 6 and day < opening)
    calendar = business_calendar(counts, "D")
    assert calendar.closed_weekdays == ()
    assert max(calendar.closed_days) < opening.date()
    assert len(calendar.closed_days) >= 24


@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_sale_once_a_week_makes_no_closed_days(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sold = {pd.Timestamp("2023-01-02") + pd.Timedelta(int(7 * week + random.integers(0, 7)), "D") for week in range(60)}
    calendar = business_calendar(pd.DataFrame({"date": sorted(sold), "rows": rows}), "D")
    assert calendar.closed_weekdays == ()
    assert calendar.closed_days == ()


def test_one_sale_makes_no_closed_days() -> None:
    dates = pd.date_range("2023-11-24", periods=220)
    calendar = business_calendar(pd.DataFrame({"date": dates, "rows": [int(n == 4) for n in range(220)]}), "D")
    assert (calendar.closed_days, calendar.closed_weekdays) == ((), ())


@given(st.sets(st.integers(0, 6), max_size=4), st.integers(10, 60))
def test_closed_weekdays_are_closed_in_the_past_and_ahead(weekdays: set[int], weeks: int) -> None:
    counts = daily("2023-01-02", 7 * weeks, lambda day: day.day_of_week in weekdays)
    calendar = business_calendar(counts, "D")
    assert set(calendar.closed_weekdays) == weekdays
    past = pd.date_range(calendar.first, calendar.last)
    assert set(calendar.closed_days) == {day.date() for day in past if day.day_of_week in weekdays}


def test_a_weekday_that_closes_is_closed_ahead() -> None:
    counts = daily("2023-01-02", 400, lambda day: day.day_of_week == 6 and day >= pd.Timestamp("2023-12-28"))
    assert business_calendar(counts, "D").closed_weekdays == (6,)


@pytest.mark.parametrize(("frequency", "end"), [("W", 4), ("W-SUN", 6), ("W-MON", 0)])
def test_weeks_end_as_the_source_does_or_as_set(frequency: str, end: int) -> None:
    fridays = pd.DataFrame({"date": pd.date_range("2023-01-06", periods=60, freq="W-FRI"), "rows": 9})
    assert business_calendar(fridays, frequency).week_end == end


def test_an_incomplete_last_week_waits() -> None:
    counts = daily("2023-01-02", 66, lambda day: False)  # ends on a Wednesday
    assert business_calendar(counts, "W").last == dt.date(2023, 3, 5)


def test_a_week_whose_missing_days_are_closed_is_complete() -> None:
    counts = daily("2023-01-02", 68, lambda day: day.day_of_week >= SATURDAY)  # ends on a Friday
    assert business_calendar(counts, "W").last == dt.date(2023, 3, 12)


@given(st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)), st.integers(0, 6))
def test_a_step_ends_on_its_weekday_within_a_week(day: dt.date, week_end: int) -> None:
    end = BusinessCalendar(day, day, week_end).step_end(day)
    assert end.weekday() == week_end
    assert 0 <= (end - day).days <= 6


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Sales lines of 12 products over 20 weeks, closed on Sundays, some days without a sale."""
    random = np.random.default_rng(7)
    rows = []
    for product in range(12):
        start = int(random.integers(0, 40)) if product else 0
        for day in pd.date_range("2023-01-02", periods=140)[start:]:
            if day.day_of_week != 6 and random.random() < 0.8:
                rows += [
                    (day.date(), f"p{product}", float(random.integers(1, 9)), "even" if product % 2 == 0 else "odd")
                ]
    frame = pd.DataFrame(rows, columns=["date", "product", "quantity", "category"])
    return frame.assign(revenue=frame["quantity"] * 2.5)


@pytest.mark.parametrize("frequency", ["D", "W"])
def test_series_have_no_gaps_and_lose_nothing(
    spark: SparkSession, lines: pd.DataFrame, settings_for: Callable[..., Settings], frequency: str
) -> None:
    settings = settings_for(forecast={"frequency": frequency})
    sales = spark.createDataFrame(lines)
    calendar = business_calendar(daily_rows(sales, "revenue"), frequency)
    series = sales_series(sales, settings, calendar).toPandas()
    step = pd.Timedelta(days=calendar.step_days)
    for _, one in series.sort_values("ds").groupby("unique_id"):
        assert (pd.to_datetime(one["ds"]).diff().dropna() == step).all()
        assert one["ds"].max() == calendar.last
    counted = lines[lines["date"] <= calendar.last]
    assert series["y"].sum() == pytest.approx(counted["revenue"].sum())
    assert series["rows"].sum() == len(counted)
    assert set(series.loc[series["unique_id"] == "p3", "category"]) == {"odd"}
    if frequency == "D":
        sundays = pd.to_datetime(series["ds"]).dt.day_of_week == 6
        assert (series["closed"] == sundays).all()


@pytest.mark.parametrize("frequency", ["D", "W"])
def test_the_order_of_the_sales_changes_nothing(
    spark: SparkSession, settings_for: Callable[..., Settings], frequency: str
) -> None:
    random = np.random.default_rng(11)
    prices = [0.07, 0.1, 0.29, 0.3, 1.1, 2.55]
    days = pd.date_range("2023-01-02", periods=28).date
    frame = pd.DataFrame(
        {
            "date": random.choice(days, 4000),
            "product": random.choice(["p0", "p1"], 4000),
            "quantity": random.integers(1, 40, 4000).astype(float),
            "price": random.choice(prices, 4000),
        }
    )
    frame["revenue"] = frame["quantity"] * frame["price"]
    # What is sold on the last two days comes back on the same day, in parts.
    halves = [frame.assign(quantity=-frame["quantity"] / 2, revenue=-frame["revenue"] / 2) for _ in range(2)]
    returned = [half[half["date"] >= days[-2]] for half in halves]
    lines = pd.concat([frame, *returned], ignore_index=True)
    settings = settings_for(forecast={"frequency": frequency, "known_future": {"columns": ["price"]}})
    calendar = BusinessCalendar(days[0], days[-1], None if frequency == "D" else 6)
    results = []
    for seed in range(3):
        sales = spark.createDataFrame(lines.sample(frac=1.0, random_state=seed))
        series = sales_series(sales.repartition(3), settings, calendar)
        results.append(series.toPandas().sort_values(["unique_id", "ds"], ignore_index=True))
    for other in results[1:]:
        pd.testing.assert_frame_equal(results[0], other, check_exact=True)
    sums = frame.groupby(["product", "date"])["revenue"].sum()
    if frequency == "D":
        one = results[0].set_index(["unique_id", "ds"])
        assert (one.loc[(slice(None), list(days[-2:])), ["y", "revenue", "quantity"]] == 0.0).all(axis=None)
        for (product, day), amount in sums.items():
            if day < days[-2]:
                assert one.loc[(product, day), "y"] == pytest.approx(amount, rel=1e-12)


def test_amounts_beyond_any_trade_are_summed_as_they_are(
    spark: SparkSession, lines: pd.DataFrame, settings_for: Callable[..., Settings]
) -> None:
    huge = lines.assign(revenue=lines["revenue"] * 1e30)
    settings = settings_for(forecast={"frequency": "W"})
    calendar = business_calendar(daily_rows(spark.createDataFrame(lines), "revenue"), "W")
    series = sales_series(spark.createDataFrame(huge), settings, calendar).toPandas()
    expected = huge.loc[huge["date"] <= calendar.last, "revenue"].sum()
    assert series["y"].sum() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("frequency", ["D", "W"])
def test_zeros_before_the_first_sale_are_no_history(
    spark: SparkSession, lines: pd.DataFrame, settings_for: Callable[..., Settings], frequency: str
) -> None:
    """A table that lists each product on each day, as ERP systems export it; `dead` never sold anything."""
    days = pd.date_range("2023-01-02", periods=140).date
    names = [*sorted(lines["product"].unique()), "dead"]
    zeros = pd.DataFrame([(day, name, 0.0, "none", 0.0) for day in days for name in names], columns=lines.columns)
    # On p1's first day a sale comes back at once: that is no sale either.
    back = pd.DataFrame([(days[0], "p1", amount, "odd", 2.5 * amount) for amount in (3.0, -3.0)], columns=lines.columns)
    settings = settings_for(forecast={"frequency": frequency})
    calendar = business_calendar(daily_rows(spark.createDataFrame(lines), "revenue"), frequency)
    sparse = sales_series(spark.createDataFrame(lines), settings, calendar).toPandas()
    rows = pd.concat([lines, zeros, back]).to_dict("records")  # columns of text in several chunks are refused
    listed = sales_series(spark.createDataFrame(rows), settings, calendar).toPandas()
    order = ["unique_id", "ds"]
    sold = listed[listed["unique_id"] != "dead"].sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(sold[[*order, "y"]], sparse.sort_values(order, ignore_index=True)[[*order, "y"]])
    assert (
        len(listed[listed["unique_id"] == "dead"])
        == (calendar.last - calendar.step_end(days[0])).days // (calendar.step_days) + 1
    )


def test_unknown_days_stay_unknown(
    spark: SparkSession, lines: pd.DataFrame, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(sales={"gaps": "unknown"})
    sales = spark.createDataFrame(lines)
    calendar = business_calendar(daily_rows(sales, "revenue"), "D")
    series = sales_series(sales, settings, calendar).toPandas()
    assert (series["y"].isna() == (series["rows"] == 0)).all()


def test_the_calendar_of_the_series_is_that_of_the_sales(
    spark: SparkSession, lines: pd.DataFrame, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(forecast={"horizon": 5})
    sales = spark.createDataFrame(lines)
    calendar = business_calendar(daily_rows(sales, "revenue"), "D")
    series = sales_series(sales, settings, calendar)
    again = calendar_of_series(series, settings)
    assert (again.last, again.closed_weekdays) == (calendar.last, calendar.closed_weekdays)
    ahead = future_steps(series, settings, calendar).toPandas()
    assert len(ahead) == 12 * 5
    assert ahead["ds"].min() == calendar.last + dt.timedelta(1)
    assert (ahead["closed"] == (pd.to_datetime(ahead["ds"]).dt.day_of_week == 6)).all()
