"""Rolling origins: the cutoffs at which algorithms are tuned and scored."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

TUNING_FOLD = 0


@dataclass(frozen=True)
class Fold:
    """One origin of the backtest.

    Attributes:
        number: 0 for the tuning origin, then 1..K, the oldest first.
        cutoff: Last step whose values are known; whatever is fitted uses targets on or before it.
        last: Last step that is scored.
    """

    number: int
    cutoff: dt.date
    last: dt.date


def rolling_folds(last: dt.date, horizon: int, folds: int, step_days: int) -> list[Fold]:
    """The latest `folds` horizons, apart by one horizon, and one earlier origin on which parameters are chosen.

    Args:
        last: Last step of the data.
        horizon: Steps ahead.
        folds: How many origins score.
        step_days: Days in one step (1 or 7).

    >>> [str(fold.cutoff) for fold in rolling_folds(dt.date(2024, 4, 30), 10, 3, 1)]
    ['2024-03-21', '2024-03-31', '2024-04-10', '2024-04-20']
    """
    step = dt.timedelta(step_days)
    cutoffs = [last - (folds + 1 - number) * horizon * step for number in range(folds + 1)]
    return [Fold(number, cutoff, cutoff + horizon * step) for number, cutoff in enumerate(cutoffs)]
