"""The tables of the small shop up to its panel, made without Spark by the functions that Spark runs on partitions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import polars as pl

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.calendar_regression import Terms, knots
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.pooled import Pool, make_pool
from salesml_assets.forecasting.training.sample import Source, TrainingPanel
from salesml_assets_tests.forecasting.small import small_sales


def small_series(rows: pd.DataFrame | None = None) -> pl.DataFrame:
    """One row per product and day from its first sale to the last day of the data, closed on Sundays.

    Args:
        rows: The sales; default: `small_sales()`.
    """
    sales = pl.from_pandas(small_sales() if rows is None else rows).with_columns(pl.col("date").cast(pl.Date))
    daily = pd.DataFrame(sales.group_by("date").agg(rows=pl.len()).to_dict(as_series=False))
    calendar = business_calendar(daily, "D")
    sold = sales.group_by(unique_id="product", ds="date").agg(pl.col("revenue").sum().alias("y"))
    days = sold.group_by("unique_id").agg(pl.date_ranges(pl.col("ds").min(), calendar.last).alias("ds").first())
    dense = days.explode("ds").join(sold, on=["unique_id", "ds"], how="left").with_columns(pl.col("y").fill_null(0.0))
    closed = pl.col("ds").is_in(calendar.closed_days) & (pl.col("y") == 0)
    category = pl.col("unique_id").replace_strict({f"p{number}": "ab"[number % 2] for number in range(8)})
    return dense.with_columns(product="unique_id", category=category, closed=closed).sort("unique_id", "ds")


def small_features(settings: Settings) -> pl.DataFrame:
    """What was known at the end of each step."""
    return add_features(small_series(), feature_spec(settings, {}))


def small_pool(features: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The table `pooled_calendar`."""
    first, last = features["ds"].min(), features["ds"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    folds = rolling_folds(last, settings.forecast.horizon, settings.training.folds, 1)
    at = knots(first.toordinal(), last.toordinal(), tuple(fold.cutoff.toordinal() for fold in folds))
    spec = feature_spec(settings, {})
    totals = features.group_by("ds").agg(pl.col("y").sum()).with_columns(region=pl.lit(spec.region))
    return make_pool(features, totals, spec, at).to_frame(Terms.of(spec))


def small_panel(features: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Rows to learn from, to score and to forecast."""
    last = features["ds"].max()
    assert isinstance(last, dt.date)
    horizon = settings.forecast.horizon
    folds = rolling_folds(last, horizon, settings.training.folds, 1)
    plan = PanelPlan(horizon, last, tuple(folds), 0.5, settings.training.seed)
    steps = pl.DataFrame({"ds": [last + dt.timedelta(step) for step in range(1, horizon + 1)]})
    future = features.select("unique_id", "product", "category").unique().join(steps, how="cross")
    extended = future.with_columns(closed=pl.col("ds").dt.weekday() == 7)
    spec = feature_spec(settings, {})
    pool = Pool.from_frame(small_pool(features, settings), Terms.of(spec))
    return expand(pl.concat([features, extended], how="diagonal"), spec, plan, pool)


def panel_source(panel: pl.DataFrame, rows: int = 1_000) -> Source:
    """A panel as a source of batches of some rows."""

    def batches(columns: Sequence[str] | None = None, filters: Any = None) -> Iterator[pl.DataFrame]:
        table = panel.to_arrow()
        found = pl.DataFrame(pl.from_arrow(table if filters is None else table.filter(filters)))
        for part in found.iter_slices(rows):
            yield part if columns is None else part.select(columns)

    return batches


def training_panel(settings: Settings) -> TrainingPanel:
    """The small shop's panel with the classes of volume."""
    features = small_features(settings)
    panel = small_panel(features, settings)
    big = pl.col("unique_id").is_in(["p5", "p6"])
    classes = pl.when(big).then(pl.lit("A")).otherwise(pl.lit("C"))
    return TrainingPanel(
        panel_source(panel.with_columns(volume_class=classes)), lambda: features.iter_slices(500), settings
    )
