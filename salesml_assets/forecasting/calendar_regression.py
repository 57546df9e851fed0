"""A ridge regression of each series on the calendar, pooled over series: weekday, season, holidays, plans, trend.

Sales are divided by the series' level. Each series is shrunk to its group and each group to all series (a hierarchical
normal prior with fixed variances: Lindley & Smith 1972), with rows that lose half of their weight in a year. It is
refitted at knots; a row uses the last knot at or before its origin, so that no value is ever in its own fit. There is a
version in the level's units and one of log1p, whose exponentials are scaled back by a smearing factor (Duan 1983).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.holiday_features import Days, weekly_counts

HALF_LIFE = 365.0  # days
KNOT_DAYS = 28
EPOCH = dt.date(2000, 1, 1).toordinal()
YEAR = 365.25
MAX_MULTIPLE = 10.0  # of the level, in what is fitted
MAX_FORECAST = 15.0
SMEARING = (0.5, 2.0)
GROUP_SERIES, ALL_SERIES = 20, 50  # a mean over more series counts as these
TOP_PENALTY = 0.3
STANDARDIZED_FROM = 1.5  # standard deviation of a planned value from which it is standardized
VERSIONS = ("linear", "log")
# First and last day (month, day) of stretches of the year's turn.
YEAR_END = {
    "dec_15": ((12, 15), (12, 20)),
    "dec_21": ((12, 21), (12, 23)),
    "dec_24": ((12, 24), (12, 24)),
    "dec_25": ((12, 25), (12, 25)),
    "dec_26": ((12, 26), (12, 30)),
    "dec_31": ((12, 31), (12, 31)),
    "jan_1": ((1, 1), (1, 1)),
    "jan_2": ((1, 2), (1, 7)),
}
LEVEL, WEEKDAY, SEASON, HOLIDAYS, PLANNED, TREND = "level", "weekday", "season", "holidays", "planned", "trend"
BLOCKS = (LEVEL, WEEKDAY, SEASON, HOLIDAYS, PLANNED, TREND)


@dataclass(frozen=True)
class Terms:
    """The terms of the regression, in the order of the coefficients.

    Attributes:
        names: Their names.
        blocks: The part of the calendar to which each belongs.
        penalties: How many rows of full weight the prior of each counts as.
    """

    names: tuple[str, ...]
    blocks: tuple[str, ...]
    penalties: np.ndarray

    @classmethod
    def of(cls, spec: FeatureSpec) -> Terms:
        """The terms for a definition of features."""
        entries: list[tuple[str, str, float]] = [("level", LEVEL, 0.02)]
        if not spec.weekly:
            entries += [(f"weekday_{day}", WEEKDAY, 4.0) for day in range(6)]
            entries += [(name, SEASON, 20.0) for name in ("month_cos", "month_sin")]
        entries += [(f"year_{name}_{k}", SEASON, 15.0 * k) for k in range(1, 5) for name in ("cos", "sin")]
        if spec.weekly:
            about = ["week_holidays", "next_week_holidays", "christmas", "before_christmas", "after_christmas"]
        else:
            about = ["holiday", "day_before", "two_days_before", "day_after", *YEAR_END]
        entries += [(name, HOLIDAYS, 5.0) for name in about]
        entries += [(f"planned_{name}", PLANNED, 3.0) for name in spec.numbers]
        entries.append(("trend", TREND, 30.0))
        names, blocks, penalties = zip(*entries, strict=True)
        return cls(names, blocks, np.array(penalties))

    @property
    def count(self) -> int:
        """Number of terms."""
        return len(self.names)

    @cached_property
    def block_columns(self) -> dict[str, np.ndarray]:
        """Columns of each block."""
        blocks = np.array(self.blocks)
        return {block: np.nonzero(blocks == block)[0] for block in BLOCKS}


def calendar_matrix(spec: FeatureSpec, days: Days, ordinals: np.ndarray) -> np.ndarray:
    """The terms of steps that depend on the calendar alone; planned values are 0, trend is in years since `EPOCH`.

    Args:
        spec: The definition of the features.
        days: Holidays of the region.
        ordinals: Steps.

    Returns:
        One row for each step, one column for each term.
    """
    stamps = (ordinals - 719_163).astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    day = (stamps - months.astype("datetime64[D]")).astype(np.int64) + 1
    month = months.astype(np.int64) % 12 + 1
    columns = [np.ones(len(ordinals))]
    if not spec.weekly:
        weekday = (ordinals - 1) % 7
        columns += [(weekday == number).astype(float) - (weekday == 6) for number in range(6)]
        angle = 2 * np.pi * day / 30.4
        columns += [np.cos(angle), np.sin(angle)]
    year = 2 * np.pi * (ordinals - EPOCH) / YEAR
    columns += [function(k * year) for k in range(1, 5) for function in (np.cos, np.sin)]
    if spec.weekly:
        counts = weekly_counts(days, ordinals)
        weeks = counts["from_christmas"]  # 0: the week that ends on 25 December or within the six days after it
        columns += [counts["in_week"], counts["next_week"], *[(weeks == week).astype(float) for week in (0, -1, 1)]]
    else:
        free = np.isin(ordinals[:, None] + np.array([0, 1, 2, -1]), days.ordinals)
        columns += list(free.T.astype(float))
        number = month * 100 + day
        for (first_month, first), (last_month, last) in YEAR_END.values():
            inside = (number >= first_month * 100 + first) & (number <= last_month * 100 + last)
            columns.append(inside.astype(float))
    columns += [np.zeros(len(ordinals)) for _ in spec.numbers]
    columns.append((ordinals - EPOCH) / YEAR)
    return np.stack(columns, axis=1)


def knots(first: int, last: int, cutoffs: tuple[int, ...] = ()) -> np.ndarray:
    """Steps at which the regression is refitted, ascending: every four weeks back from the last step, and the cutoffs.

    Args:
        first: First step of the data, an ordinal.
        last: Last one.
        cutoffs: Origins of the backtest.
    """
    regular = np.arange(last, first, -KNOT_DAYS)
    return np.unique(np.append(regular, [cutoff for cutoff in cutoffs if cutoff > first])).astype(np.int64)


@dataclass(frozen=True)
class SeriesCalendar:
    """What the regression of one series needs.

    Attributes:
        terms: One row for each step, trend in years since `EPOCH`.
        y: Sales; anything where they are not usable.
        usable: Open, known steps.
        ordinals: The steps.
    """

    terms: np.ndarray
    y: np.ndarray
    usable: np.ndarray
    ordinals: np.ndarray

    def moments(self, ends: np.ndarray, levels: np.ndarray) -> Moments:
        """Weighted cross-products at knots.

        Args:
            ends: Number of steps up to and with each knot, ascending.
            levels: The level at each knot, above zero.
        """
        length, count = int(ends[-1]), self.terms.shape[1]
        terms, ordinals = self.terms[:length], self.ordinals[:length]
        # Weights relative to the first step: one factor for each knot turns them into its own.
        weights = np.where(self.usable[:length], np.exp2((ordinals - ordinals[0]) / HALF_LIFE), 0.0)
        weighted = terms * weights[:, None]
        sales = np.where(self.usable[:length], self.y[:length], 0.0)
        matrix, targets = np.empty((len(ends), count, count)), np.empty((len(ends), count, len(VERSIONS)))
        # Blocks on a fixed grid, so that the sums up to a knot have the same digits whatever other knots there are.
        total, start = np.zeros((count, count)), 0
        for place, end in enumerate(ends.tolist()):
            while (border := start + KNOT_DAYS) <= end:
                total = total + weighted[start:border].T @ terms[start:border]
                start = border
            factor = np.exp2((ordinals[0] - ordinals[end - 1]) / HALF_LIFE)
            matrix[place] = (total + weighted[start:end].T @ terms[start:end]) * factor
            relative = np.clip(sales[:end] / levels[place], 0.0, MAX_MULTIPLE)
            targets[place, :, 0] = relative @ weighted[:end] * factor
            targets[place, :, 1] = np.log1p(relative) @ weighted[:end] * factor
        # Trend in years since the knot.
        years = years_since_epoch(ordinals[ends - 1])[:, None]
        matrix[:, :, -1] -= years * matrix[:, :, 0]
        matrix[:, -1, :] -= years * matrix[:, 0, :]
        targets[:, -1, :] -= years * targets[:, 0, :]
        return Moments(matrix, targets)

    def smearing(self, end: int, level: float, log: np.ndarray) -> float:
        """What exponentials of the log version are multiplied by, so that they add up to the sales of the fit.

        Args:
            end: Number of steps up to and with the knot.
            level: The level there.
            log: Coefficients of the log version.
        """
        ordinals = self.ordinals[:end]
        weights = np.where(self.usable[:end], np.exp2((ordinals - ordinals[-1]) / HALF_LIFE), 0.0)
        fitted = relative_log(self.terms[:end] @ log - years_since_epoch(ordinals[-1]) * log[-1])
        sold = np.clip(np.where(self.usable[:end], self.y[:end], 0.0) / level, 0.0, MAX_MULTIPLE)
        expected = float(weights @ fitted)
        return float(np.clip(weights @ sold / expected, *SMEARING)) if expected > 1e-9 else 1.0


@dataclass(frozen=True)
class Moments:
    """Weighted cross-products at knots, sales divided by the level at each one.

    Attributes:
        matrix: X'WX: knots × terms × terms, trend in years since the knot.
        targets: X'Wz: knots × terms × versions.
    """

    matrix: np.ndarray
    targets: np.ndarray

    def solve(self, penalties: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Coefficients: knots × terms × versions.

        Args:
            penalties: Of each term.
            prior: Coefficients that they are shrunk to, in the same shape.
        """
        found: np.ndarray = np.linalg.solve(self.matrix + np.diag(penalties), self.targets + penalties[:, None] * prior)
        return found


def years_since_epoch(ordinals: np.ndarray) -> np.ndarray:
    """Steps as years."""
    return (np.asarray(ordinals) - EPOCH) / YEAR


def relative_log(values: np.ndarray) -> np.ndarray:
    """From the log version to multiples of the level."""
    return np.expm1(np.clip(values, 0.0, np.log1p(MAX_FORECAST)))
