"""Conformal intervals from backtest residuals, per horizon and scaled per series.

A residual is divided by the spread of its row, half the series' typical level and half its forecast; signed
quantiles of these scores are taken per horizon (split conformal: Vovk et al. 2005; Lei et al. 2018), so that
lower and upper bound need not be symmetric. Rows of one day move together, so that the guarantee of exchangeable
rows does not hold as it stands: `cross_fold_coverage` measures what the intervals really cover.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from salesml_assets.forecasting.metrics import by_segment, horizon_bucket, significant

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

LEVELS = (0.8, 0.95)
# A bound of the 95 % interval rests on 25 rows of 1,000; horizons with fewer are pooled with their neighbours.
MIN_ROWS = 1_000
# Rank error of the approximate quantiles: 1 in so many.
ACCURACY = 10_000
COVERED_DIMENSIONS = ("total", "fold", "horizon", "volume_class")


def bound_names(levels: Sequence[float] = LEVELS) -> tuple[str, ...]:
    """Columns of the bounds.

    >>> bound_names()
    ('lo80', 'hi80', 'lo95', 'hi95')
    """
    return tuple(f"{side}{round(100 * level)}" for level in levels for side in ("lo", "hi"))


BOUNDS = bound_names()


def spread() -> Column:
    """The unit of a row's residual, from the columns `scale` (above zero) and `yhat`: their mean.

    The error of a big day is bigger than that of a small one, but not in proportion. Of the units tried (level,
    forecast, their root and their mean), this one gave the narrowest intervals at equal coverage for learned
    algorithms on daily, weekly, dense and sparse sales.
    """
    return (F.col("scale") + F.abs("yhat")) / 2


def interval_table(predictions: DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Calibrates the intervals of one algorithm on its backtest, all folds.

    Args:
        predictions: `horizon`, `y`, `yhat`, `scale`.
        levels: Nominal coverages, ascending.

    Returns:
        One row per horizon from 1 to the longest one: `horizon`, `rows` (that it rests on), and for each level the
        lower bound's score (never above zero) and the upper bound's (never below), in units of `spread`. Wider
        levels contain narrower ones.

    Raises:
        ValueError: There are no predictions.
    """
    counts = predictions.groupBy("horizon").count().toPandas()
    return _calibrate(predictions, counts, [], levels)


def apply_intervals(frame: DataFrame, table: pd.DataFrame, non_negative: bool) -> DataFrame:
    """Adds lower and upper bounds, such that lo95 <= lo80 <= yhat <= hi80 <= hi95.

    Args:
        frame: `yhat`, `scale` (above zero), `horizon`; horizons beyond the table take its last row.
        table: Of `interval_table`.
        non_negative: The target cannot be below zero: bounds and `yhat` are cut off there.
    """
    bounds = [name for name in table.columns if name not in ("horizon", "rows")]
    scores = _to_spark(table[["horizon", *bounds]].rename(columns=_score_names(bounds)), frame.sparkSession)
    longest = int(table["horizon"].max())
    joined = frame.join(
        F.broadcast(scores.withColumnRenamed("horizon", "_horizon")),
        F.least("horizon", F.lit(longest)) == F.col("_horizon"),
        "left",
    ).drop("_horizon")
    return _add_bounds(joined, bounds, non_negative).drop(*_score_names(bounds).values())


def cross_fold_coverage(
    predictions: DataFrame,
    levels: Sequence[float] = LEVELS,
    non_negative: bool = True,
    weekly: bool = False,
    dimensions: Sequence[str] = COVERED_DIMENSIONS,
) -> pd.DataFrame:
    """Measures what the intervals cover: each scored fold with a table calibrated on all other folds.

    Args:
        predictions: `algorithm` and the columns of the algorithms' tables, fold 0 included.
        levels: Nominal coverages, ascending.
        non_negative: As in `apply_intervals`.
        weekly: Whether a step is a week, for the buckets of the horizon.
        dimensions: Some of the dimensions of the metrics.

    Returns:
        `algorithm`, `dimension`, `segment`, `level`, `coverage` (share of rows inside), `width` (Σ width / Σ|y|,
        null where nothing was sold), `rows`.
    """
    names = bound_names(levels)
    counts = predictions.groupBy("algorithm", "fold", "horizon").count().toPandas()
    scored = sorted(int(fold) for fold in counts["fold"].unique() if fold >= 1)
    others = predictions.withColumn("held_out", F.explode(F.lit(scored))).where("held_out <> fold")
    other_counts = pd.concat([counts[counts["fold"] != fold].assign(held_out=fold) for fold in scored])
    table = _calibrate(others, other_counts, ["algorithm", "held_out"], levels)
    scores = table.drop(columns="rows").rename(columns={"held_out": "fold", **_score_names(names)})
    joined = predictions.where("fold >= 1").join(
        F.broadcast(_to_spark(scores, predictions.sparkSession)), ["algorithm", "fold", "horizon"]
    )
    bounded = _add_bounds(joined, names, non_negative)
    measured = {"rows": F.lit(1), "volume": F.abs("y")}
    for low, high in zip(names[::2], names[1::2], strict=True):
        measured[f"inside_{low}"] = F.col("y").between(F.col(low), F.col(high)).cast("int")
        measured[f"width_{low}"] = F.col(high) - F.col(low)
    pieces = (
        bounded.withColumn("horizon_bucket", horizon_bucket(weekly))
        .groupBy("algorithm", "fold", "horizon_bucket", "category", "volume_class")
        .agg(*[F.sum(value).alias(name) for name, value in measured.items()])
    )
    sums = (
        by_segment(pieces, dimensions)
        .groupBy("algorithm", "dimension", "segment")
        .agg(*[F.sum(name).alias(name) for name in measured])
        .toPandas()
    )
    return _coverage(sums, levels)


