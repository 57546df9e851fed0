"""Where a model errs: by day, by series, and how its residuals are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import Window
from pyspark.sql import functions as F

from salesml_assets.forecasting.metrics import significant

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHOWN_SERIES = 10
ENOUGH = 0.95
SAMPLE_ROWS = 5_000
BINS = 41
# Residuals beyond these quantiles stand in the outer bins.
TAIL = 0.01


def daily_sums(predictions: DataFrame) -> pd.DataFrame:
    """Sums over all series per scored step: `algorithm`, `fold`, `origin`, `ds`, `loss` (Σ|y - ŷ|), `volume` (Σ|y|),
    `y`, `yhat`; in units of the target, sorted.

    Args:
        predictions: Rows of several algorithms, with `algorithm`.
    """
    sums = {"loss": F.abs(F.col("y") - F.col("yhat")), "volume": F.abs("y"), "y": F.col("y"), "yhat": F.col("yhat")}
    frame = (
        predictions.where("fold >= 1")
        .groupBy("algorithm", "fold", "ds")
        .agg(F.max("origin").alias("origin"), *[F.sum(value).alias(name) for name, value in sums.items()])
        .toPandas()
        .sort_values(["algorithm", "fold", "ds"], ignore_index=True)
    )
    dates = {name: pd.to_datetime(frame[name]) for name in ("ds", "origin")}
    return frame.assign(**dates, **{name: significant(frame[name]) for name in sums})


def losses_of(sums: pd.DataFrame) -> pd.DataFrame:
    """Daily sums side by side, for the tests of significance.

    Returns:
        One row per scored fold and step: `fold`, `ds`, `volume` (Σ|y|), and Σ|y - ŷ| of each algorithm in a column
        of its name.
    """
    wide = sums.pivot(index=["fold", "ds"], columns="algorithm", values="loss").sort_index()
    # Every algorithm's rows are the same, so any one's volume will do: the largest, whatever the rounding.
    wide.insert(0, "volume", sums.groupby(["fold", "ds"])["volume"].max())
    return wide.reset_index().rename_axis(columns=None)


def folds_of(sums: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The scored folds: `fold`, `origin`, `first`, `last` (steps scored), `rows`, `series` (of one algorithm)."""
    spans = sums.groupby("fold").agg(origin=("origin", "max"), first=("ds", "min"), last=("ds", "max")).reset_index()
    by_fold = metrics[metrics["dimension"] == "fold"].assign(fold=lambda frame: frame["segment"].astype(int))
    counts = by_fold.groupby(["metric", "fold"])["value"].max()
    return spans.assign(**{name: spans["fold"].map(counts[name]).astype(int) for name in ("rows", "series")})


def best_and_worst_series(predictions: DataFrame, count: int = SHOWN_SERIES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The series with the lowest and the highest WAPE among those with enough volume in the folds.

    Enough means that the series with more volume have less than 95 % of it: the error of a series that hardly sells
    is large and matters little. A series that has stopped selling counts by what it sells now.

    Args:
        predictions: Of one algorithm.
        count: How many of each; with few series the two lists share none of them.

    Returns:
        Best (best first) and worst (worst first): `unique_id`, `wape`, `bias`, `volume` (Σ|y| over the folds).
    """
    error = F.col("yhat") - F.col("y")
    total = Window.partitionBy()
    above = total.orderBy(F.desc("volume"), "unique_id").rowsBetween(Window.unboundedPreceding, -1)
    series = (
        predictions.where("fold >= 1")
        .groupBy("unique_id")
        .agg(F.sum(F.abs(error)).alias("absolute"), F.sum(error).alias("signed"), F.sum(F.abs("y")).alias("volume"))
        .withColumn("above", F.coalesce(F.sum("volume").over(above), F.lit(0.0)) / F.sum("volume").over(total))
        .where((F.col("volume") > 0) & (F.col("above") < ENOUGH))
        .select(
            "unique_id",
            (F.col("absolute") / F.col("volume")).alias("wape"),
            (F.col("signed") / F.col("volume")).alias("bias"),
            "volume",
        )
    )
    best = series.orderBy(F.round("wape", 9), "unique_id").limit(count).toPandas()
    worst = series.orderBy(F.round("wape", 9).desc(), F.col("unique_id").desc()).limit(count).toPandas()
    if len(best) < count:  # few series: each stands in one list
        half = -(-len(best) // 2)
        best, worst = best.head(half), worst.head(len(best) - half)
    return _rounded(best), _rounded(worst)


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: significant(frame[name]) for name in ("wape", "bias", "volume")})


def residual_histogram(predictions: DataFrame, bins: int = BINS) -> tuple[list[float], list[int]]:
    """Counts of y - ŷ of one algorithm's scored rows in equal bins around zero.

    Returns:
        Edges (one more than counts, ascending, symmetric) and counts; rows beyond the edges stand in the outer bins.
    """
    residuals = predictions.where("fold >= 1").select((F.col("y") - F.col("yhat")).alias("residual"))
    low, high = residuals.agg(F.percentile_approx("residual", [TAIL, 1 - TAIL], 10_000)).first()[0]  # type: ignore[index]
    reach = float(f"{max(abs(low), abs(high)):.3g}") or 1.0
    number = F.floor((F.col("residual") + reach) / (2 * reach) * bins)
    counted = residuals.groupBy(F.least(F.greatest(number, F.lit(0)), F.lit(bins - 1)).alias("bin")).count().toPandas()
    counts = counted.set_index("bin")["count"].reindex(range(bins), fill_value=0)
    return [float(edge) for edge in np.linspace(-reach, reach, bins + 1)], [int(count) for count in counts]


def sample_pairs(predictions: DataFrame, rows: int = SAMPLE_ROWS, seed: int = 0) -> pd.DataFrame:
    """Scored rows of one algorithm, drawn by a hash, the same in every run: `unique_id`, `ds`, `y`, `yhat`."""
    draw = F.xxhash64("unique_id", "fold", "ds", F.lit(seed))
    columns = ["unique_id", "ds", "y", "yhat"]
    drawn = predictions.where("fold >= 1").orderBy(draw, "unique_id", "ds").select(*columns).limit(rows).toPandas()
    return drawn.assign(ds=pd.to_datetime(drawn["ds"])).sort_values(["unique_id", "ds"], ignore_index=True)
