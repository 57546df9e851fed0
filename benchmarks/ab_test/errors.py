"""Daily errors of two models, like those of the shipped sales' backtests.

The constants were measured on 95 scored days in four folds, for 300 products at a time (best sellers, ranks 301 to
600, every tenth of the first 3,000, a random draw): differences of the daily absolute errors of linear regression,
random forest, boosted trees and XGBoost, pair by pair, as a share of the mean daily error.

- Standard deviation 0.058 to 0.075; 0.044 to 0.059 without weekdays and folds. It was 0.072 with 30 products and
  0.043 with 3,000: two thirds of the variance at 300 products belong to the day.
- Excess kurtosis 0.7 to 5, weekdays 15 to 25 % of the variance. The size of the difference did not grow with the day's
  sales.
- Correlation of neighbouring days, without weekdays: -0.2 to 0.3 within folds, by pair (short folds lower it), and -0.1
  to 0.5 over all days, which includes the differences between folds. 0.2 is the choice here, 0.5 a scenario.
- Between folds, each with models of its own, the mean difference moved by some 0.02: `drift`.
- Seasonal naive against these four: standard deviation 0.33 to 0.37, excess kurtosis 4 to 6.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

START = dt.date(2024, 1, 1)
CLOSED = 5  # Saturday, as in the shipped sales
LOG_VOLUME = np.array([0.21, 0.14, 0.13, 0.22, 0.04, 0.0, -0.73])
WAPE = 0.78


@dataclass(frozen=True)
class Errors:
    """Parameters of a pair of models; shares are of the mean daily error.

    Attributes:
        gain: True relative gain of the challenger.
        series: Number of series.
        correlation: Of neighbouring days, for what the day and the series add to the difference.
        day: Standard deviation of what all series share on a day (Student's t, `tails` degrees of freedom).
        single: Standard deviation of one series' difference, times its weight (t with 3 degrees of freedom).
        weekday: Standard deviation of the differences between weekdays, which add up to zero over a week.
        drift: Standard deviation of a part that moves from week to week with correlation 0.8.
        tails: Degrees of freedom of the shared part.
    """

    gain: float = 0.0
    series: int = 300
    correlation: float = 0.2
    day: float = 0.042
    single: float = 0.47
    weekday: float = 0.027
    drift: float = 0.0
    tails: float = 3.0


def losses(errors: Errors, days: int, rng: np.random.Generator) -> pl.DataFrame:
    """`ds`, `volume`, `champion`, `challenger`, and `true` (the day's expected gain) over so many calendar days."""
    weekdays = np.arange(days) % 7
    season = 0.4 * np.sin(2 * np.pi * (np.arange(days) / 365 + rng.random()))
    busy = 0.35 * carried_over(rng.normal(size=days), 0.35)
    volume = np.exp(LOG_VOLUME[weekdays] + season + busy)
    champion = WAPE * volume * np.exp(0.16 * rng.normal(size=days))
    weights = np.exp(rng.normal(0, 0.56, errors.series))
    own = errors.single * (weights / weights.sum()) @ student(rng, 3.0, (errors.series, days))
    shared = errors.day * student(rng, errors.tails, days)
    noise = carried_over(shared + own, errors.correlation)
    pattern = np.delete(rng.normal(0, errors.weekday, 7), CLOSED)
    noise += np.insert(pattern - pattern.mean(), CLOSED, 0.0)[weekdays]
    weeks = carried_over(rng.normal(0, errors.drift, days // 7 + 1), 0.8)
    size = champion[weekdays != CLOSED].mean()
    true = errors.gain * champion + size * np.repeat(weeks, 7)[:days]
    table = pl.DataFrame(
        {
            "ds": pl.date_range(START, START + dt.timedelta(days - 1), eager=True),
            "volume": volume,
            # Half of the noise each, so that cutting at zero (an error cannot be lower) favours neither.
            "champion": np.maximum(champion + size * noise / 2, 0.0),
            "challenger": np.maximum(champion - true - size * noise / 2, 0.0),
            "true": true,
        }
    )
    return table.filter(pl.Series(weekdays != CLOSED))


def weekly_losses(correlation: float, weeks: int, rng: np.random.Generator) -> pl.DataFrame:
    """Two equal models on weekly sales, whose difference is correlated from week to week."""
    volume = np.exp(0.3 * carried_over(rng.normal(size=weeks), 0.7))
    error = WAPE * volume * np.exp(0.1 * rng.normal(size=weeks))
    noise = 0.05 * carried_over(student(rng, 3.0, weeks), correlation)
    dates = pl.Series([START + dt.timedelta(weeks=week) for week in range(weeks)])
    champion, challenger = np.maximum(error + noise / 2, 0.0), np.maximum(error - noise / 2, 0.0)
    return pl.DataFrame({"ds": dates, "volume": volume, "champion": champion, "challenger": challenger})


def student(rng: np.random.Generator, freedom: float, size: int | tuple[int, ...]) -> np.ndarray:
    """Student's t, scaled to a variance of one."""
    return rng.standard_t(freedom, size) * np.sqrt((freedom - 2) / freedom)


def carried_over(shocks: np.ndarray, correlation: float) -> np.ndarray:
    """AR(1) with the shocks' variance."""
    result = shocks.copy()
    for step in range(1, len(shocks)):
        result[step] = correlation * result[step - 1] + np.sqrt(1 - correlation**2) * shocks[step]
    return result
