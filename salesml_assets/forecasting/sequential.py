"""Which of two models forecasts better, looked at as often as anybody likes.

The unit is the day (or week), as in `significance`: errors are summed over all series, because series move together.
A test with a fixed sample is wrong when it is repeated every day until it is significant. A confidence sequence is an
interval for every day such that all of them hold the true difference at once with probability 1 - alpha, so the first
day that decides may be believed.

The sequence is the asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (*Time-uniform central limit theory
and asymptotic confidence sequences*, Annals of Statistics 2024) for paired losses as in Choe & Ramdas (*Comparing
sequential forecasters*, Operations Research 2024), with four changes for sales: the difference is one of WAPE, a ratio
of sums; the variance comes from sums over whole weeks, because neighbouring days move together and weekdays differ;
the normal quantile is replaced by Student's, because few weeks estimate that variance; and the boundary spends nothing
on the first four weeks, in which nothing is called.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict
from scipy import optimize, stats

from salesml_assets.forecasting.significance import DAILY_BLOCK, NOISE, WEEKLY_BLOCK, Floats

METHOD = "asymptotic confidence sequence of the difference of WAPE, long-run variance from overlapping blocks"
MIN_BLOCKS = 4  # before, the variance is a guess
# Overlapping blocks count as this many independent ones (Bartlett's window, Priestley 1981, table 6.2, at frequency 0).
OVERLAP_GAIN = 1.5
MAX_MORE_STEPS = 1_000


class Verdict(StrEnum):
    """Result of an A/B test."""

    CHALLENGER_BETTER = "challenger better"
    CHAMPION_BETTER = "champion better"
    EQUIVALENT = "equivalent"
    NOT_YET_KNOWN = "not yet known"


class SequentialComparison(BaseModel):
    """State of an A/B test on its last day.

    `difference` is the champion's WAPE minus the challenger's (above zero: the challenger is better), `low` and `high`
    its confidence sequence at 1 - alpha (None before four blocks), `relative_gain` the difference over the champion's
    WAPE. `margin` is a share of the mean of both WAPEs. `decided_on` is the first day that decides; the verdict is that
    day's and stays. `more_days` estimates how many days a verdict still needs if the models go on like this: 0 once
    there is one, None if that is unknown or more than 1,000 steps. `days` counts the calendar days of the test, closed
    ones included.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    decided_on: dt.date | None
    more_days: int | None
    difference: float
    relative_gain: float
    low: float | None
    high: float | None
    alpha: float
    margin: float
    days: int
    method: str


def compare(
    losses: pl.DataFrame, alpha: float = 0.05, margin: float = 0.01, step_days: int = 1
) -> SequentialComparison:
    """Judges an A/B test on the days known so far.

    A winner is called when the sequence excludes zero, equivalence when it lies within the margin. Where both hold on
    the same day, the models are equivalent: the margin says which differences are worth a change of model.

    Args:
        losses: As for `confidence_sequence`.
        alpha: Probability that a test of equal models ever calls a winner.
        margin: Largest difference that does not matter, as a share of the mean of both WAPEs.
        step_days: Days in one step (1 or 7).

    Raises:
        ValueError: As for `confidence_sequence`; or the margin is negative.
    """
    if margin < 0:
        raise ValueError(f"margin: {margin} is below zero")
    looks = confidence_sequence(losses, alpha, step_days)
    tolerated = margin * pl.col("wape")
    decisive = looks.select(
        "ds",
        verdict=pl.when((pl.col("low") >= -tolerated) & (pl.col("high") <= tolerated))
        .then(pl.lit(Verdict.EQUIVALENT.value))
        .when(pl.col("low") > 0)
        .then(pl.lit(Verdict.CHALLENGER_BETTER.value))
        .when(pl.col("high") < 0)
        .then(pl.lit(Verdict.CHAMPION_BETTER.value)),
    ).drop_nulls("verdict")
    last = looks.row(-1, named=True)
    champion = last["wape"] + last["difference"] / 2
    bounded = bool(np.isfinite(last["low"]))
    return SequentialComparison(
        verdict=Verdict(decisive["verdict"][0]) if len(decisive) else Verdict.NOT_YET_KNOWN,
        decided_on=decisive["ds"][0] if len(decisive) else None,
        more_days=0 if len(decisive) else _more_days(last, alpha, margin, step_days),
        difference=last["difference"],
        relative_gain=last["difference"] / champion if champion > 0 else 0.0,
        low=last["low"] if bounded else None,
        high=last["high"] if bounded else None,
        alpha=alpha,
        margin=margin,
        days=last["steps"] * step_days,
        method=METHOD,
    )


