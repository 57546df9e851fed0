"""The checks of features and panel, on a small shop."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from salesml_assets.checks.features import measure_features, measure_panel
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.training.panel import make_panel
from salesml_assets.forecasting.training.series import daily_rows, sales_series
from salesml_assets.lake.spark_tables import read_table, write_table
from salesml_assets.resources.lake import Lake
from salesml_assets.spark.partitions import map_series
from salesml_assets_tests.forecasting.small import small_sales

from .lakes import failed, lake_at

SETTINGS = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root: Path = tmp_path_factory.mktemp("checked")
    tables = lake_at(root, spark).tables
    sales = spark.createDataFrame(small_sales())
    write_table(
        sales_series(sales, SETTINGS, business_calendar(daily_rows(sales, "revenue"), "D")), tables, "sales_series"
    )
    series = read_table(spark, tables, "sales_series")
    made = functools.partial(add_features, spec=feature_spec(SETTINGS, {}))
    write_table(map_series(series, made, series.count()), tables, "features")
    write_table(make_panel(read_table(spark, tables, "features"), SETTINGS)[0], tables, "panel")
    return lake_at(root, spark)


def changed(lake: Lake, name: str, frame: DataFrame, version: int) -> None:
    """Writes a table anew from one of its versions."""
    assert write_table(frame, lake.tables, name).version > version


def test_features(lake: Lake, spark: SparkSession) -> None:
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == set()
    good = lake.read("features", 0)
    changed(lake, "features", good.limit(500), 0)
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == {"complete"}
    changed(lake, "features", good.drop("scale"), 0)
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == {"schema"}
    changed(lake, "features", good, 0)


def test_features_that_are_no_finite_numbers_are_found(lake: Lake) -> None:
    panel = lake.read("panel", 0)
    first = panel.where("kind = 'future'").orderBy("unique_id").first()
    assert first is not None
    step = (F.col("kind") == "future") & (F.col("unique_id") == first["unique_id"])
    bad = {1: None, 2: float("nan"), 3: float("inf"), 4: float("-inf")}
    value = F.col("f_median")
    for horizon, number in bad.items():
        value = F.when(step & (F.col("horizon") == horizon), F.lit(number)).otherwise(value)
    changed(lake, "panel", panel.withColumn("f_median", value), 0)
    found = {each.check: each for each in measure_panel(lake, SETTINGS)}
    assert failed(found) == {"finite"}
    assert found["finite"].measured["bad rows"] == len(bad)


def test_panel(lake: Lake) -> None:
    panel = lake.read("panel", 0)
    changed(lake, "panel", panel, 0)
    assert failed({one.check: one for one in measure_panel(lake, SETTINGS)}) == set()
    changed(lake, "panel", panel.unionByName(panel.where("kind = 'train'").limit(1)), 0)
    assert failed({one.check: one for one in measure_panel(lake, SETTINGS)}) == {"unique_keys"}
    changed(lake, "panel", panel.withColumn("f_last", F.coalesce(F.col("y") / F.col("scale"), "f_last")), 0)
    found = {one.check: one for one in measure_panel(lake, SETTINGS)}
    assert failed(found) == {"no_leakage"}
    assert found["no_leakage"].measured["changed"] == "f_last"
