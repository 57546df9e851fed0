"""How much a forecast for the same step changes from one origin to the next, in the backtest and in production.

Planners act on forecasts that are renewed every week: what jumps costs them, whatever its error. The measure is
Σ|new - old| / Σ(|new| + |old|)/2 over pairs of forecasts for one series and step from two successive origins: the
symmetric change of Van Belle, Crevits & Verbeke (2023), weighted by the size of the forecasts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.compute as pc

from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.metrics import LONG_COLUMNS, TOTAL, horizon_bucket, significant
from salesml_assets.forecasting.origin_rows import rows_at
from salesml_assets.names import FEATURES

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.lake.store import Lakehouse

CHANGE = "change"  # name of the metric
REVIEW_DAYS = 7  # forecasts are renewed every week
MAX_SERIES = 500
KEYS = ["unique_id", "ds"]


def change_of(pairs: pl.DataFrame) -> float | None:
    """Σ|new - old| / Σ(|new| + |old|)/2; None where there is nothing to change.

    Args:
        pairs: `new` and `old`.

    >>> change_of(pl.DataFrame({"new": [10.0, 0.0], "old": [8.0, 0.0]}))
    0.2222222222222222
    """
    moved, size = change_sums(pl.col("new"), pl.col("old"))
    total, volume = pairs.select(moved.sum().alias("moved"), size.sum().alias("size")).row(0)
    return total / volume if volume else None


def change_sums(new: pl.Expr, old: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The terms of both sums of the measure."""
    return (new - old).abs(), (new.abs() + old.abs()) / 2


def review_steps(horizon: int, step_days: int) -> int:
    """Steps between two origins: a week, or as much of it as leaves forecasts for the same steps; 0 where none is.

    >>> review_steps(28, 1), review_steps(8, 7), review_steps(7, 1), review_steps(1, 1)
    (7, 1, 3, 0)
    """
    return min(REVIEW_DAYS // step_days, horizon // 2)


def backtest_changes(lake: Lakehouse, bundles: Mapping[str, Bundle]) -> pd.DataFrame:
    """Change of each algorithm's forecasts while its model stays and the origin moves on by a week at a time.

    The origins start with the one that the models were fitted at, so no model has seen a target. They overlap, as the
    origins of the folds do not.

    Args:
        lake: The lake; its features of at most `MAX_SERIES` series, drawn by a hash of their names, are read.
        bundles: Per algorithm the model of the latest backtest origin.

    Returns:
        Metrics in long form (`metrics.LONG_COLUMNS`): in total and by the horizon of the newer forecast; no rows where
        the horizon is too short.
    """
    import pandas as pd

    empty = pd.DataFrame({name: pd.Series(dtype=float if name == "value" else object) for name in LONG_COLUMNS})
    first = next(iter(bundles.values()), None)
    if first is None or review_steps(first.horizon, first.calendar.step_days) == 0:
        return empty
    rows = overlapping_rows(lake, first)
    if rows.is_empty():
        return empty
    found = []
    for name, bundle in bundles.items():
        yhat = bundle.model.predict(rows)
        made = rows.select("unique_id", "ds", "origin", "horizon").with_columns(
            yhat=np.maximum(yhat, 0.0) if bundle.non_negative else yhat
        )
        found += [
            {"algorithm": name, "dimension": dimension, "segment": segment, "metric": CHANGE, "value": value}
            for dimension, segment, value in _changes(successive(made), first.features.weekly)
        ]
    table = pd.DataFrame(found, columns=list(LONG_COLUMNS))
    return table.assign(value=significant(table["value"].astype(float)))


def successive(made: pl.DataFrame) -> pl.DataFrame:
    """Forecasts joined with the one before them for the same series and step.

    Args:
        made: `unique_id`, `ds`, `origin`, `horizon`, `yhat`.

    Returns:
        `unique_id`, `ds`, `horizon` (of the newer one), `new`, `old`.
    """
    ordered = made.sort("unique_id", "ds", "origin")
    old = pl.col("yhat").shift(1).over(KEYS)
    return ordered.select(*KEYS, "horizon", pl.col("yhat").alias("new"), old.alias("old")).drop_nulls("old")


def _changes(pairs: pl.DataFrame, weekly: bool) -> Iterator[tuple[str, str, float | None]]:
    yield "total", TOTAL, change_of(pairs)
    parts = pairs.with_columns(horizon_bucket(weekly)).partition_by("horizon_bucket", as_dict=True)
    for (bucket,), part in sorted(parts.items()):
        yield "horizon", str(bucket), change_of(part)


def overlapping_rows(lake: Lakehouse, bundle: Bundle) -> pl.DataFrame:
    """Rows of the panel at origins that are a week apart, from the model's cutoff to the end of the data.

    Args:
        lake: The lake.
        bundle: A model of the latest backtest origin.
    """
    step, spec = bundle.calendar.step_days, bundle.features
    origins = [
        bundle.cutoff + dt.timedelta(step * review_steps(bundle.horizon, step) * number)
        for number in range(bundle.horizon)
    ]
    at_cutoff = pc.field("ds") == bundle.cutoff
    names = pl.concat(
        [pl.DataFrame(schema={"unique_id": pl.String}), *lake.batches(FEATURES, ["unique_id"], at_cutoff)]
    )["unique_id"]
    if names.is_empty():
        return pl.DataFrame()
    drawn = names.to_frame().with_columns(uniform(names, seed=11).alias("draw")).sort("draw", "unique_id")
    chosen = drawn.head(MAX_SERIES)["unique_id"]
    return rows_at(lake, spec, chosen, origins, bundle.horizon)
