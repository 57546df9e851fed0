"""How often a source has sales: every day, every week, every month. Told from its days alone, without Spark.

A set-up of days that gets monthly totals would forecast the total of a month for each day on which it forecasts one.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

MIN_DATES = 4  # fewer say nothing of a rhythm
# Gaps in days between dates, and the word for such a rhythm.
PERIODS = ((14, 14, "every other week"), (28, 31, "monthly"), (59, 62, "every other month"), (89, 93, "quarterly"),
           (180, 185, "half-yearly"), (364, 367, "yearly"))  # fmt: skip
REGULAR_SHARE = 0.8  # of gaps that are as long as the rhythm has them
ISOLATED_DAYS = 90  # without a sale, after which earlier rows are not the beginning of the history ...
ISOLATED_SHARE = 0.01  # ... if they are so few
TOTALS_SHARE = 0.85  # of all series that have a row on each date: totals of a period, and no single sales
TOTALS_SERIES = 3  # of fewer series all may sell on the same day by chance
DAYS_APART = 3.5  # fewer than two dates a week


@dataclass(frozen=True)
class Rhythm:
    """What the dates of a source show.

    Attributes:
        name: `daily`, `weekly`, another period in words, or `irregular`.
        dates: Distinct dates.
        typical_gap: Days between one date and the next, the median.
        example: Some dates, for messages.
    """

    name: str
    dates: int
    typical_gap: float
    example: str


@dataclass(frozen=True)
class Isolated:
    """Dates at the beginning that are no part of the history.

    Attributes:
        first: The first of them.
        last: The last of them.
        rows: Their rows.
        then: The date after them.
    """

    first: dt.date
    last: dt.date
    rows: int
    then: dt.date


def rhythm_of(days: pd.DataFrame) -> Rhythm:
    """The rhythm of the days on which a source has rows.

    Args:
        days: One row per day: `date`, `rows`, and `series`, the number of series that have a row on it.
    """
    ordered = days.sort_values("date")
    dates = pd.DatetimeIndex(ordered["date"])
    gaps = np.diff(dates.values).astype("timedelta64[D]").astype(int)
    example = ", ".join(str(stamp.date()) for stamp in dates[:3])
    typical = float(np.median(gaps)) if len(gaps) else 0.0
    return Rhythm(_name(dates, gaps, typical, ordered["series"].to_numpy(dtype=float)), len(dates), typical, example)


def _name(dates: pd.DatetimeIndex, gaps: np.ndarray, typical: float, series: np.ndarray) -> str:
    if len(dates) < MIN_DATES:
        return "daily"
    weekdays, count = np.unique(dates.day_of_week, return_counts=True)
    if len(weekdays) == 1 and np.mean(gaps == 7) >= REGULAR_SHARE:
        return "weekly"
    for low, high, name in PERIODS:
        if np.mean((gaps >= low) & (gaps <= high)) >= REGULAR_SHARE:
            return name
    months = Counter(dates.strftime("%Y-%m"))
    # Totals of a month may be dated on its last working day, which is some days earlier or later each time.
    if set(months.values()) == {1} and 26 <= typical <= 35:
        return "monthly"
    weeks = (dates[-1] - dates[0]).days // 7 + 1
    if len(weekdays) <= 3 and count.min() >= REGULAR_SHARE * (weeks - 1):
        return "daily"  # a market that opens on two days of each week
    totals = series.max() >= TOTALS_SERIES and np.mean(series / series.max()) >= TOTALS_SHARE
    if typical >= DAYS_APART and totals:
        return "weekly" if 5 <= typical <= 9 and np.mean((gaps >= 5) & (gaps <= 9)) >= REGULAR_SHARE else "irregular"
    return "daily"


def isolated_start(days: pd.DataFrame) -> Isolated | None:
    """A first date, or a few, long before all others: a till whose clock was reset.

    Args:
        days: As in `rhythm_of`.
    """
    ordered = days.sort_values("date")
    dates, rows = pd.DatetimeIndex(ordered["date"]), ordered["rows"].to_numpy()
    gaps = np.diff(dates.values).astype("timedelta64[D]").astype(int)
    before = np.cumsum(rows)
    few = np.maximum(ISOLATED_SHARE * rows.sum(), 1)
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    found = [
        place
        for place, gap in enumerate(gaps)
        if gap >= max(ISOLATED_DAYS, 5 * usual) and before[place] <= few and before[place] < rows.sum() / 2
    ]
    if not found:
        return None
    place = found[-1]
    return Isolated(dates[0].date(), dates[place].date(), int(before[place]), dates[place + 1].date())


def daily_from(days: pd.DataFrame) -> dt.date | None:
    """Where totals of months end and days begin, in a history that begins with such totals; None in any other.

    Args:
        days: As in `rhythm_of`.
    """
    per_month = pd.DatetimeIndex(days["date"]).to_period("M").value_counts().sort_index()
    counts = per_month.to_numpy()
    leading = int(np.argmax(counts > 1)) if (counts > 1).any() else 0
    later = counts[leading:]
    if leading < 3 or np.median(later) < 8:
        return None
    return per_month.index[leading].start_time.date()


def contradiction(rhythm: Rhythm, frequency: str) -> str | None:
    """Why a source of this rhythm cannot be forecast at this frequency; None if it can.

    Args:
        rhythm: The source's.
        frequency: `D`, or `W` and its like.
    """
    weekly = frequency.startswith("W")
    if rhythm.name == "daily" or (weekly and rhythm.name == "weekly"):
        return None
    found = f"has {rhythm.name} rows, typically {rhythm.typical_gap:.0f} days apart ({rhythm.example}, ...)"
    if rhythm.name == "weekly":
        return f"{frequency} needs rows of single days, but the source {found}; set forecast.frequency: W"
    if weekly and rhythm.name == "irregular" and rhythm.typical_gap < 7:
        return None
    unit = "single weeks or days" if weekly else "single days"
    advice = "" if weekly or rhythm.name != "irregular" else ", or set forecast.frequency: W where weeks are meant"
    return f"{frequency} needs rows of {unit}, but the source {found}; take the sales themselves, not totals{advice}"
