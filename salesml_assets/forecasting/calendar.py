"""From accepted sales to one gap-free calendar per series.

A step is a day, or a week that ends on a fixed weekday. Between the first sale of a series and the last
day of the data every step has a row; days on which the whole business is closed are marked.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import pandas as pd
import polars as pl

from salesml_assets.config.settings import Settings

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
# A business whose ordinary day has this many rows has an empty one by chance less than once in a thousand (Poisson).
ROWS_THAT_MAKE_ZERO_IMPLAUSIBLE = -math.log(0.001)


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

    A day without a sale counts as closed when its weekday has been empty in at least four of the last five
    weeks (or in nearly all weeks around it), or when so many rows are usual on that weekday that an empty
    day is no accident (Poisson probability under 0.001).

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
    weekday = pd.Series(days.day_of_week, index=days)
    closed = pd.Series(False, index=days)
    closed_weekdays = []
    for day in range(7):
        on_day = rows[weekday == day]
        if len(on_day) < 3:
            continue
        # Centred windows of a quarter: a shop that starts to open on Sundays changes from then on.
        empty_share = (on_day == 0).astype(float).rolling(13, center=True, min_periods=3).mean()
        usual = on_day.where(on_day > 0).rolling(13, center=True, min_periods=1).median().fillna(0.0)
        closed[on_day.index] = (on_day == 0) & ((empty_share >= 0.8) | (usual > ROWS_THAT_MAKE_ZERO_IMPLAUSIBLE))
        if (on_day.tail(5) == 0).mean() >= 0.8 and len(on_day) >= 5:
            closed_weekdays.append(day)
    if len(closed_weekdays) == 7:
        closed_weekdays = []
    closed_days = tuple(stamp.date() for stamp in closed.index[closed])
    if week_end is not None:
        last = _last_complete_week(last, week_end, set(closed_weekdays))
    return BusinessCalendar(first, last, week_end, closed_days, tuple(closed_weekdays))


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


def unique_id_of(settings: Settings) -> pl.Expr:
    """The name of a series: its keys joined by `/`, in the configured order."""
    return pl.concat_str([pl.col(key) for key in series_keys(settings)], separator="/", ignore_nulls=True).alias(
        "unique_id"
    )
