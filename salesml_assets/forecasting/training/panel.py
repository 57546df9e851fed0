"""The panel of all series, made with Spark on partitions of whole series."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar_regression import Terms
from salesml_assets.forecasting.features import FeatureSpec, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.panel_features import group_mean
from salesml_assets.forecasting.pooled import Pool
from salesml_assets.forecasting.training.planned import covariates_of, read_planned
from salesml_assets.forecasting.training.series import calendar_of_series, future_steps
from salesml_assets.spark.partitions import map_series

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import DataFrame


def make_panel(features: DataFrame, settings: Settings, pooled: pl.DataFrame) -> tuple[DataFrame, PanelPlan]:
    """Makes the panel of all series with Spark.

    The share of training rows that are drawn follows from `training.max_rows`, so that cost stays bounded
    however many series and days there are.

    Args:
        features: The table `features`.
        settings: The settings.
        pooled: The table `pooled_calendar`.

    Returns:
        The rows of `expand` with `volume_class` (A: series with the first 80 % of the volume before the first
        scored origin, B: the next 15 %, C: the rest), and the plan.
    """
    calendar = calendar_of_series(features, settings)
    spec = feature_spec(settings, covariates_of(features, settings), features.columns)
    folds = rolling_folds(calendar.last, settings.forecast.horizon, settings.training.folds, calendar.step_days)
    rows, usable = features.agg(
        F.count(F.lit(1)), F.count_if(F.col("live") & (F.col("age") >= spec.min_history))
    ).first()  # type: ignore[misc]
    possible = max(1, usable * settings.forecast.horizon)
    # Twice the limit: earlier origins have fewer rows, and each fit takes the limit again from what it may see.
    share = min(1.0, 2.0 * settings.training.max_rows / possible)
    plan = PanelPlan(settings.forecast.horizon, calendar.last, tuple(folds), share, settings.training.seed)
    pool = Pool.from_frame(pooled, Terms.of(spec))
    planned = read_planned(features.sparkSession, settings, calendar)
    extended = features.unionByName(future_steps(features, settings, calendar, planned), allowMissingColumns=True)
    extended = with_group_means(extended, spec)
    panel = map_series(extended, functools.partial(expand, spec=spec, plan=plan, pool=pool), rows)
    classes = _volume_classes(features.where(F.col("ds") <= F.lit(folds[1].cutoff)))
    joined = panel.join(F.broadcast(classes), "unique_id", "left")
    return joined.withColumn("volume_class", F.coalesce("volume_class", F.lit("C"))), plan


def with_group_means(rows: DataFrame, spec: FeatureSpec) -> DataFrame:
    """Adds means of the planned numbers over all series that share a key, at each step.

    Args:
        rows: Steps of all series, those to forecast included.
        spec: The definition of the features.
    """
    # Windows and no join of the rows with their own means: Spark's analysis of such a join took minutes.
    means = {}
    for key in [key for key in spec.plan_groups if key in rows.columns]:
        together = Window.partitionBy(key, "ds")
        for name in spec.numbers:
            # Sums in another order differ in their last digits.
            mean = F.round(F.avg(name).over(together), 9)
            means[group_mean(name, key)] = F.when(F.col(key).isNotNull(), mean)
    rows = rows.withColumns(means) if means else rows
    return rows


def _volume_classes(features: DataFrame) -> DataFrame:
    volumes = features.groupBy("unique_id").agg(F.sum(F.abs("y")).alias("volume"))
    total = Window.partitionBy()
    running = total.orderBy(F.desc("volume"), "unique_id").rowsBetween(Window.unboundedPreceding, -1)
    before = F.coalesce(F.sum("volume").over(running), F.lit(0.0)) / F.sum("volume").over(total)
    label = F.when(before < 0.8, "A").when(before < 0.95, "B").otherwise("C")
    return volumes.select("unique_id", label.alias("volume_class"))
