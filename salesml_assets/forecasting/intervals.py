"""Conformal intervals from backtest residuals, by size of the series and scaled per row.

A residual is divided by the spread of its row: the geometric mean of half its level and forecast and of the series'
usual step-to-step change. Signed quantiles of these scores are taken for big, middle and small series apart (split
conformal, by group: Vovk et al. 2005; Lei et al. 2018), so that lower and upper bound need not be symmetric. Rows of
one day move together, so that the guarantee of exchangeable rows does not hold as it stands: `cross_fold_coverage`
measures what the intervals really cover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import Batches, Totals
from salesml_assets.forecasting.metrics import LONG_COLUMNS, horizon_bucket, in_segments, significant

if TYPE_CHECKING:
    import pandas as pd  # only for reports: the prediction service does without

LEVELS = (0.8, 0.95)
# Sizes with fewer residuals take the bounds of all.
MIN_ROWS = 150
# Series with the first 80 % of the volume of a step, with the next 15 %, and the rest.
SIZES = (0.8, 0.95)
# The published quantile by which orders are placed, and the probabilities between which its scores are interpolated.
ORDER_QUANTITY = "order_quantity"
PROBABILITIES = (0.005, 0.01, 0.025, *(round(0.05 * n, 2) for n in range(1, 20)), 0.975, 0.99, 0.995)
COVERED_DIMENSIONS = ("total", "fold", "horizon", "volume_class")
SCORED_COLUMNS = ("fold", "horizon", "y", "yhat", "scale", "naive_mse")


def bound_names(levels: Sequence[float] = LEVELS) -> tuple[str, ...]:
    """Columns of the bounds.

    >>> bound_names()
    ('lo80', 'hi80', 'lo95', 'hi95')
    """
    return tuple(f"{side}{round(100 * level)}" for level in levels for side in ("lo", "hi"))


BOUNDS = bound_names()


def spread() -> pl.Expr:
    """The unit of a row's residual, from the columns `scale` (above zero), `yhat` and `naive_mse`.

    √((level + |forecast|) / 2 × √naive_mse): the error of a big day is bigger than that of a small one, but not in
    proportion, and a lively series errs more than a steady one of the same size. Where the usual change is not known,
    the mean of level and forecast alone.
    """
    size = (pl.col("scale") + pl.col("yhat").abs()) / 2
    return (size * pl.coalesce(pl.col("naive_mse").sqrt(), size)).sqrt()


def interval_table(batches: Batches, levels: Sequence[float] = LEVELS) -> pl.DataFrame:
    """Calibrates the intervals of one algorithm on its backtest, all folds.

    Args:
        batches: `fold`, `y`, `yhat`, `scale`, `naive_mse`. Three numbers per row are kept.
        levels: Nominal coverages, ascending.

    Returns:
        One row for each size of series, the largest first: `min_scale` (the smallest level that belongs to it),
        `rows` (that it rests on), and for each level the lower bound's score (never above zero) and the upper bound's
        (never below), in units of `spread`. Wider levels contain narrower ones. `quantiles` are the scores of
        `PROBABILITIES`.

    Raises:
        ValueError: There are no predictions.
    """
    return _calibrate(_scores(batches), levels)


def apply_intervals(
    frame: pl.DataFrame, table: pl.DataFrame, non_negative: bool, service_level: float | None = None
) -> pl.DataFrame:
    """Adds lower and upper bounds, such that lo95 <= lo80 <= yhat <= hi80 <= hi95, and the quantile to order.

    Each row by itself: however a table is split into frames, its bounds have the same digits. Rows keep their order.

    Args:
        frame: `yhat`, `scale` (above zero), `naive_mse` (null: not known).
        table: Of `interval_table`.
        non_negative: The target cannot be below zero: bounds, quantile and `yhat` are cut off there.
        service_level: Probability with which a step's demand is at most `order_quantity`; None: without that column.
            Below 0.005 and above 0.995 the quantile there is taken.
    """

    def cut(values: pl.Expr) -> pl.Expr:
        return values.clip(lower_bound=0.0) if non_negative else values

    if service_level is not None:
        table = table.with_columns(order_scores(table, service_level))
    names = [name for name in table.columns if name not in ("min_scale", "rows", "quantiles")]
    bounds = {name: cut(pl.col("yhat") + _score_of(table, name) * spread()) for name in names}
    # The bounds rest on the forecast before it is cut off.
    return frame.with_columns(**bounds).with_columns(cut(pl.col("yhat")))


def order_scores(table: pl.DataFrame, service_level: float) -> pl.Series:
    """The score of the quantile to order for each size of series, between the neighbouring calibrated ones.

    Args:
        table: Of `interval_table`.
        service_level: Probability with which a step's demand is at most the quantile.
    """
    known, scores = np.array(PROBABILITIES), table.get_column("quantiles", default=None)
    if scores is None:  # a model saved before there were quantiles has those of its bounds
        known, scores = np.array([0.025, 0.1, 0.9, 0.975]), table.select(pl.concat_list("lo95", "lo80", "hi80", "hi95"))
        scores = scores.to_series()
    return pl.Series(ORDER_QUANTITY, [float(np.interp(service_level, known, row)) for row in scores.to_list()])


def _score_of(table: pl.DataFrame, name: str) -> pl.Expr:
    """The score of a bound by the size of a row's series."""
    *larger, smallest = table.select("min_scale", name).iter_rows()
    score = pl.lit(smallest[1])
    for min_scale, value in reversed(larger):
        score = pl.when(pl.col("scale") >= min_scale).then(pl.lit(value)).otherwise(score)
    return score


