"""Rows of the panel at origins that the table `panel` does not have, from the lake's features, without Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.compute as pc

from salesml_assets.forecasting.batches import Totals, means_of, with_counts
from salesml_assets.forecasting.calendar_regression import Terms
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.panel import SCORE, PanelPlan, expand
from salesml_assets.forecasting.panel_features import group_mean
from salesml_assets.forecasting.pooled import Pool
from salesml_assets.names import FEATURES, POOLED_CALENDAR

if TYPE_CHECKING:
    from salesml_assets.forecasting.features import FeatureSpec
    from salesml_assets.lake.store import Lakehouse


def rows_at(
    lake: Lakehouse, spec: FeatureSpec, names: pl.Series, origins: Sequence[dt.date], horizon: int
) -> pl.DataFrame:
    """Rows to score of some series, value for value those that the panel would have.

    Args:
        lake: The lake.
        spec: The definition of the features.
        names: Names of the series.
        origins: The origins, ascending; they get the numbers of folds from 0 on.
        horizon: Steps ahead.

    Returns:
        The columns of `panel.expand`; steps after the end of the data have no row.
    """
    end = origins[-1] + dt.timedelta((7 if spec.weekly else 1) * horizon)
    version = lake.version(FEATURES)
    wanted = pc.field("unique_id").isin(names.to_list()) & (pc.field("ds") <= end)
    features = lake.read_polars(FEATURES, None, wanted, version)
    ahead = (pc.field("ds") > origins[0]) & (pc.field("ds") <= end)
    for key in [key for key in spec.plan_groups if key in features.columns]:
        sums = Totals([key, "ds"])
        for batch in lake.batches(FEATURES, [key, "ds", *spec.numbers], ahead, version):
            sums.add(batch.filter(pl.col(key).is_not_null()).select(key, "ds", *with_counts(spec.numbers)))
        means = sums.frame().select(key, "ds", *means_of(spec.numbers))
        named = [pl.col(name).round(9).alias(group_mean(name, key)) for name in spec.numbers]
        features = features.join(means.select(key, "ds", *named), on=[key, "ds"], how="left")
    pool = Pool.from_frame(lake.read_polars(POOLED_CALENDAR), Terms.of(spec))
    folds = tuple(Fold(number, origin, end) for number, origin in enumerate(origins))
    # A last step that is never reached: no rows to forecast, and a share of 0: none to learn from.
    plan = PanelPlan(horizon, dt.date.max, folds, 0.0, 0)
    return expand(features, spec, plan, pool).filter(pl.col("kind") == SCORE)
