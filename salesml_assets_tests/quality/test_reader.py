"""Reading sources as they are found: formats, drifting columns, quotes, folders."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.quality.reader import Source, read_table


def read(spark: SparkSession, path: Path | str, kind: str, **options: str) -> list[dict[str, Any]]:
    """All rows of a table."""
    return [row.asDict() for row in read_table(spark, Source(str(path), kind, options, "sales")).collect()]


def test_csv_is_text_with_rfc_4180_quotes(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('\ufeffday,code,note\n2024-01-01,007,"a ""b""\nc, d\\"\n2024-01-02,1.50,\n,,\n', encoding="utf-8")
    assert read(spark, file, "csv") == [
        {"day": "2024-01-01", "code": "007", "note": 'a "b"\nc, d\\', "_corrupt_record": None},
        {"day": "2024-01-02", "code": "1.50", "note": None, "_corrupt_record": None},
        {"day": None, "code": None, "note": None, "_corrupt_record": None},
    ]


def test_csv_options_and_compression(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv.gz").write_bytes(gzip.compress("dia;preço\n2024-01-01;1,5\n".encode("iso-8859-1")))
    (folder / "b.csv").write_bytes("preço;dia\n2,5;2024-01-02\n".encode("iso-8859-1"))
    (folder / "empty.csv").touch()
    (folder / "_SUCCESS").write_text("x")
    rows = read(spark, folder, "csv", sep=";", encoding="ISO-8859-1")
    assert sorted((row["dia"], row["preço"]) for row in rows) == [("2024-01-01", "1,5"), ("2024-01-02", "2,5")]
    assert len(read(spark, folder, "csv", sep=";", encoding="latin-1")) == 2
    with pytest.raises(ConfigurationError, match=r"UnsupportedEncodingException: latin-99$"):
        read(spark, folder, "csv", encoding="latin-99")


def test_csv_without_a_header(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2024-01-01,1\n")
    (tmp_path / "b.csv").write_text("2024-01-02,2\n")
    rows = read(spark, tmp_path, "csv", header="false")
    assert sorted((row["_c0"], row["_c1"]) for row in rows) == [("2024-01-01", "1"), ("2024-01-02", "2")]


def test_csv_columns_that_drift(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "2023.csv").write_text("day,qty\n2023-01-01,1\n2023-01-02\n")
    (tmp_path / "2024.csv").write_text("qty,promo,day\n2,yes,2024-01-01\n")
    assert sorted(read(spark, tmp_path, "csv"), key=lambda row: row["day"]) == [
        {"day": "2023-01-01", "qty": "1", "promo": None, "_corrupt_record": None},
        {"day": "2023-01-02", "qty": None, "promo": None, "_corrupt_record": "2023-01-02"},
        {"day": "2024-01-01", "qty": "2", "promo": "yes", "_corrupt_record": None},
    ]


def test_parquet_columns_and_types_that_drift(spark: SparkSession, tmp_path: Path) -> None:
    days = pa.array([dt.date(2023, 1, 1)])
    pq.write_table(pa.table({"day": days, "code": pa.array([7]), "qty": pa.array([1])}), tmp_path / "a.parquet")
    later = {
        "promo": pa.array([True]),
        "qty": pa.array([1.5]),
        "code": pa.array(["A7"]),
        "day": pa.array([dt.datetime(2024, 1, 1, 12)], pa.timestamp("us")),
    }
    pq.write_table(pa.table(later), tmp_path / "b.parquet")
    pq.write_table(
        pa.table({"day": days, "code": pa.array([8], pa.int32()), "qty": pa.nulls(1)}), tmp_path / "c.parquet"
    )
    table = read_table(spark, Source(str(tmp_path), "parquet", {}, "sales"))
    assert table.dtypes == [("day", "timestamp_ntz"), ("code", "string"), ("qty", "double"), ("promo", "boolean")]
    assert sorted(tuple(row) for row in table.select("code", "qty", "promo", "day").collect()) == [
        ("7", 1.0, None, dt.datetime(2023, 1, 1)),
        ("8", None, None, dt.datetime(2023, 1, 1)),
        ("A7", 1.5, True, dt.datetime(2024, 1, 1, 12)),
    ]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_parquet_nanoseconds(zone: str | None, spark: SparkSession, tmp_path: Path) -> None:
    moments = pa.array(np.array(["2024-01-01T10:00:00.123456789", "NaT"], "datetime64[ns]"), pa.timestamp("ns", zone))
    pq.write_table(pa.table({"sold at": moments, "qty": [1, 2]}), tmp_path / "a.parquet", version="2.6")
    table = read_table(spark, Source(str(tmp_path / "a.parquet"), "parquet", {}, "sales"))
    assert table.dtypes[0] == ("sold at", "timestamp" if zone else "timestamp_ntz")
    moments_read = [row[0] for row in table.selectExpr("cast(`sold at` as string)").collect()]
    assert moments_read == ["2024-01-01 10:00:00.123456", None]


def test_folders_of_folders(spark: SparkSession, tmp_path: Path) -> None:
    for year in (2023, 2024):
        for name, folder in (("hive", f"year={year}"), ("plain", str(year))):
            (tmp_path / name / folder).mkdir(parents=True)
            extra = {"more": [1]} if year == 2024 else {}
            pq.write_table(pa.table({"qty": [year], **extra}), tmp_path / name / folder / "a.parquet")
    assert sorted((row["year"], row["qty"]) for row in read(spark, tmp_path / "hive", "parquet")) == [
        ("2023", 2023),
        ("2024", 2024),
    ]
    assert sorted(row["qty"] for row in read(spark, tmp_path / "plain", "parquet")) == [2023, 2024]
    assert [row["qty"] for row in read(spark, f"{tmp_path}/plain/*23", "parquet")] == [2023]


def test_json_lines_with_broken_ones(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"day": "2024-01-01", "qty": 1}\n{"day": \n{"qty": "two", "shop": "s"}\n')
    assert read(spark, tmp_path, "json") == [
        {"_corrupt_record": None, "day": "2024-01-01", "qty": "1", "shop": None},
        {"_corrupt_record": '{"day": ', "day": None, "qty": None, "shop": None},
        {"_corrupt_record": None, "day": None, "qty": "two", "shop": "s"},
    ]


def test_json_arrays_by_option(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n  {\n    "qty": 1\n  },\n  {\n    "qty": 2\n  }\n]')
    with pytest.raises(ConfigurationError, match=r"^sales\.format: no line of .*multiLine"):
        read(spark, tmp_path, "json")
    assert read(spark, tmp_path, "json", multiLine="true") == [{"qty": 1}, {"qty": 2}]


def test_delta(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    for rows in (3, 2):
        spark.range(rows).write.format("delta").mode("overwrite").save(path)
    assert sorted(row["id"] for row in read(spark, path, "delta")) == [0, 1]
    assert len(read(spark, path, "delta", versionAsOf="0")) == 3
    # Its Parquet files hold the overwritten rows, too.
    with pytest.raises(ConfigurationError, match=r"^sales\.format: .* is a Delta table, not parquet"):
        read(spark, path, "parquet")


def test_what_is_not_there(spark: SparkSession, tmp_path: Path) -> None:
    for kind in ("parquet", "csv", "json", "delta"):
        with pytest.raises(ConfigurationError, match=r"^sales\.path: there is nothing at '.*/nowhere'"):
            read(spark, tmp_path / "nowhere", kind)
    with pytest.raises(ConfigurationError, match=r"^sales\.path: there is no data at "):
        read(spark, tmp_path, "parquet")


@pytest.mark.parametrize(
    ("written", "kind"), [("csv", "parquet"), ("parquet", "csv"), ("csv", "json"), ("csv", "delta")]
)
def test_another_format_than_said(written: str, kind: str, spark: SparkSession, tmp_path: Path) -> None:
    if written == "csv":
        (tmp_path / "a").write_text("day,qty\n2024-01-01,1\n")
    else:
        pq.write_table(pa.table({"qty": [1]}), tmp_path / "a")
    with pytest.raises(ConfigurationError, match=r"^sales\.format: "):
        read(spark, tmp_path, kind)


def test_an_unknown_file_system_is_one_clear_line(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match=r"^sales\.path: 'ftq://host/sales' cannot be read as csv: ") as caught:
        read(spark, "ftq://host/sales", "csv")
    assert "\n" not in str(caught.value)
