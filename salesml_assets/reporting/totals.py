"""Intervals of the sum of all series.

The sum's interval is not the sum of the series' intervals: errors of single series partly cancel out. It comes
from the sum's own errors in the backtests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def total_intervals(
    actual: pd.DataFrame,
    backtest: pd.DataFrame,
    future: pd.DataFrame,
    *,
    levels: Sequence[float] = (0.8, 0.95),
    non_negative: bool = True,
) -> pd.DataFrame:
    """Adds split-conformal intervals (Lei et al. 2018) to the forecast of the sum over all series.

    Errors of all horizons are pooled, divided by sqrt(mean forecast * forecast), so that a step on which little is
    forecast gets a narrow interval, and one on which nothing is (the business is closed) none.

    Args:
        actual: `ds, y`, the sum of what was sold.
        backtest: `ds, yhat`, the sum of what was forecast for those steps.
        future: `ds, yhat`, the sum of the forecasts.
        levels: Nominal coverages.
        non_negative: Whether sales cannot be below zero.

    Returns:
        `future` with `lo80, hi80, lo95, hi95` (by level), from low to high around `yhat`. A level for which there
        are too few errors (fewer than 2 / (1 - level) - 1) is left out.
    """
    dated = [frame.assign(ds=pd.to_datetime(frame["ds"])) for frame in (backtest[["ds", "yhat"]], actual[["ds", "y"]])]
    both = dated[0].merge(dated[1], on="ds").dropna()
    both = both[both["yhat"] != 0]
    size = both["yhat"].abs().mean()
    scores = ((both["y"] - both["yhat"]) / np.sqrt(size * both["yhat"].abs())).sort_values().to_numpy()
    spread = np.sqrt((0.0 if math.isnan(size) else size) * future["yhat"].abs())
    result = future.copy()
    for level in levels:
        # Ranks of the finite-sample correction: as many errors stay below the lower as above the upper one.
        rank = math.floor((len(scores) + 1) * (1 - level) / 2 + 1e-9)
        if rank < 1:
            continue
        low, high = min(scores[rank - 1], 0.0), max(scores[-rank], 0.0)
        name = f"{100 * level:g}"
        result[f"lo{name}"] = future["yhat"] + low * spread
        result[f"hi{name}"] = future["yhat"] + high * spread
        if non_negative:
            result[f"lo{name}"] = np.minimum(result[f"lo{name}"].clip(lower=0), future["yhat"])
    return result