def cross_fold_coverage(
    predictions: Mapping[str, Batches],
    levels: Sequence[float] = LEVELS,
    non_negative: bool = True,
    weekly: bool = False,
    dimensions: Sequence[str] = COVERED_DIMENSIONS,
    service_level: float | None = None,
) -> pd.DataFrame:
    """Measures what the intervals cover: each scored fold with a table calibrated on all other folds.

    Args:
        predictions: Per algorithm the columns of its table, fold 0 included; read twice.
        levels: Nominal coverages, ascending.
        non_negative: As in `apply_intervals`.
        weekly: Whether a step is a week, for the buckets of the horizon.
        dimensions: Some of the dimensions of the metrics.
        service_level: Of the quantile to order; None: it is not measured.

    Returns:
        `algorithm`, `dimension`, `segment`, `level`, `coverage` (share of rows inside), `width` (Σ width / Σ|y|,
        null where nothing was sold), `rows`; with a service level, rows without a `level` follow, whose `coverage` is
        the share of rows at or below the quantile, and whose `width` is Σ quantile / Σ|y|.

    Raises:
        ValueError: There are no predictions, or those of one fold alone.
    """
    import pandas as pd

    parts = []
    for name, batches in predictions.items():
        pieces = _covered(
            batches, held_out_tables(_scores(batches), levels), levels, non_negative, weekly, service_level
        )
        sums = [
            in_segments(pieces, dimension)
            .group_by("dimension", "segment", maintain_order=True)
            .agg(pl.exclude("fold", "horizon_bucket", "category", "volume_class").sum())
            for dimension in dimensions
        ]
        parts.append(pl.concat(sums).to_pandas().assign(algorithm=name))
    return _coverage(pd.concat(parts, ignore_index=True), levels, service_level is not None)


def coverage_metrics(coverage: pd.DataFrame) -> pd.DataFrame:
    """Coverage in the long form of the metrics: `coverage80`, `coverage95`, and `coverage_order` without a level."""
    metric = "coverage" + (100 * coverage["level"]).round().map("{:.0f}".format).replace("nan", "_order")
    return coverage.assign(metric=metric, value=coverage["coverage"])[list(LONG_COLUMNS)]


def _scores(batches: Batches) -> pl.DataFrame:
    """The scores of all rows, as narrow as they can be: `fold`, `scale`, `score`."""
    score = (pl.col("y") - pl.col("yhat")) / spread()
    columns = [pl.col("fold").cast(pl.Int16), "scale", score.alias("score")]
    parts = [batch.select(columns) for batch in batches(SCORED_COLUMNS)]
    if not parts:
        raise ValueError("there are no predictions to calibrate intervals on")
    return pl.concat(parts)


def held_out_tables(scores: pl.DataFrame, levels: Sequence[float] = LEVELS) -> dict[int, pl.DataFrame]:
    """The interval table of each scored fold, calibrated on the other folds.

    Args:
        scores: `fold`, `scale` (level of the series), `score` (its error in some unit); fold 0 included.
        levels: Nominal coverages, ascending.

    Raises:
        ValueError: There are no scores, or those of one fold alone.
    """
    folds = sorted(fold for fold in scores["fold"].unique() if fold >= 1)
    return {fold: _calibrate(scores.filter(pl.col("fold") != fold), levels) for fold in folds}


