"""Metrics of backtest predictions, in long form: per algorithm and segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("wape", "rmse", "mae", "r2", "bias", "rmsse", "cost", "rows", "series")
DIMENSIONS = ("total", "fold", "horizon", "category", "volume_class")
TOTAL = "all"
LONG_COLUMNS = ("algorithm", "dimension", "segment", "metric", "value")
# First and last step of each bucket; beyond the last one there is no end.
DAILY_BUCKETS = ((1, 7), (8, 14), (15, 28), (29, None))
WEEKLY_BUCKETS = ((1, 1), (2, 4), (5, 13), (14, None))
# Sums of floats differ in the last digits with the order of the rows; a metric has no use for those digits.
DIGITS = 10
PIECE_KEYS = ("unique_id", "fold", "horizon_bucket", "category", "volume_class")
SUMS = ("rows", "absolute", "squared", "signed", "volume", "y", "y_squared")
COST = "cost"


def horizon_bucket(weekly: bool = False) -> pl.Expr:
    """The bucket of the column `horizon`: `1-7`, `8-14`, `15-28`, `29+` days, or `1`, `2-4`, `5-13`, `14+` weeks."""
    *closed, (start, _) = WEEKLY_BUCKETS if weekly else DAILY_BUCKETS
    bucket = pl.lit(f"{start}+")
    for first, last in reversed(closed):
        name = str(first) if first == last else f"{first}-{last}"
        bucket = pl.when(pl.col("horizon") <= last).then(pl.lit(name)).otherwise(bucket)
    return bucket.alias("horizon_bucket")


def in_segments(rows: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """The rows that have a segment of a dimension, with the columns `dimension` and `segment` (text).

    Args:
        rows: Rows with the column of the dimension: `fold`, `horizon_bucket`, `category`, `volume_class`.
        dimension: One of `DIMENSIONS`.
    """
    column = {"total": pl.lit(TOTAL), "horizon": pl.col("horizon_bucket")}.get(dimension, pl.col(dimension))
    named = rows.with_columns(dimension=pl.lit(dimension), segment=column.cast(pl.String))
    return named.filter(pl.col("segment").is_not_null())


def error_sums(rows: pl.DataFrame, weekly: bool = False) -> pl.DataFrame:
    """What `segment_sums` adds up, row by row: the keys `PIECE_KEYS`, `SUMS` and `naive_mse`.

    Args:
        rows: `unique_id`, `category`, `volume_class`, `fold`, `horizon`, `y`, `yhat`, `naive_mse`.
        weekly: Whether a step is a week, for the buckets of the horizon.
    """
    y, error = pl.col("y"), pl.col("yhat") - pl.col("y")
    return rows.with_columns(horizon_bucket(weekly)).select(
        *PIECE_KEYS,
        rows=pl.lit(1, pl.Int64),
        absolute=error.abs(),
        squared=error * error,
        signed=error,
        volume=y.abs(),
        y=y,
        y_squared=y * y,
        naive_mse=pl.col("naive_mse"),
    )


def segment_sums(pieces: pl.DataFrame, dimensions: Sequence[str] = DIMENSIONS) -> pl.DataFrame:
    """Sums of one algorithm per segment.

    Args:
        pieces: Of `error_sums`, added up by `PIECE_KEYS` (of `naive_mse` the largest), with their `cost`
            (`business.Costs`).
        dimensions: Some of `DIMENSIONS`.

    Returns:
        `dimension`, `segment`, `SUMS`, `cost` (of a fold, or of a mean fold, so that categories add up to the total),
        `rmsse` and `series`, sorted.
    """
    totals = []
    folds = pieces["fold"].n_unique()
    for dimension in dimensions:
        per_fold = (
            in_segments(pieces, dimension)
            .group_by("dimension", "segment", "unique_id", "fold", maintain_order=True)
            .agg(pl.col(*SUMS, COST).sum(), pl.col("naive_mse").max())
        )
        scaled = pl.when(pl.col("naive_mse") > 0).then(pl.col("squared") / pl.col("rows") / pl.col("naive_mse"))
        totals.append(
            per_fold.group_by("dimension", "segment").agg(
                pl.col(*SUMS).sum(),
                cost=pl.col(COST).sum() / (1 if dimension == "fold" else folds),
                rmsse=scaled.sqrt().mean(),
                series=pl.col("unique_id").n_unique(),
            )
        )
    return pl.concat(totals).sort("dimension", "segment")


def metrics_by(sums: Mapping[str, pl.DataFrame]) -> pd.DataFrame:
    """Metrics of the scored folds.

    WAPE = Σ|y - ŷ| / Σ|y|; bias = Σ(ŷ - y) / Σ|y|; R² = 1 - SSE / SST over all rows of the segment; RMSSE is the
    mean over series and folds of sqrt(mean squared error / `naive_mse`) where that is above zero (Hyndman &
    Koehler 2006; the M5 competition's scaling).

    Args:
        sums: Per algorithm, of `segment_sums`.

    Returns:
        `algorithm`, `dimension`, `segment` (text), `metric` (one of `METRICS`), `value` (null where it is undefined,
        never infinite), sorted. mae and rmse are in units of the target, cost is that of one horizon
        (`business.Costs`), the others have none.
    """
    import pandas as pd

    return _long(pd.concat([frame.to_pandas().assign(algorithm=name) for name, frame in sums.items()]))


def _long(sums: pd.DataFrame) -> pd.DataFrame:
    rows, volume = sums["rows"].astype(float), sums["volume"].astype(float)
    spread = sums["y_squared"] - sums["y"] ** 2 / rows
    # What rounding leaves of a constant target's variance is no variance.
    spread = spread.where(spread > 1e-12 * sums["y_squared"])
    positive = volume.where(volume > 0)
    table = sums[["algorithm", "dimension", "segment"]].assign(
        wape=sums["absolute"] / positive,
        rmse=np.sqrt(sums["squared"] / rows),
        mae=sums["absolute"] / rows,
        r2=1 - sums["squared"] / spread,
        bias=sums["signed"] / positive,
        rmsse=sums["rmsse"].astype(float),
        cost=sums[COST].astype(float),
        rows=rows,
        series=sums["series"].astype(float),
    )
    long = table.melt(["algorithm", "dimension", "segment"], list(METRICS), "metric", "value")
    return sorted_long(long.assign(value=significant(long["value"])))


def sorted_long(long: pd.DataFrame) -> pd.DataFrame:
    """Metrics in their one order: algorithm, dimension, segment, metric."""
    return long[list(LONG_COLUMNS)].sort_values(list(LONG_COLUMNS[:4]), ignore_index=True)


def significant(values: pd.Series) -> pd.Series:
    """Values to ten significant digits, infinite ones as null.

    >>> import pandas as pd
    >>> significant(pd.Series([1 / 3, float("inf"), 0.0])).tolist()
    [0.3333333333, nan, 0.0]
    """
    finite = values.astype(float).replace([np.inf, -np.inf], np.nan)
    return finite.map(lambda value: float(f"{value:.{DIGITS}g}"))


def total(metrics: pd.DataFrame, metric: str) -> dict[str, float]:
    """One metric over all rows, per algorithm; algorithms without a value are left out."""
    rows = metrics[(metrics["dimension"] == "total") & (metrics["metric"] == metric) & metrics["value"].notna()]
    return dict(zip(rows["algorithm"], rows["value"], strict=True))
