"""Past forecasts beside what came of them."""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from salesml_assets.config.settings import HISTORY_DAYS
from salesml_assets.forecasting.metrics import horizon_bucket
from salesml_assets.lake.spark_tables import read_table
from salesml_assets.names import FORECASTS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

MOST_VERSIONS = 60  # of the table of forecasts: more than a year of weekly ones
PAST_SCHEMA = "unique_id string, model_version int, origin date, ds date, horizon int, yhat double, y double"


def past_forecasts(spark: SparkSession, tables: Lakehouse, series: DataFrame, settings: Settings) -> DataFrame:
    """All forecasts whose steps are over, from the versions of the table `forecasts`, with the actual value.

    Closed and unknown steps are left out, as in the backtests.

    Args:
        spark: The session.
        tables: The lake.
        series: The table `sales_series`.
        settings: The settings.

    Returns:
        `unique_id`, `model_version`, `origin`, `ds`, `horizon` (steps), `yhat`, `y`. Of several forecasts made by the
        same model at the same origin, that of the last run.
    """
    # Twice as many, because some versions only note that old files were removed.
    commits = tables.history(FORECASTS, 2 * MOST_VERSIONS) if tables.exists(FORECASTS) else []
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(HISTORY_DAYS)
    kept = [commit.version for commit in commits if commit.rows_written and commit.timestamp > oldest]
    columns: list[Column | str] = ["unique_id", "model_version", F.col("cutoff").alias("origin"), "ds", "yhat"]
    versions = [
        read_table(spark, tables, FORECASTS, version).select(*columns, F.lit(version).alias("_v"))
        for version in kept[:MOST_VERSIONS]
    ]
    if not versions:
        return spark.createDataFrame([], PAST_SCHEMA)
    step = 1 if settings.forecast.frequency == "D" else 7
    actual = series.where(~F.col("closed") & F.col("y").isNotNull()).select("unique_id", "ds", "y")
    made = functools.reduce(lambda left, right: left.unionByName(right), versions)
    newest = made.groupBy("unique_id", "model_version", "origin", "ds").agg(F.max_by("yhat", "_v").alias("yhat"))
    horizon = (F.date_diff("ds", "origin") / step).cast("int").alias("horizon")
    return newest.join(actual, ["unique_id", "ds"]).select(
        "unique_id", "model_version", "origin", "ds", horizon, "yhat", "y"
    )


def forecast_accuracy(past: DataFrame, series: DataFrame, settings: Settings) -> DataFrame:
    """Realised error by model version, week and distance, beside the seasonal naive from the same origin.

    Args:
        past: Of `past_forecasts`.
        series: The table `sales_series`.
        settings: The settings.

    Returns:
        `model_version`, `week` (Monday of the target's week), `horizon_bucket`, `wape` = Σ|y - ŷ| / Σ|y| and `bias` =
        Σ(ŷ - y) / Σ|y| (null where nothing was sold), `rows`, `volume` = Σ|y|, `baseline_wape`.
    """
    weekly = settings.forecast.frequency != "D"
    season = 364 if weekly else 7
    seasons = F.ceil(F.date_diff("ds", "origin") / season).cast("int")
    before = series.select("unique_id", F.col("ds").alias("_before"), F.coalesce("y", F.lit(0.0)).alias("naive"))
    rows = past.withColumn("_before", F.date_sub("ds", seasons * season)).join(before, ["unique_id", "_before"], "left")
    error, naive = F.abs(F.col("y") - F.col("yhat")), F.abs(F.col("y") - F.coalesce("naive", F.lit(0.0)))
    volume = F.sum(F.abs("y"))
    sold = F.when(volume > 0, volume)
    return (
        rows.withColumn("horizon_bucket", horizon_bucket(weekly))
        .groupBy("model_version", F.date_trunc("week", "ds").cast("date").alias("week"), "horizon_bucket")
        .agg(
            (F.sum(error) / sold).alias("wape"),
            (F.sum(F.col("yhat") - F.col("y")) / sold).alias("bias"),
            F.count(F.lit(1)).alias("rows"),
            volume.alias("volume"),
            (F.sum(naive) / sold).alias("baseline_wape"),
        )
    )
