"""Is one algorithm's error lower than another's beyond chance?

The unit is the day (or week): the errors of all series are summed, because series move together, and what is
left is one pair of numbers per day. Neighbouring days move together, too, which both tests respect: a block
bootstrap, and the test of Diebold & Mariano with the correction of Harvey, Leybourne & Newbold. The larger of
the two p-values counts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy import stats

DRAWS = 2_000
DAILY_BLOCK, WEEKLY_BLOCK = 7, 4
METHOD = "block bootstrap and Diebold-Mariano (Harvey-Leybourne-Newbold), the larger p-value"
# Differences below this share of a usual day's volume are rounding: a copy of a forecast is no better than it.
NOISE = 1e-9
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class PairedTest(BaseModel):
    """A challenger against a champion on the same rows.

    `difference` is the champion's WAPE minus the challenger's (above zero: the challenger is better), `low` and
    `high` its two-sided confidence interval at 1 - alpha, `relative_gain` the difference over the champion's WAPE.
    `p_value` is one-sided: how likely so large a difference is if the challenger is no better.
    """

    model_config = ConfigDict(frozen=True)

    difference: float
    relative_gain: float
    low: float
    high: float
    p_value: float
    p_bootstrap: float
    p_diebold_mariano: float
    method: str
    days: int
    block_length: int


def paired_test(
    losses: pd.DataFrame, alpha: float = 0.05, seed: int = 0, block_length: int = DAILY_BLOCK
) -> PairedTest:
    """Tests whether the challenger's WAPE is lower than the champion's.

    Args:
        losses: One row per fold and step: `fold`, `ds`, `champion` and `challenger` (Σ|y - ŷ| over all series on
            that step), `volume` (Σ|y|).
        alpha: 1 - confidence level of the interval.
        seed: Seed of the bootstrap.
        block_length: Steps that are drawn together (`DAILY_BLOCK`, `WEEKLY_BLOCK`).

    Raises:
        ValueError: Values are missing, there are fewer than two steps, or nothing was sold on any of them.
    """
    ordered = losses.sort_values(["fold", "ds"])
    amounts = ordered[["champion", "challenger", "volume"]].to_numpy(float)
    if len(amounts) < 2 or not np.isfinite(amounts).all() or amounts[:, 2].sum() <= 0:
        raise ValueError("losses: at least two steps with finite errors and a volume above zero are needed")
    champion, challenger, volume = amounts.T
    gains = champion - challenger
    gains = np.where(np.abs(gains) < NOISE * volume.mean(), 0.0, gains)
    folds = [np.flatnonzero(ordered["fold"].to_numpy() == fold) for fold in ordered["fold"].unique()]
    block = min(block_length, min(len(fold) for fold in folds))
    difference = float(gains.sum() / volume.sum())
    error, freedom = _bootstrap_error(gains, volume, folds, block, seed)
    half = float(stats.t.ppf(1 - alpha / 2, freedom)) * error
    bootstrap = _p_value(difference, error, freedom)
    diebold_mariano = diebold_mariano_p(gains, folds, block)
    total = champion.sum()
    return PairedTest(
        difference=difference,
        relative_gain=float(gains.sum() / total) if total > 0 else 0.0,
        low=difference - half,
        high=difference + half,
        p_value=max(bootstrap, diebold_mariano),
        p_bootstrap=bootstrap,
        p_diebold_mariano=diebold_mariano,
        method=METHOD,
        days=len(gains),
        block_length=block,
    )


def _bootstrap_error(
    gains: Floats, volume: Floats, folds: list[np.ndarray], block: int, seed: int
) -> tuple[float, int]:
    """Standard error of Σgains / Σvolume by a circular block bootstrap, and the degrees of freedom it deserves.

    Blocks (Politis & Romano 1992) lie inside a fold and are drawn from all folds, so that differences between
    folds count. With few blocks the bootstrap's error is too small: it is scaled by sqrt(m / (m - 1)) for m
    blocks, and used with Student's t of m - 1 degrees of freedom.
    """
    starts = np.concatenate([fold[(np.arange(len(fold))[:, None] + np.arange(block)) % len(fold)] for fold in folds])
    blocks = -(-len(gains) // block)
    draws = np.random.default_rng(seed).integers(0, len(starts), size=(DRAWS, blocks))
    sold = volume[starts].sum(1)[draws].sum(1)
    drawn = gains[starts].sum(1)[draws].sum(1)[sold > 0] / sold[sold > 0]
    return float(drawn.std() * np.sqrt(blocks / (blocks - 1))), blocks - 1


def diebold_mariano_p(gains: Floats, folds: list[np.ndarray], block: int) -> float:
    """One-sided p-value of Diebold & Mariano (1995) as corrected by Harvey, Leybourne & Newbold (1997).

    The variance of the mean takes autocovariances inside folds up to lag `block` - 1, all with weight one; where
    that is not positive, with falling weights (Bartlett).
    """
    n, centred = len(gains), gains - gains.mean()
    covariances = [
        sum(float(centred[fold[lag:]] @ centred[fold[: len(fold) - lag]]) for fold in folds) / n for lag in range(block)
    ]
    variance = covariances[0] + 2 * sum(covariances[1:])
    if variance <= 0:
        variance = covariances[0] + 2 * sum((1 - lag / block) * covariances[lag] for lag in range(1, block))
    correction = (n + 1 - 2 * block + block * (block - 1) / n) / n
    return _p_value(float(gains.mean()), float(np.sqrt(max(variance, 0.0) / n / correction)), n - 1)


def _p_value(value: float, error: float, freedom: int) -> float:
    """One-sided p-value of a mean; without any variation, its sign decides."""
    if error == 0:
        return 0.0 if value > 0 else 1.0
    return float(stats.t.sf(value / error, freedom))


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """p-values corrected for their number by the step-down method of Holm (1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_value))
        adjusted[name] = largest
    return adjusted
