"""From accepted sales to one gap-free calendar per series.

A step is a day, or a week that ends on a fixed weekday. Between the first sale of a series and the last
day of the data every step has a row; days on which the whole business is closed are marked.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
from scipy.stats import binom

from salesml_assets.config.settings import Settings

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
IMPLAUSIBLE = 0.001
HABIT_WEEKS = (5, 13)  # windows in which a weekday's habit shows: a recent change, and a lasting one
BUSY_WEEKS = 53  # window of the rate at which the business sells at all
MIN_WEEKS = 3
# A business whose ordinary day has this many rows has an empty one by chance less than once in a thousand (Poisson).
ROWS_THAT_MAKE_ZERO_IMPLAUSIBLE = -math.log(IMPLAUSIBLE)


@dataclass(frozen=True)
class BusinessCalendar:
    """When the business as a whole trades.

    Attributes:
        first: First day of the data.
        last: Last day of the data that belongs to a complete step.
        week_end: Weekday on which a step ends (Monday is 0); None for days.
        closed_days: Days without any sale on which the business was closed.
        closed_weekdays: Weekdays on which it does not trade (Monday is 0), as things stand at the end of the data.
    """

    first: dt.date
    last: dt.date
    week_end: int | None = None
    closed_days: tuple[dt.date, ...] = ()
    closed_weekdays: tuple[int, ...] = ()

    @property
    def step_days(self) -> int:
        """Days in one step."""
        return 1 if self.week_end is None else 7

    def step_end(self, day: dt.date) -> dt.date:
        """The step to which a day belongs, named by its last day."""
        return day if self.week_end is None else day + dt.timedelta((self.week_end - day.weekday()) % 7)

    def is_closed(self, step: dt.date) -> bool:
        """Whether a step after the data falls on a weekday on which the business does not trade."""
        return self.week_end is None and step.weekday() in self.closed_weekdays


def business_calendar(daily: pd.DataFrame, frequency: str) -> BusinessCalendar:
    """Recognises when the business trades.

    A day without a sale counts as closed when its weekday was empty in at least four of five weeks, or in most of
    thirteen, and so many empty ones are no accident where the business sells as often as it does (binomial
    probability under 0.001 by its busiest weekday): a shop that sells something once a week is never closed. It also
    counts as closed when so many rows are usual on that weekday that an empty day is no accident (Poisson). A weekday
    that is closed at the end of the data is closed ahead, by the same windows.

    Args:
        daily: One row per day with a delivered row: `date`, `rows` (rows that moved anything), sorted or not.
        frequency: `D`, `W` or `W-SUN` ... `W-SAT`.
    """
    if daily.empty:
        raise ValueError("there are no accepted sales to make a calendar of")
    counts = daily.assign(date=pd.to_datetime(daily["date"])).groupby("date")["rows"].sum().sort_index()
    days = pd.date_range(counts.index[0], counts.index[-1], freq="D")
    rows = counts.reindex(days, fill_value=0).astype(float)
    dates = pd.DatetimeIndex(counts.index)
    week_end = _week_end(dates, frequency)
    first, last = days[0].date(), days[-1].date()
    if week_end is not None and dates.day_of_week.nunique() == 1:
        return BusinessCalendar(first, last, week_end)
    filled = (rows > 0).to_numpy()
    busiest = np.max(
        [_shares(filled[first::7], len(days) // 7 + 1, BUSY_WEEKS) for first in range(min(7, len(days)))], axis=0
    )
    closed = np.zeros(len(days), dtype=bool)
    closed_weekdays = []
    for start in range(min(7, len(days))):
        on_day, weeks = filled[start::7], np.arange(start, len(days), 7)
        if len(on_day) < MIN_WEEKS:
            continue
        by_habit = np.zeros(len(on_day), dtype=bool)
        for window in HABIT_WEEKS:
            size = min(window, len(on_day))
            share = _shares(on_day, len(on_day), window)
            accident = binom.cdf(np.rint(share * size), size, np.minimum(busiest[: len(on_day)], 0.99))
            by_habit |= (share <= 0.2) & (accident < IMPLAUSIBLE)
        counts_on_day = pd.Series(rows.to_numpy()[start::7])
        # Centred windows of a quarter: a shop that starts to open on Sundays changes from then on.
        usual = counts_on_day.where(on_day).rolling(13, center=True, min_periods=1).median().fillna(0.0).to_numpy()
        mostly_open = _shares(on_day, len(on_day), HABIT_WEEKS[-1]) >= 0.75
        by_volume = mostly_open & (usual > ROWS_THAT_MAKE_ZERO_IMPLAUSIBLE)
        closed[weeks] = ~on_day & (by_habit | by_volume)
        if by_habit[-1] and (~on_day[-HABIT_WEEKS[0] :]).mean() >= 0.8:
            closed_weekdays.append(int(days[start].day_of_week))
    closed_weekdays.sort()
    if len(closed_weekdays) == 7:
        closed_weekdays = []
    closed_days = tuple(stamp.date() for stamp in days[closed])
    if week_end is not None:
        last = _last_complete_week(last, week_end, set(closed_weekdays))
    return BusinessCalendar(first, last, week_end, closed_days, tuple(closed_weekdays))


def _shares(filled: np.ndarray, length: int, window: int) -> np.ndarray:
    """The share of filled weeks in the window around each of `length` weeks; at the ends the window stays whole."""
    sums = np.concatenate([[0], np.cumsum(filled)])
    size = min(window, len(filled))
    starts = np.clip(np.arange(length) - size // 2, 0, len(filled) - size)
    return (sums[starts + size] - sums[starts]) / size


def _week_end(dates: pd.DatetimeIndex, frequency: str) -> int | None:
    if frequency == "D":
        return None
    if frequency != "W":
        return WEEKDAYS.index(frequency.removeprefix("W-"))
    weekdays = dates.day_of_week.unique()
    return int(weekdays[0]) if len(weekdays) == 1 else WEEKDAYS.index("SUN")


def _last_complete_week(last: dt.date, week_end: int, closed_weekdays: set[int]) -> dt.date:
    """A last week of which trading days are missing is not a week's sales: it waits until it is complete."""
    end = last + dt.timedelta((week_end - last.weekday()) % 7)
    missing = [last + dt.timedelta(n) for n in range(1, (end - last).days + 1)]
    return end if all(day.weekday() in closed_weekdays for day in missing) else end - dt.timedelta(7)


def last_complete_step(days: list[dt.date], calendar: BusinessCalendar) -> dt.date:
    """The last step of which no trading day is missing: the last day, or the end of a week.

    Args:
        days: Days with a value, sorted. Where all fall on one weekday, each is a whole week.
        calendar: Week end and closed weekdays.
    """
    if calendar.week_end is None:
        return days[-1]
    if len({day.weekday() for day in days}) == 1:
        return calendar.step_end(days[-1])
    return _last_complete_week(days[-1], calendar.week_end, set(calendar.closed_weekdays))


def series_keys(settings: Settings) -> list[str]:
    """The configured series keys in the order in which they make the `unique_id`."""
    return list(settings.forecast.series)


def first_sale() -> pl.Expr:
    """The first `ds` at which a group of rows sold anything; where it never did, its first one.

    A table that lists each product on each day has zeros from long before a product was launched: they are no history.
    """
    sold = pl.col("ds").filter(pl.col("y").fill_null(0.0) != 0)
    return pl.coalesce(sold.min(), pl.col("ds").min())
