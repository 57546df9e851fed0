"""One algorithm's backtest reduced in one pass: what metrics, significance and the business reading are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import Batches, Totals
from salesml_assets.forecasting.business import Costs
from salesml_assets.forecasting.draws import hashed
from salesml_assets.forecasting.errors import daily_errors
from salesml_assets.forecasting.metrics import PIECE_KEYS, error_sums, segment_sums

COLUMNS = ("unique_id", "category", "volume_class", "fold", "origin", "horizon", "ds", "y", "yhat", "naive_mse")


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Sums over the scored folds of one algorithm, and what tells whether its rows can be compared with another's.

    Attributes:
        rows: Rows of all folds, the tuning fold included.
        fingerprint: Sum of hashes of (series, fold, step, horizon) over these rows, in any order.
        unusable: Rows among them whose prediction is not a finite number.
        segments: Of `metrics.segment_sums`.
        days: Of `errors.daily_errors`, added up by fold and step.
        series: Per series: `unique_id`, `absolute` (Σ|y - ŷ|), `signed` (Σ(ŷ - y)), `volume` (Σ|y|), `y`.
    """

    rows: int
    fingerprint: int
    unusable: int
    segments: pl.DataFrame
    days: pl.DataFrame
    series: pl.DataFrame


def scan(batches: Batches, weekly: bool = False, costs: Costs | None = None) -> Scan:
    """Reads an algorithm's predictions once.

    Args:
        batches: The columns `COLUMNS`, fold 0 (the tuning origin, which does not count) included.
        weekly: Whether a step is a week, for the buckets of the horizon.
        costs: What errors are assumed to cost; default: a unit costs its price.

    Raises:
        ValueError: There are no predictions.
    """
    pieces, days = Totals(PIECE_KEYS, largest=["naive_mse"]), Totals(["fold", "ds"], largest=["origin"])
    rows = fingerprint = unusable = 0
    for batch in batches(COLUMNS):
        rows += batch.height
        keys = hashed(*batch.select("unique_id", "fold", "ds", "horizon").get_columns(), seed=0)
        fingerprint = (fingerprint + int(np.sum(keys.to_numpy()))) % 2**64
        unusable += batch.height - int(batch["yhat"].is_finite().sum())
        scored = batch.filter(pl.col("fold") >= 1)
        pieces.add(error_sums(scored, weekly))
        days.add(daily_errors(scored))
    sums = pieces.frame()
    series = Totals(["unique_id"])
    series.add(sums.select("unique_id", "absolute", "signed", "volume", "y"))
    return Scan(
        rows=rows,
        fingerprint=fingerprint,
        unusable=unusable,
        segments=segment_sums((costs or Costs()).added(sums)),
        days=days.frame(),
        series=series.frame(),
    )