def confidence_sequence(losses: pl.DataFrame, alpha: float = 0.05, step_days: int = 1) -> pl.DataFrame:
    """The confidence sequence of champion's WAPE minus challenger's, one row per day of the test.

    A row depends on that day and the days before it only. Bounds never widen: each row holds the intersection of all
    intervals so far. Should that become empty, because the difference itself has changed, the last bounds stay.

    Args:
        losses: One row per day or week on which the business traded, in any order: `ds` (date), `champion` and
            `challenger` (Σ|y - ŷ| over all series on that step), `volume` (Σ|y|).
        alpha: 1 - confidence level of the whole sequence.
        step_days: Days in one step: 1, or 7 for weeks that are named by the same weekday.

    Returns:
        From the first step with a volume, sorted: `ds`, `steps` (calendar steps so far, closed ones included),
        `difference`, `low`, `high` (infinite before four blocks), `wape` (mean of both models'), `error` (standard
        error of the difference times √steps; NaN before two blocks).

    Raises:
        ValueError: alpha is not between 0 and 1, `step_days` neither 1 nor 7; there is no row, a step twice, one
            that is no whole number of weeks after the first, or a value that is missing, infinite or below zero; or
            nothing was sold on any step.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: {alpha} is not between 0 and 1")
    block = _block(step_days)
    ordered = losses.sort("ds")
    amounts = ordered.select(pl.col("champion", "challenger", "volume").cast(pl.Float64)).to_numpy()
    if not np.isfinite(amounts).all() or (amounts < 0).any() or not amounts[:, 2].any():
        raise ValueError("losses: finite amounts of at least zero and a volume above zero are needed")
    first = int(np.flatnonzero(amounts[:, 2])[0])  # before it, WAPE is undefined
    ds, amounts = ordered["ds"][first:].cast(pl.Date), amounts[first:]
    days = (ds - ds[0]).dt.total_days().to_numpy()
    if (np.diff(days) <= 0).any() or (days % step_days).any():
        raise ValueError("losses: one row per step is needed, and weeks have to be named by the same weekday")
    rows = days // step_days
    # Closed steps have neither errors nor volume, so that a block is always a whole week.
    champion, challenger, volume = np.zeros((3, rows[-1] + 1))
    champion[rows], challenger[rows], volume[rows] = amounts.T
    steps, sold = np.arange(1, len(volume) + 1), np.cumsum(volume)
    gains = champion - challenger
    gains = np.where(np.abs(gains) < NOISE * sold / steps, 0.0, gains)
    difference = np.cumsum(gains) / sold
    lengths = _block_lengths(steps, block)
    error = np.sqrt(long_run_variance(gains, volume, lengths)) / (sold / steps)
    half = _half_width(error, steps, lengths, alpha, block)
    looks = pl.DataFrame(
        {
            "ds": ds,
            "steps": steps[rows],
            "difference": difference[rows],
            "wape": (np.cumsum(champion + challenger) / (2 * sold))[rows],
            "error": error[rows],
        }
    )
    low = np.maximum.accumulate((difference - half)[rows])
    high = np.minimum.accumulate((difference + half)[rows])
    crossed = np.flatnonzero(low > high)
    if len(crossed):
        low[crossed[0] :], high[crossed[0] :] = low[crossed[0] - 1], high[crossed[0] - 1]
    return looks.with_columns(pl.Series("low", low), pl.Series("high", high))


def long_run_variance(gains: Floats, volume: Floats, lengths: np.ndarray) -> Floats:
    """Long-run variance per step of gains - difference x volume, after each step, from sums over overlapping blocks.

    Sums over whole weeks contain what neighbouring days share, and no differences between weekdays. The divisor makes
    the mean right for independent steps (Lo & MacKinlay 1988). NaN where there are fewer than two blocks.

    Args:
        gains: Champion's summed error minus challenger's, by step.
        volume: Summed volume, by step.
        lengths: Block length after each step.
    """
    steps = np.arange(1, len(gains) + 1)
    variance = np.full(len(gains), np.nan)
    total_gain, total_volume = np.cumsum(gains), np.cumsum(volume)
    difference = total_gain / total_volume
    for length in np.unique(lengths):
        gain, sold = (
            total[length - 1 :] - np.concatenate([[0.0], total[:-length]]) for total in (total_gain, total_volume)
        )
        now = difference[length - 1 :]
        # Σ(gain - difference x sold)² over the blocks so far, for the difference as it is known now.
        squares = np.cumsum(gain**2) - 2 * now * np.cumsum(gain * sold) + now**2 * np.cumsum(sold**2)
        counted = steps[length - 1 :]
        divisor = length * (counted - length + 1) * (1 - length / counted)
        chosen = (lengths[length - 1 :] == length) & (counted >= 2 * length)
        variance[length - 1 :][chosen] = np.maximum(squares[chosen], 0.0) / divisor[chosen]
    return variance


def delayed_boundary(steps: np.ndarray, first: int, alpha: float) -> Floats:
    """Boundary of |sum| / √steps for standard normal steps, crossed at any time from `first` on with probability alpha.

    √(a² + log(steps / first)) with 2 (1 - Φ(a) + a φ(a)) = alpha: the mixture over all drifts of Robbins & Siegmund
    (1970), exact for Brownian motion. Nothing is spent on the time before the first look.

    >>> delayed_boundary(np.array([28, 56, 365]), 28, 0.05).round(2)
    array([2.8 , 2.92, 3.22])
    """
    start = optimize.brentq(lambda a: 2 * (stats.norm.sf(a) + a * stats.norm.pdf(a)) - alpha, 0.0, 40.0)
    return np.sqrt(start**2 + np.log(steps / first))


def _block(step_days: int) -> int:
    if step_days not in (1, 7):
        raise ValueError(f"step_days: {step_days} is neither 1 nor 7")
    return DAILY_BLOCK if step_days == 1 else WEEKLY_BLOCK


def _block_lengths(steps: np.ndarray, block: int) -> np.ndarray:
    """Block length after each step: it grows with √steps, so that slower movements count once they can be seen."""
    return block * np.maximum(1, np.floor(np.sqrt(steps / block) / 2)).astype(int)


def _half_width(error: Floats | float, steps: np.ndarray, lengths: np.ndarray, alpha: float, block: int) -> Floats:
    first = MIN_BLOCKS * block
    boundary = delayed_boundary(np.maximum(steps, first), first, alpha)
    student = stats.t.isf(stats.norm.sf(boundary), OVERLAP_GAIN * steps / lengths)
    return np.where(steps < first, np.inf, student * error / np.sqrt(steps))


def _more_days(last: dict[str, float], alpha: float, margin: float, step_days: int) -> int | None:
    """Days until the interval excludes zero or lies within the margin, at today's difference and variance."""
    block = _block(step_days)
    if np.isnan(last["error"]):
        return None
    steps = np.arange(last["steps"] + 1, last["steps"] + 1 + MAX_MORE_STEPS)
    half = _half_width(last["error"], steps, _block_lengths(steps, block), alpha, block)
    distance = abs(last["difference"])
    found = np.flatnonzero((half < distance) | (half <= margin * last["wape"] - distance))
    return int(found[0] + 1) * step_days if len(found) else None