def _coverage(sums: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
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


def _calibrate(predictions: DataFrame, counts: pd.DataFrame, by: list[str], levels: Sequence[float]) -> pd.DataFrame:
    """The table of scores for each group of `by`: neighbouring horizons are pooled, Spark takes the quantiles.

    `counts` has the rows (`count`) of each group and `horizon`.
    """
    if counts.empty:
        raise ValueError("there are no predictions to calibrate intervals on")
    steps = range(1, int(counts["horizon"].max()) + 1)
    groups = counts.groupby(by) if by else [((), counts)]
    windows = pd.DataFrame(
        [
            (*key, *window)
            for key, group in groups
            for window in pooled_horizons(
                group.groupby("horizon")["count"].sum().reindex(steps, fill_value=0).astype(int).tolist()
            )
        ],
        columns=[*by, "target", "horizon", "rows"],
    )
    fewest = int(windows.groupby([*by, "target"])["rows"].first().min())
    ranks = [rank for level in levels for rank in quantile_ranks(fewest, level)]
    score = (F.col("y") - F.col("yhat")) / spread()
    pooled = predictions.withColumn("_score", score).join(
        F.broadcast(_to_spark(windows, predictions.sparkSession)), [*by, "horizon"]
    )
    quantiles = F.percentile_approx("_score", [(rank - 0.5) / fewest for rank in ranks], ACCURACY)
    found = pooled.groupBy(*by, "target").agg(F.count(F.lit(1)).alias("rows"), quantiles.alias("scores")).toPandas()
    table = found[[*by]].assign(horizon=found["target"].astype(int), rows=found["rows"].astype(int))
    previous: dict[str, pd.Series] = {}
    for number, name in enumerate(bound_names(levels)):
        values, side = found["scores"].str[number].astype(float), name[:2]
        # The forecast itself is inside, and what is inside a narrower interval is inside a wider one.
        inner = previous.get(side, pd.Series(0.0, index=found.index))
        table[name] = previous[side] = values.clip(upper=inner) if side == "lo" else values.clip(lower=inner)
    return table.sort_values([*by, "horizon"], ignore_index=True)


def quantile_ranks(rows: int, level: float) -> tuple[int, int]:
    """Ranks (from 1) of the scores that bound a level, corrected for the finite number of scores.

    The upper one is ceil((n + 1) (1 + level) / 2), the lower one its mirror image; with too few scores for a level,
    the smallest and the largest.

    >>> quantile_ranks(99, 0.8), quantile_ranks(10, 0.95)
    ((10, 90), (1, 10))
    """
    upper = math.ceil((rows + 1) * (1 + level) / 2 - 1e-9)
    return max(1, rows + 1 - upper), min(rows, upper)


def pooled_horizons(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Which horizons are pooled for each one, and how many rows that gives.

    Args:
        counts: Rows of horizons 1, 2, ...

    Returns:
        Triples of horizon, pooled horizon, rows of all that are pooled: the nearest ones on both sides until
        `MIN_ROWS` are reached.

    >>> pooled_horizons([1000, 0, 1000])
    [(1, 1, 1000), (2, 1, 2000), (2, 2, 2000), (2, 3, 2000), (3, 3, 1000)]
    """
    needed, longest = min(MIN_ROWS, sum(counts)), len(counts)
    triples = []
    for horizon in range(1, longest + 1):
        first = last = horizon
        while sum(counts[first - 1 : last]) < needed:
            first, last = max(1, first - 1), min(longest, last + 1)
        triples += [(horizon, pooled, sum(counts[first - 1 : last])) for pooled in range(first, last + 1)]
    return triples


def _to_spark(frame: pd.DataFrame, spark: SparkSession) -> DataFrame:
    """A small table as a Spark table; through Arrow in one piece, for which Spark starts no Python worker."""
    return spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False).combine_chunks())


def _score_names(bounds: Sequence[str]) -> dict[str, str]:
    return {name: f"_score_{name}" for name in bounds}


def _add_bounds(frame: DataFrame, bounds: Sequence[str], non_negative: bool) -> DataFrame:
    unit = spread()
    floor = F.lit(0.0) if non_negative else F.lit(-math.inf)
    values = {name: F.greatest(F.col("yhat") + F.col(f"_score_{name}") * unit, floor) for name in bounds}
    return frame.withColumn("yhat", F.greatest("yhat", floor)).withColumns(values)