def _covered(
    batches: Batches,
    tables: Mapping[int, pl.DataFrame],
    levels: Sequence[float],
    non_negative: bool,
    weekly: bool,
    service_level: float | None,
) -> pl.DataFrame:
    """Rows inside the bounds and widths, added up by fold, bucket of the horizon, category and class."""
    keys = ["fold", "horizon_bucket", "category", "volume_class"]
    names = bound_names(levels)
    measured = {"rows": pl.lit(1, pl.Int64), "volume": pl.col("y").abs()}
    for low, high in zip(names[::2], names[1::2], strict=True):
        measured[f"inside_{low}"] = pl.col("y").is_between(pl.col(low), pl.col(high)).cast(pl.Int64)
        measured[f"width_{low}"] = pl.col(high) - pl.col(low)
    if service_level is not None:
        ordered = pl.col(ORDER_QUANTITY)
        measured |= {"inside_order": (pl.col("y") <= ordered).cast(pl.Int64), "width_order": ordered}
    sums = Totals(keys)
    for batch in batches([*SCORED_COLUMNS, "category", "volume_class"]):
        for fold, table in tables.items():
            bounded = apply_intervals(batch.filter(pl.col("fold") == fold), table, non_negative, service_level)
            sums.add(bounded.with_columns(horizon_bucket(weekly)).select(*keys, **measured))
    return sums.frame()


def _coverage(sums: pd.DataFrame, levels: Sequence[float], with_orders: bool) -> pd.DataFrame:
    import pandas as pd

    volume = sums["volume"].where(sums["volume"] > 0)
    measured = [*zip(levels, bound_names(levels)[::2], strict=True), *([(math.nan, "order")] if with_orders else [])]
    parts = [
        sums[["algorithm", "dimension", "segment"]].assign(
            level=level,
            coverage=significant(sums[f"inside_{name}"] / sums["rows"]),
            width=significant(sums[f"width_{name}"] / volume),
            rows=sums["rows"],
        )
        for level, name in measured
    ]
    return pd.concat(parts).sort_values(["algorithm", "dimension", "segment", "level"], ignore_index=True)


def _calibrate(scores: pl.DataFrame, levels: Sequence[float]) -> pl.DataFrame:
    """The table of bounds."""
    if scores.is_empty():
        raise ValueError("there are no predictions to calibrate intervals on")
    scale, values = scores["scale"].to_numpy(), scores["score"].to_numpy()
    rows = []
    above = np.inf
    for min_scale in _smallest_scales(scale):
        own = values[(scale >= min_scale) & (scale < above)]
        pooled = own if len(own) >= MIN_ROWS else values
        rows.append({"min_scale": min_scale, "rows": len(pooled), **_scores_at(pooled, levels)})
        above = min_scale
    return pl.DataFrame(rows)


def _smallest_scales(scale: np.ndarray) -> list[float]:
    """The smallest level of each size of series, the largest first; the last one is 0."""
    ordered = np.sort(scale)[::-1]
    before = np.cumsum(ordered) - ordered
    found = [float(ordered[before < share * ordered.sum()][-1]) for share in SIZES]
    return [*sorted(set(found), reverse=True), 0.0]


def _scores_at(scores: np.ndarray, levels: Sequence[float]) -> dict[str, Any]:
    """The scores that bound each level, and those of `PROBABILITIES`."""
    of_bounds = [rank - 1 for level in levels for rank in quantile_ranks(len(scores), level)]
    ranks = [*of_bounds, *[quantile_rank(len(scores), probability) - 1 for probability in PROBABILITIES]]
    found = np.partition(scores, sorted(set(ranks)))[ranks].tolist()
    bounds: dict[str, Any] = {}
    # The forecast itself is inside, and what is inside a narrower interval is inside a wider one.
    low = high = 0.0
    for level, lower, upper in zip(levels, found[: len(of_bounds) : 2], found[1 : len(of_bounds) : 2], strict=True):
        low, high = min(low, lower), max(high, upper)
        bounds |= dict(zip(bound_names([level]), (low, high), strict=True))
    return bounds | {"quantiles": found[len(of_bounds) :]}


def quantile_rank(rows: int, probability: float) -> int:
    """The rank (from 1) of the score of a probability, corrected for the finite number of scores.

    >>> quantile_rank(99, 0.9), quantile_rank(99, 0.1), quantile_rank(10, 0.975)
    (90, 10, 10)
    """
    low, high = quantile_ranks(rows, abs(2 * probability - 1))
    return high if probability >= 0.5 else low


def quantile_ranks(rows: int, level: float) -> tuple[int, int]:
    """Ranks (from 1) of the scores that bound a level, corrected for the finite number of scores.

    The upper one is ceil((n + 1) (1 + level) / 2), the lower one its mirror image; with too few scores for a level,
    the smallest and the largest.

    >>> quantile_ranks(99, 0.8), quantile_ranks(10, 0.95)
    ((10, 90), (1, 10))
    """
    upper = math.ceil((rows + 1) * (1 + level) / 2 - 1e-9)
    return max(1, rows + 1 - upper), min(rows, upper)
