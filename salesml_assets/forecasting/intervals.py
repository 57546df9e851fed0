"""Conformal intervals from backtest residuals, per horizon and scaled per series.

A residual is divided by the spread of its row, half the series' typical level and half its forecast; signed
quantiles of these scores are taken per horizon (split conformal: Vovk et al. 2005; Lei et al. 2018), so that
lower and upper bound need not be symmetric. Rows of one day move together, so that the guarantee of exchangeable
rows does not hold as it stands: `cross_fold_coverage` measures what the intervals really cover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import Batches, Totals
from salesml_assets.forecasting.metrics import horizon_bucket, in_segments, significant

if TYPE_CHECKING:
    import pandas as pd  # only for reports: the prediction service does without

LEVELS = (0.8, 0.95)
# A bound of the 95 % interval rests on 25 rows of 1,000; horizons with fewer are pooled with their neighbours.
MIN_ROWS = 1_000
COVERED_DIMENSIONS = ("total", "fold", "horizon", "volume_class")
SCORED_COLUMNS = ("fold", "horizon", "y", "yhat", "scale")


def bound_names(levels: Sequence[float] = LEVELS) -> tuple[str, ...]:
    """Columns of the bounds.

    >>> bound_names()
    ('lo80', 'hi80', 'lo95', 'hi95')
    """
    return tuple(f"{side}{round(100 * level)}" for level in levels for side in ("lo", "hi"))


BOUNDS = bound_names()


def spread() -> pl.Expr:
    """The unit of a row's residual, from the columns `scale` (above zero) and `yhat`: their mean.

    The error of a big day is bigger than that of a small one, but not in proportion. Of the units tried (level,
    forecast, their root and their mean), this one gave the narrowest intervals at equal coverage for learned
    algorithms on daily, weekly, dense and sparse sales.
    """
    return (pl.col("scale") + pl.col("yhat").abs()) / 2


def interval_table(batches: Batches, levels: Sequence[float] = LEVELS) -> pl.DataFrame:
    """Calibrates the intervals of one algorithm on its backtest, all folds.

    Args:
        batches: `fold`, `horizon`, `y`, `yhat`, `scale`. Three numbers per row are kept.
        levels: Nominal coverages, ascending.

    Returns:
        One row per horizon from 1 to the longest one: `horizon`, `rows` (that it rests on), and for each level the
        lower bound's score (never above zero) and the upper bound's (never below), in units of `spread`. Wider
        levels contain narrower ones.

    Raises:
        ValueError: There are no predictions.
    """
    return _calibrate(_scores(batches), levels)


def apply_intervals(frame: pl.DataFrame, table: pl.DataFrame, non_negative: bool) -> pl.DataFrame:
    """Adds lower and upper bounds, such that lo95 <= lo80 <= yhat <= hi80 <= hi95.

    Each row by itself: however a table is split into frames, its bounds have the same digits. Rows keep their order.

    Args:
        frame: `yhat`, `scale` (above zero), `horizon`; horizons beyond the table take its last row.
        table: Of `interval_table`.
        non_negative: The target cannot be below zero: bounds and `yhat` are cut off there.
    """
    longest = table["horizon"].max()
    step = pl.min_horizontal(pl.col("horizon"), pl.lit(longest)).cast(table.schema["horizon"]).alias("_horizon")
    scores = table.drop("rows").rename({"horizon": "_horizon"})
    return _add_bounds(frame.with_columns(step), scores, ["_horizon"], non_negative).drop("_horizon")


def cross_fold_coverage(
    predictions: Mapping[str, Batches],
    levels: Sequence[float] = LEVELS,
    non_negative: bool = True,
    weekly: bool = False,
    dimensions: Sequence[str] = COVERED_DIMENSIONS,
) -> pd.DataFrame:
    """Measures what the intervals cover: each scored fold with a table calibrated on all other folds.

    Args:
        predictions: Per algorithm the columns of its table, fold 0 included; read twice.
        levels: Nominal coverages, ascending.
        non_negative: As in `apply_intervals`.
        weekly: Whether a step is a week, for the buckets of the horizon.
        dimensions: Some of the dimensions of the metrics.

    Returns:
        `algorithm`, `dimension`, `segment`, `level`, `coverage` (share of rows inside), `width` (Σ width / Σ|y|,
        null where nothing was sold), `rows`.

    Raises:
        ValueError: There are no predictions, or those of one fold alone.
    """
    import pandas as pd

    parts = []
    for name, batches in predictions.items():
        pieces = _covered(batches, _held_out_scores(_scores(batches), levels), levels, non_negative, weekly)
        sums = [
            in_segments(pieces, dimension)
            .group_by("dimension", "segment", maintain_order=True)
            .agg(pl.exclude("fold", "horizon_bucket", "category", "volume_class").sum())
            for dimension in dimensions
        ]
        parts.append(pl.concat(sums).to_pandas().assign(algorithm=name))
    return _coverage(pd.concat(parts, ignore_index=True), levels)


def _scores(batches: Batches) -> pl.DataFrame:
    """The scores of all rows, as narrow as they can be: `fold`, `horizon`, `score`."""
    score = (pl.col("y") - pl.col("yhat")) / spread()
    columns = [pl.col("fold").cast(pl.Int16), pl.col("horizon").cast(pl.Int16), score.alias("score")]
    parts = [batch.select(columns) for batch in batches(SCORED_COLUMNS)]
    if not parts:
        raise ValueError("there are no predictions to calibrate intervals on")
    return pl.concat(parts)


def _held_out_scores(scores: pl.DataFrame, levels: Sequence[float]) -> pl.DataFrame:
    """The tables of all scored folds below one another, with `fold`: each calibrated on the other folds."""
    folds = sorted(fold for fold in scores["fold"].unique() if fold >= 1)
    longest = int(scores["horizon"].max())  # type: ignore[arg-type]
    tables = [
        _calibrate(scores.filter(pl.col("fold") != fold), levels, longest)
        .drop("rows")
        .with_columns(fold=pl.lit(fold, pl.Int32), horizon=pl.col("horizon").cast(pl.Int32))
        for fold in folds
    ]
    return pl.concat(tables)


def _covered(
    batches: Batches, scores: pl.DataFrame, levels: Sequence[float], non_negative: bool, weekly: bool
) -> pl.DataFrame:
    """Rows inside the bounds and widths, added up by fold, bucket of the horizon, category and class."""
    keys = ["fold", "horizon_bucket", "category", "volume_class"]
    names = bound_names(levels)
    measured = {"rows": pl.lit(1, pl.Int64), "volume": pl.col("y").abs()}
    for low, high in zip(names[::2], names[1::2], strict=True):
        measured[f"inside_{low}"] = pl.col("y").is_between(pl.col(low), pl.col(high)).cast(pl.Int64)
        measured[f"width_{low}"] = pl.col(high) - pl.col(low)
    sums = Totals(keys)
    for batch in batches([*SCORED_COLUMNS, "category", "volume_class"]):
        scored = batch.filter(pl.col("fold") >= 1)
        bounded = _add_bounds(scored, scores, ["fold", "horizon"], non_negative)
        sums.add(bounded.with_columns(horizon_bucket(weekly)).select(*keys, **measured))
    return sums.frame()


def _coverage(sums: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    volume = sums["volume"].where(sums["volume"] > 0)
    parts = [
        sums[["algorithm", "dimension", "segment"]].assign(
            level=level,
            coverage=significant(sums[f"inside_{low}"] / sums["rows"]),
            width=significant(sums[f"width_{low}"] / volume),
            rows=sums["rows"],
        )
        for level, low in zip(levels, bound_names(levels)[::2], strict=True)
    ]
    return pd.concat(parts).sort_values(["algorithm", "dimension", "segment", "level"], ignore_index=True)


def _calibrate(scores: pl.DataFrame, levels: Sequence[float], longest: int | None = None) -> pl.DataFrame:
    """The table of bounds; `longest` is its last horizon (default: the longest one with a score)."""
    if scores.is_empty():
        raise ValueError("there are no predictions to calibrate intervals on")
    ordered = scores.sort("horizon")
    horizons, values = ordered["horizon"].to_numpy(), ordered["score"].to_numpy()
    steps = np.arange(1, (longest or int(horizons[-1])) + 1)
    starts, ends = np.searchsorted(horizons, steps, "left"), np.searchsorted(horizons, steps, "right")
    rows = []
    for horizon, (first, last) in enumerate(pooled_horizons((ends - starts).tolist()), 1):
        pooled = values[starts[first - 1] : ends[last - 1]]
        rows.append({"horizon": horizon, "rows": len(pooled), **_bounds(pooled, levels)})
    return pl.DataFrame(rows)


def _bounds(scores: np.ndarray, levels: Sequence[float]) -> dict[str, float]:
    """The scores that bound each level."""
    ranks = [rank - 1 for level in levels for rank in quantile_ranks(len(scores), level)]
    found = np.partition(scores, ranks)[ranks].tolist()
    bounds: dict[str, float] = {}
    # The forecast itself is inside, and what is inside a narrower interval is inside a wider one.
    low = high = 0.0
    for level, lower, upper in zip(levels, found[::2], found[1::2], strict=True):
        low, high = min(low, lower), max(high, upper)
        bounds |= dict(zip(bound_names([level]), (low, high), strict=True))
    return bounds


def quantile_ranks(rows: int, level: float) -> tuple[int, int]:
    """Ranks (from 1) of the scores that bound a level, corrected for the finite number of scores.

    The upper one is ceil((n + 1) (1 + level) / 2), the lower one its mirror image; with too few scores for a level,
    the smallest and the largest.

    >>> quantile_ranks(99, 0.8), quantile_ranks(10, 0.95)
    ((10, 90), (1, 10))
    """
    upper = math.ceil((rows + 1) * (1 + level) / 2 - 1e-9)
    return max(1, rows + 1 - upper), min(rows, upper)


def pooled_horizons(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Which horizons are pooled for each one: the nearest ones on both sides, until `MIN_ROWS` are reached.

    Args:
        counts: Rows of horizons 1, 2, ...

    Returns:
        For each horizon the first and the last one that are pooled.

    >>> pooled_horizons([1000, 0, 1000])
    [(1, 1), (1, 3), (3, 3)]
    """
    needed, longest = min(MIN_ROWS, sum(counts)), len(counts)
    windows = []
    for horizon in range(1, longest + 1):
        first = last = horizon
        while sum(counts[first - 1 : last]) < needed:
            first, last = max(1, first - 1), min(longest, last + 1)
        windows.append((first, last))
    return windows


def _add_bounds(frame: pl.DataFrame, scores: pl.DataFrame, on: Sequence[str], non_negative: bool) -> pl.DataFrame:
    """Adds the columns of bounds, which `scores` has in units of `spread`, and cuts off what is below zero."""
    names = [name for name in scores.columns if name not in on]
    columns = {name: f"_score_{name}" for name in names}
    joined = frame.join(scores.rename(columns), on=list(on), how="left", maintain_order="left")

    def cut(values: pl.Expr) -> pl.Expr:
        return values.clip(lower_bound=0.0) if non_negative else values

    bounds = {name: cut(pl.col("yhat") + pl.col(column) * spread()) for name, column in columns.items()}
    return joined.with_columns(cut(pl.col("yhat"))).with_columns(**bounds).drop(columns.values())
