"""Metrics of backtest predictions, in long form: per algorithm and segment.

Spark reduces the predictions to one row per algorithm and segment; only that reaches the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

METRICS = ("wape", "rmse", "mae", "r2", "bias", "rmsse", "rows", "series")
DIMENSIONS = ("total", "fold", "horizon", "category", "volume_class")
TOTAL = "all"
LONG_COLUMNS = ("algorithm", "dimension", "segment", "metric", "value")
# First and last step of each bucket; beyond the last one there is no end.
DAILY_BUCKETS = ((1, 7), (8, 14), (15, 28), (29, None))
WEEKLY_BUCKETS = ((1, 1), (2, 4), (5, 13), (14, None))
# Sums of floats differ in the last digits with the order of Spark's tasks; a metric has no use for those digits.
DIGITS = 10
SUMS = ("rows", "absolute", "squared", "signed", "volume", "y", "y_squared")


def horizon_bucket(weekly: bool = False) -> Column:
    """The bucket of the column `horizon`: `1-7`, `8-14`, `15-28`, `29+` days, or `1`, `2-4`, `5-13`, `14+` weeks."""
    *closed, (start, _) = WEEKLY_BUCKETS if weekly else DAILY_BUCKETS
    bucket = F.lit(f"{start}+")
    for first, last in reversed(closed):
        name = str(first) if first == last else f"{first}-{last}"
        bucket = F.when(F.col("horizon") <= last, F.lit(name)).otherwise(bucket)
    return bucket


def by_segment(aggregated: DataFrame, dimensions: Sequence[str]) -> DataFrame:
    """Repeats each row for each dimension that it has a segment in, with the columns `dimension` and `segment`.

    Args:
        aggregated: Rows with `fold`, `horizon_bucket`, `category`, `volume_class`.
        dimensions: Some of `DIMENSIONS`.
    """
    segment = {"total": F.lit(TOTAL), "horizon": F.col("horizon_bucket")}
    pairs = [
        F.struct(F.lit(name).alias("dimension"), segment.get(name, F.col(name)).cast("string").alias("segment"))
        for name in dimensions
    ]
    exploded = aggregated.withColumn("_pair", F.explode(F.array(*pairs))).where("_pair.segment is not null")
    return exploded.withColumns({"dimension": F.col("_pair.dimension"), "segment": F.col("_pair.segment")}).drop(
        "_pair"
    )


def metrics_by(predictions: DataFrame, dimensions: Sequence[str] = DIMENSIONS, weekly: bool = False) -> pd.DataFrame:
    """Metrics of the scored folds (fold 0 is the tuning origin and does not count).

    WAPE = Σ|y - ŷ| / Σ|y|; bias = Σ(ŷ - y) / Σ|y|; R² = 1 - SSE / SST over all rows of the segment; RMSSE is the
    mean over series and folds of sqrt(mean squared error / `naive_mse`) where that is above zero (Hyndman &
    Koehler 2006; the M5 competition's scaling).

    Args:
        predictions: `algorithm` and the columns of the algorithms' tables: `unique_id`, `category`, `volume_class`,
            `fold`, `horizon`, `y`, `yhat`, `naive_mse`.
        dimensions: Some of `DIMENSIONS`.
        weekly: Whether a step is a week, for the buckets of the horizon.

    Returns:
        `algorithm`, `dimension`, `segment` (text), `metric` (one of `METRICS`), `value` (null where it is undefined,
        never infinite), sorted. mae and rmse are in units of the target, the others have none.
    """
    error = F.col("yhat") - F.col("y")
    keys = ["algorithm", "unique_id", "fold"]
    segments = ["category", "volume_class"]
    pieces = (
        predictions.where("fold >= 1")
        .withColumn("horizon_bucket", horizon_bucket(weekly))
        .groupBy(*keys, "horizon_bucket", *segments)
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum(F.abs(error)).alias("absolute"),
            F.sum(error * error).alias("squared"),
            F.sum(error).alias("signed"),
            F.sum(F.abs("y")).alias("volume"),
            F.sum("y").alias("y"),
            F.sum(F.col("y") * F.col("y")).alias("y_squared"),
            F.max("naive_mse").alias("naive_mse"),
        )
    )
    series = (
        by_segment(pieces, dimensions)
        .groupBy(*keys, "dimension", "segment")
        .agg(*[F.sum(name).alias(name) for name in SUMS], F.max("naive_mse").alias("naive_mse"))
    )
    scaled = F.when(F.col("naive_mse") > 0, F.sqrt(F.col("squared") / F.col("rows") / F.col("naive_mse")))
    sums = (
        series.groupBy("algorithm", "dimension", "segment")
        .agg(
            *[F.sum(name).alias(name) for name in SUMS],
            F.avg(scaled).alias("rmsse"),
            F.count_distinct("unique_id").alias("series"),
        )
        .toPandas()
    )
    return _long(sums)


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

    >>> significant(pd.Series([1 / 3, float("inf"), 0.0])).tolist()
    [0.3333333333, nan, 0.0]
    """
    finite = values.astype(float).replace([np.inf, -np.inf], np.nan)
    return finite.map(lambda value: float(f"{value:.{DIGITS}g}"))


def total(metrics: pd.DataFrame, metric: str) -> dict[str, float]:
    """One metric over all rows, per algorithm; algorithms without a value are left out."""
    rows = metrics[(metrics["dimension"] == "total") & (metrics["metric"] == metric) & metrics["value"].notna()]
    return dict(zip(rows["algorithm"], rows["value"], strict=True))
