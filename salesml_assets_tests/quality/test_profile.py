"""The profile by Polars is the one by Spark, and it is made in seconds."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.loading import load_settings
from salesml_assets.quality import source
from salesml_assets.quality.arrow_profile import arrow_profile
from salesml_assets.quality.profile import profile_of
from salesml_assets.quality.source import preflight
from salesml_assets_tests.quality.intake import Made, days

ROOT = Path(__file__).parents[2]


def moments(zone: str | None) -> pl.Series:
    stamps = [dt.datetime.combine(day, dt.time(hour, 30 * (hour > 0))) for day in days(40) for hour in (0, 3, 9, 21)]
    series = pl.Series("at", stamps)
    return series if zone is None else series.dt.replace_time_zone(zone)


@pytest.mark.parametrize("timezone", [None, "Asia/Tokyo"])
@pytest.mark.parametrize("zone", ["date", None, "UTC", "America/Sao_Paulo"])
def test_both_count_the_same(
    zone: str | None, timezone: str | None, spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    at = moments(None).dt.date().alias("at") if zone == "date" else moments(zone)
    names = ["a", "b", "PÃ\ufffdO", "7.89E+12"]
    frame = pl.DataFrame([at]).with_columns(
        item=pl.Series([names[number % 4] for number in range(at.len())]),
        shop=pl.Series([number % 3 for number in range(at.len())]),
        units=pl.lit(2),
        at=pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise(pl.col("at")),
    )
    frame.head(100).write_parquet(tmp_path / "a.parquet")
    frame.tail(60).write_parquet(tmp_path / "b.parquet")
    columns = {"date": "AT", "store": "shop", "product": "upper(item)", "quantity": "units"}
    settings = source_settings(
        sales={"path": str(tmp_path), "columns": columns} | ({"timezone": timezone} if timezone else {}),
        forecast={"series": ["store", "product"]},
    )
    delivered = source._open(spark, settings)
    fast, slow = arrow_profile(delivered, settings), profile_of(delivered, None, settings)
    assert fast is not None
    assert fast.counts_instants == slow.counts_instants == (zone == "UTC" and timezone is None)
    keys = ["date", "bad", "short", "quarter"]
    types = {"quarter": float, "rows": int, "series": int, "date": "datetime64[s]"}
    cells = [
        profile.cells[[*keys, "rows", "series"]].astype(types).sort_values(keys, ignore_index=True)
        for profile in (fast, slow)
    ]
    pd.testing.assert_frame_equal(cells[0], cells[1], check_dtype=False)


def test_what_only_spark_can_count(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    frame = pl.DataFrame({"day": days(182), "item": "A", "units": "3"})
    frame.write_parquet(tmp_path / "a.parquet")
    columns = {"date": "day", "product": "item", "quantity": "units"}
    for sales in ({}, {"columns": columns | {"quantity": "length(item)", "date": "date(day)"}}):
        settings = source_settings(sales={"path": str(tmp_path), "columns": columns} | sales)
        assert arrow_profile(source._open(spark, settings), settings) is None
        assert preflight(spark, settings).rows == 182


def test_half_a_million_lines_take_seconds(spark: SparkSession) -> None:
    settings = load_settings(ROOT / "salesml.yaml")
    started = time.monotonic()
    summary = preflight(spark, settings)
    seconds = time.monotonic() - started
    assert (summary.rows, str(summary.first_date), str(summary.last_date)) == (541_909, "2010-12-01", "2011-12-09")
    assert seconds < 15  # 5 on a machine of its own
    started = time.monotonic()
    assert preflight(spark, settings) is summary
    assert time.monotonic() - started < 1
