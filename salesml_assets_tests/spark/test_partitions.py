"""How many tasks a function of series becomes."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
import pytest
from pyspark import SparkConf

from salesml_assets.spark.partitions import ROWS_PER_PARTITION, default_tasks, map_series


@pytest.mark.parametrize(("cores", "wanted", "expected"), [(2, None, 4), (48, None, 96), (2, "7", 7), (48, "7", 7)])
def test_two_tasks_for_each_core_unless_the_setting_says_how_many(cores, wanted, expected):
    conf = SparkConf(loadDefaults=False)
    if wanted:
        conf.set("spark.sql.shuffle.partitions", wanted)
    context = SimpleNamespace(getConf=lambda: conf, defaultParallelism=cores)
    assert default_tasks(SimpleNamespace(sparkContext=context)) == expected


def test_more_rows_than_a_worker_can_hold_become_more_tasks(spark):
    frame = spark.range(10).selectExpr("cast(id as string) as unique_id")
    few, many = (
        map_series(frame, pl.DataFrame.unique, 10),
        map_series(frame, pl.DataFrame.unique, 9 * ROWS_PER_PARTITION),
    )
    assert few.rdd.getNumPartitions() == default_tasks(spark)
    assert many.rdd.getNumPartitions() == 9
    assert sorted(row[0] for row in many.collect()) == [str(number) for number in range(10)]
