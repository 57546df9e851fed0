"""Tables of the lake: what a write replaces, what it leaves, and what the log records."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from salesml_assets.lake import store
from salesml_assets.lake.log import month_condition
from salesml_assets.lake.maintenance import remove_old_files
from salesml_assets.lake.spark_tables import read_table, write_months, write_table
from salesml_assets.lake.store import TABLE_PROPERTIES, LakeError, Lakehouse
from salesml_assets_tests.lake.aging import aged

SCHEMA = "product string, revenue double, month string"


@pytest.fixture
def lake(tmp_path) -> Lakehouse:
    return Lakehouse(str(tmp_path / "lake"))


def rows_of(lake: Lakehouse, name: str) -> list[tuple]:
    table = lake.read_pandas(name)
    return sorted(table.itertuples(index=False, name=None))


def sales(spark: SparkSession, *rows: tuple) -> DataFrame:
    return spark.createDataFrame(list(rows), SCHEMA)


def test_a_write_replaces_rows_and_schema(spark, lake):
    first = write_table(sales(spark, ("a", 1.0, "2011-01"), ("b", 2.0, "2011-01")), lake, "sales", run_id="run-1")
    second = write_table(spark.createDataFrame([(7, "x")], "number long, name string"), lake, "sales")

    assert (first.version, first.rows_written, first.run_id) == (0, 2, "run-1")
    assert (second.version, second.rows_written, second.run_id) == (1, 1, None)
    assert rows_of(lake, "sales") == [(7, "x")]
    assert lake.columns("sales") == {"number": "long", "name": "string"}
    assert lake.columns("sales", version=0) == {"product": "string", "revenue": "double", "month": "string"}
    assert len(lake.read_pandas("sales", version=0)) == 2


def test_rows_in_memory_replace_what_spark_wrote_and_the_other_way_round(spark, lake):
    write_table(sales(spark, ("a", 1.0, "2011-01")), lake, "sales")
    second = lake.write_arrow(pa.table({"number": [7, 8], "day": [dt.date(2011, 1, 1), None]}), "sales", run_id="run-2")

    assert (second.version, second.rows_written, second.run_id) == (1, 2, "run-2")
    assert lake.version_of_run("sales", "run-2") == 1
    assert lake.columns("sales") == {"number": "long", "day": "date"}
    assert lake.size("sales").rows == 2
    for frame in (read_table(spark, lake, "sales"), spark.read.format("delta").load(lake.path("sales"))):
        assert sorted(map(tuple, frame.collect())) == [(7, dt.date(2011, 1, 1)), (8, None)]
    write_table(sales(spark, ("b", 2.0, "2011-02")), lake, "sales")
    assert rows_of(lake, "sales") == [("b", 2.0, "2011-02")]
    assert [len(lake.read_pandas("sales", version=version)) for version in range(3)] == [1, 2, 1]


ALL_TYPES = """
    id, cast(id AS tinyint) AS tiny, cast(id AS smallint) AS small, cast(id AS int) AS whole, id / 3 AS part,
    cast(id / 3 AS float) AS short, id > 1 AS flag, cast(id AS string) AS text, cast(id AS binary) AS bytes,
    cast(id AS decimal(12, 2)) AS money, date '2011-12-09' AS day, timestamp '2011-12-09 08:30:00.25' AS moment,
    nullif(id, 2) AS `maybe_ä.b`, array(id, null) AS list, map('a', id) AS names, struct(id, 'x' AS inner) AS both
"""


def test_a_whole_table_is_the_one_that_delta_would_write(spark, lake):
    frame = spark.sql(f"SELECT {ALL_TYPES} FROM range(0, 4, 1, 2)")
    write_table(frame, lake, "ours")
    frame.write.format("delta").save(lake.path("deltas"))

    ours, deltas = lake.open("ours"), lake.open("deltas")
    assert ours.schema().to_json() == deltas.schema().to_json()
    assert (ours.protocol(), ours.metadata().configuration) == (deltas.protocol(), deltas.metadata().configuration)
    assert lake.size("ours").rows == lake.size("deltas").rows == 4
    by_delta = [spark.read.format("delta").load(lake.path(name)) for name in ("ours", "deltas")]
    assert by_delta[0].schema == by_delta[1].schema == read_table(spark, lake, "ours").schema
    rows = [
        sorted(each.collect(), key=lambda row: row.id) for each in (*by_delta, read_table(spark, lake, "ours"), frame)
    ]
    assert rows[0] == rows[1] == rows[2] == rows[3]
    pd.testing.assert_frame_equal(*(lake.read_pandas(name).sort_values("id") for name in ("ours", "deltas")))


@pytest.mark.parametrize("name", ["a b", "a,b", "a=b", "a\tb", 'a"(', "a\nb"])
def test_names_that_delta_refuses_are_refused(spark, lake, name):
    for frame in (spark.range(1).toDF(name), spark.range(1).select(F.struct(F.col("id").alias(name)).alias("outer"))):
        with pytest.raises(AnalysisException, match="DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES"):
            write_table(frame, lake, "numbers")


def test_delta_goes_on_with_a_table_that_it_has_not_written(spark, lake):
    write_table(spark.range(3), lake, "numbers")
    spark.range(3, 5).write.format("delta").mode("append").save(lake.path("numbers"))
    assert write_table(spark.range(7), lake, "numbers").version == 2
    assert [read_table(spark, lake, "numbers", version).count() for version in range(3)] == [3, 5, 7]
    assert spark.read.format("delta").option("versionAsOf", 1).load(lake.path("numbers")).count() == 5


def test_a_table_by_months_is_the_one_that_delta_would_write(spark, lake):
    def load(rows):
        months = F.date_format(F.date_add(F.lit("2011-01-01"), F.col("id").cast("int") * 40), "yyyy-MM")
        return spark.range(rows).select("*", months.alias("month"))

    def by_delta(rows):
        return load(rows).write.format("delta").partitionBy("month")

    write_table(load(4), lake, "ours", month_column="month")
    by_delta(4).save(lake.path("deltas"))
    for name in ("ours", "deltas"):
        assert lake.partition_columns(name) == ["month"]
        assert lake.rows_by_month(name) == {"2011-01": 1, "2011-02": 1, "2011-03": 1, "2011-05": 1}
        assert sorted(path.name for path in Path(lake.path(name)).glob("*")) == [
            "_delta_log", "month=2011-01", "month=2011-02", "month=2011-03", "month=2011-05",
        ]  # fmt: skip
    ours, deltas = lake.open("ours"), lake.open("deltas")
    assert ours.schema().to_json() == deltas.schema().to_json()
    assert (ours.protocol(), ours.metadata().configuration) == (deltas.protocol(), deltas.metadata().configuration)

    # Each goes on with what the other one wrote.
    write_months(load(2).where("id = 1"), lake, "deltas", "month", ["2011-02"])
    where = by_delta(2).mode("overwrite").option("replaceWhere", "month IN ('2011-02', '2011-01')")
    where.save(lake.path("ours"))
    write_months(load(3).where("id = 2"), lake, "ours", "month", ["2011-03"])
    for name in ("ours", "deltas"):
        assert sorted(row.id for row in read_table(spark, lake, name).collect()) == [0, 1, 2, 3]
        assert sorted(row.id for row in spark.read.format("delta").load(lake.path(name)).collect()) == [0, 1, 2, 3]
        assert read_table(spark, lake, name).where("month = '2011-03'").count() == 1
        assert lake.read_pandas(name, filters=[("month", "=", "2011-03")])["id"].tolist() == [2]


def test_a_table_without_rows_and_one_with_newer_types(spark, lake):
    assert write_table(spark.range(0), lake, "numbers").rows_written == 0
    assert (read_table(spark, lake, "numbers").count(), len(lake.read_pandas("numbers"))) == (0, 0)
    clock = spark.sql("SELECT timestamp_ntz '2011-12-09 08:30:00' AS moment")
    assert write_table(clock, lake, "clock").rows_written == 1
    assert read_table(spark, lake, "clock").collect() == clock.collect()
    assert write_table(spark.range(2), lake, "clock").rows_written == 2
    assert read_table(spark, lake, "clock").count() == 2


def test_rows_in_memory_keep_their_order(lake):
    pieces = pa.concat_tables([pa.table({"id": range(first, first + 3)}) for first in range(0, 12, 3)])
    for _ in range(20):
        lake.write_arrow(pieces, "numbers")
        assert lake.read_pandas("numbers")["id"].tolist() == list(range(12))


def test_tables_in_memory_have_the_properties_of_sparks(spark, lake):
    write_table(spark.range(1), lake, "by_spark")
    lake.write_arrow(pa.table({"id": [0]}), "in_memory")

    properties = [lake.open(name).metadata().configuration for name in ("by_spark", "in_memory")]
    assert properties[0] == properties[1] == TABLE_PROPERTIES
    assert lake.open("in_memory").protocol().min_reader_version == 1


def test_the_log_tells_size_history_and_runs(spark, lake):
    frame = spark.range(1000).withColumn("names", F.array(F.lit("a"))).withColumn("s", F.struct(F.lit(1.5).alias("x")))
    before = dt.datetime.now(dt.UTC)
    commit = write_table(frame, lake, "numbers", run_id="one")
    write_table(frame.limit(10), lake, "numbers", run_id="two")
    write_table(frame.limit(20), lake, "numbers", run_id="one")

    assert before - dt.timedelta(seconds=2) <= commit.timestamp <= dt.datetime.now(dt.UTC)
    assert [c.version for c in lake.history("numbers")] == [2, 1, 0]
    assert len(lake.history("numbers", limit=1)) == 1
    assert lake.version_of_run("numbers", "one") == 2
    assert lake.version_of_run("numbers", "two") == 1
    assert lake.version_of_run("numbers", "three") is None
    assert lake.version_of_run("unknown", "one") is None
    assert lake.size("numbers", 0).rows == 1000
    assert lake.size("numbers").rows == 20
    assert lake.size("numbers", 0).bytes == sum(os.stat(file).st_size for file in lake.open("numbers", 0).file_uris())
    assert lake.columns("numbers") == {"id": "long", "names": "array<string>", "s": "struct<x: double>"}


def test_a_table_has_its_identity_until_it_is_made_anew(spark, lake):
    assert lake.identity("numbers") is None
    months = spark.range(2).withColumn("_month", F.lit("2024-01"))
    writes = [
        lambda: write_table(spark.range(1), lake, "numbers"),
        lambda: write_table(spark.range(1).withColumn("more", F.lit("x")), lake, "numbers"),
        lambda: lake.write_arrow(pa.table({"other": [1.5]}), "numbers"),
        lambda: write_table(months, lake, "numbers", month_column="_month"),
        lambda: write_months(months, lake, "numbers", "_month", ["2024-01"]),
    ]
    known = set()
    for write in writes:
        write()
        known.add(lake.identity("numbers"))
    assert len(known) == 1
    shutil.rmtree(lake.path("numbers"))
    writes[0]()
    assert lake.identity("numbers") not in known


def test_versions_of_a_year_stay_known(spark, lake):
    for rows in range(1, 13):  # Delta cleans its log up with the tenth version
        write_table(spark.range(rows), lake, "numbers")
        aged(lake, "numbers", 30)

    assert [commit.rows_written for commit in lake.history("numbers")] == list(range(12, 0, -1))
    assert [read_table(spark, lake, "numbers", version).count() for version in (0, 5, 11)] == [1, 6, 12]


def test_files_that_no_kept_version_needs_are_removed(spark, lake):
    for rows in (1, 2, 3, 4):
        write_table(spark.range(rows), lake, "numbers")
        aged(lake, "numbers", 10)
    for name, age in (("old", 40), ("new", 5)):
        leftover = Path(lake.path("numbers"), f"{name}.parquet")
        leftover.write_bytes(b"an interrupted write")
        os.utime(leftover, (time.time() - age * 86_400,) * 2)
    unfinished = Path(lake.path("numbers"), "broken", "_temporary", "0", "part-0.parquet")
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    os.utime(unfinished, (time.time() - 40 * 86_400,) * 2)
    before = set(Path(lake.path("numbers")).rglob("*.parquet"))
    removed = remove_old_files(lake, "numbers", 25)
    after = set(Path(lake.path("numbers")).rglob("*.parquet"))

    assert removed == len(before) - len(after) > 1
    assert not [file for file in before - after if file.with_name(f".{file.name}.crc").exists()]
    assert not [
        folder for folder in Path(lake.path("numbers")).rglob("*") if folder.is_dir() and not any(folder.iterdir())
    ]
    assert unfinished not in after
    # The versions were replaced 30, 20 and 10 days ago.
    assert [lake.read_pandas("numbers", version=version).shape[0] for version in (1, 2, 3)] == [2, 3, 4]
    with pytest.raises(Exception, match="parquet"):
        lake.read_pandas("numbers", version=0)
    assert not Path(lake.path("numbers"), "old.parquet").exists()
    assert Path(lake.path("numbers"), "new.parquet").exists()
    version = lake.version("numbers")
    assert remove_old_files(lake, "numbers", 25) == 0
    assert lake.version("numbers") == version
    write_table(spark.range(5), lake, "numbers")
    assert read_table(spark, lake, "numbers").count() == 5
    with pytest.raises(LakeError, match="materialize the asset 'nothing'"):
        remove_old_files(lake, "nothing", 25)


def test_a_read_keeps_its_version_while_the_table_moves_on(spark, lake):
    write_table(spark.range(3), lake, "numbers")
    old = read_table(spark, lake, "numbers")
    write_table(spark.range(5), lake, "numbers")

    assert old.count() == 3
    assert read_table(spark, lake, "numbers").count() == 5
    assert read_table(spark, lake, "numbers", version=0).count() == 3


def test_what_is_read_is_what_delta_reads(spark, tmp_path):
    """Whole tables, tables by month, empty ones, and such as only Delta's own reader understands."""
    lake = Lakehouse(str(tmp_path / "a lake, 5% ü"))
    rows = sales(spark, ("a", 1.0, "2011-01"), ("b", 2.0, "2011-02"), (None, None, "undated"))
    nested = rows.withColumns({"names": F.array("product"), "day": F.lit(dt.date(2011, 1, 2)), "a.`n`": F.lit(7)})
    write_table(nested.repartition(3), lake, "whole")
    write_table(nested.limit(1), lake, "whole")
    write_table(nested, lake, "months", month_column="month")
    write_months(nested.where("product = 'b'"), lake, "months", "month", ["2011-02"])
    write_table(nested.limit(0), lake, "empty")
    nested.write.format("delta").option("delta.columnMapping.mode", "name").save(lake.path("mapped"))
    nested.write.format("delta").option("delta.enableDeletionVectors", "true").save(lake.path("deleted_from"))
    spark.sql(f"DELETE FROM delta.`{lake.path('deleted_from')}` WHERE product = 'a'")

    for name in ("whole", "months", "empty", "mapped", "deleted_from"):
        for version in range(lake.version(name) + 1):
            read = read_table(spark, lake, name, version)
            oracle = spark.read.format("delta").option("versionAsOf", version).load(lake.path(name))
            assert read.schema.simpleString() == oracle.schema.simpleString()
            assert sorted(read.collect(), key=str) == sorted(oracle.collect(), key=str)
    february = read_table(spark, lake, "months").where("month = '2011-02'")
    assert [row["product"] for row in february.collect()] == ["b"]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(spark, tmp_path):
    lake = Lakehouse(str(tmp_path / "[lake]"))
    write_table(spark.range(3), lake, "numbers")

    assert read_table(spark, lake, "numbers").count() == 3
    with pytest.raises(LakeError, match="only Spark can write"):
        lake.write_arrow(pa.table({"id": [1]}), "numbers")


def test_small_reads_from_disk_run_no_python_in_threads_of_arrow(spark, lake, monkeypatch):
    """A process that ended while such a thread closed a file was aborted: `terminate called`, in 2 of 15 exports."""
    write_table(sales(spark, ("a", 1.0, "2011-01"), ("b", 2.0, "undated")), lake, "sales", month_column="month")
    monkeypatch.setattr("deltalake.fs.DeltaStorageHandler.from_table", lambda *_: pytest.fail("Python reads"))

    assert sorted(lake.read_pandas("sales")["product"]) == ["a", "b"]


def test_small_reads_take_columns_and_filters(spark, lake):
    write_table(sales(spark, ("a", 1.0, "2011-01"), ("b", 2.0, "2011-02")), lake, "sales")

    table = lake.read_pandas("sales", columns=["product"], filters=[("revenue", ">", 1.5)])

    assert table.to_dict("list") == {"product": ["b"]}
    assert lake.read_arrow("sales", ["revenue"]).schema.field("revenue").type == "double"


def test_a_missing_table_is_one_clear_error(spark, lake):
    assert not lake.exists("sales")
    for look in (lake.version, lake.history, lake.read_pandas, lake.size):
        with pytest.raises(LakeError, match=r"no table 'sales'.*materialize the asset 'sales' first"):
            look("sales")
    with pytest.raises(LakeError, match="no table 'sales'"):
        read_table(spark, lake, "sales")


def test_a_load_of_months_replaces_these_months_and_the_undated_rows_only(spark, lake):
    write_table(
        sales(spark, ("a", 1.0, "2011-01"), ("a", 2.0, "2011-02"), ("a", 3.0, "2011-03"), ("u", 9.0, "undated")),
        lake,
        "sales",
        month_column="month",
    )
    commit = write_months(
        sales(spark, ("b", 20.0, "2011-02"), ("v", 90.0, "undated")), lake, "sales", "month", ["2011-02"], run_id="r"
    )

    assert (commit.rows_written, commit.rows_removed, commit.run_id) == (2, 2, "r")
    assert rows_of(lake, "sales") == [
        ("a", 1.0, "2011-01"), ("a", 3.0, "2011-03"), ("b", 20.0, "2011-02"), ("v", 90.0, "undated"),
    ]  # fmt: skip
    assert lake.size("sales").rows == 4
    assert lake.partition_columns("sales") == ["month"]


def test_the_same_load_twice_changes_nothing_but_the_version(spark, lake):
    frame = sales(spark, ("a", 1.0, "2011-01"), ("u", 9.0, "undated"))
    write_months(frame, lake, "sales", "month", ["2011-01"])
    before = rows_of(lake, "sales")
    write_months(frame, lake, "sales", "month", ["2011-01"])

    assert rows_of(lake, "sales") == before
    assert lake.version("sales") == 1


def test_a_load_of_months_that_appends_is_undone(spark, lake, monkeypatch):
    """As in `deltalake` 1.3; more of this in `test_commits.py`."""
    months = sales(spark, ("a", 1.0, "2011-01"), ("a", 2.0, "2011-02"))
    write_table(months, lake, "sales", month_column="month", run_id="one")
    transaction = DeltaTable.create_write_transaction

    def append(table, files, mode, schema, **options):
        transaction(table, files, "append", schema, **{**options, "partition_filters": None})

    for write in (
        lambda: write_months(sales(spark, ("b", 3.0, "2011-02")), lake, "sales", "month", ["2011-02"], run_id="two"),
        lambda: write_table(months, lake, "sales", month_column="month", run_id="two"),
    ):
        before = lake.version("sales")
        with monkeypatch.context() as patched:
            patched.setattr(DeltaTable, "create_write_transaction", append)
            with pytest.raises(LakeError, match=rf"sales: .* The table is back at version {before}\."):
                write()
        assert rows_of(lake, "sales") == [("a", 1.0, "2011-01"), ("a", 2.0, "2011-02")]
        assert (
            read_table(spark, lake, "sales").count() == spark.read.format("delta").load(lake.path("sales")).count() == 2
        )
        assert lake.version_of_run("sales", "two") is None


def test_a_version_that_a_restore_took_back_is_no_part_of_the_history(spark, lake):
    for number, run in enumerate(["one", "two", "three"]):
        write_table(spark.range(number + 1), lake, "numbers", run_id=run)
    spark.sql(f"RESTORE TABLE delta.`{lake.path('numbers')}` TO VERSION AS OF 1")
    assert [commit.version for commit in lake.history("numbers")] == [3, 1, 0]
    assert [lake.version_of_run("numbers", run) for run in ("one", "two", "three")] == [0, 1, None]
    assert write_table(spark.range(9), lake, "numbers", run_id="four").version == 4
    assert [commit.version for commit in lake.history("numbers")] == [4, 3, 1, 0]


def test_an_empty_load_empties_the_month(spark, lake):
    write_table(sales(spark, ("a", 1.0, "2011-01"), ("a", 2.0, "2011-02")), lake, "sales", month_column="month")
    write_months(sales(spark), lake, "sales", "month", ["2011-02"])

    assert rows_of(lake, "sales") == [("a", 1.0, "2011-01")]


@pytest.mark.parametrize("month", ["2011-07", None])
def test_a_row_of_another_month_is_refused_and_the_old_rows_stay(spark, lake, month):
    write_table(sales(spark, ("a", 1.0, "2011-01")), lake, "sales", month_column="month")
    with pytest.raises(LakeError, match=f"a load of 2011-01, undated has rows of {month}, too"):
        write_months(sales(spark, ("b", 1.0, month)), lake, "sales", "month", ["2011-01"])

    assert rows_of(lake, "sales") == [("a", 1.0, "2011-01")]


def test_new_columns_come_in_and_missing_ones_are_null(spark, lake):
    write_table(sales(spark, ("a", 1.0, "2011-01"), ("a", 1.0, "2011-02")), lake, "sales", month_column="month")
    write_months(
        spark.createDataFrame([("b", "north", "2011-02")], "product string, store string, month string"),
        lake,
        "sales",
        "month",
        ["2011-02"],
    )

    table = lake.read_pandas("sales").sort_values("product")
    assert table["store"].isna().tolist() == [True, False]
    assert table["revenue"].isna().tolist() == [False, True]


@pytest.mark.parametrize("kind", ["array<int>", "string"])
def test_another_type_in_one_month_is_a_clear_error(spark, lake, kind):
    write_table(sales(spark, ("a", 1.0, "2011-01"), ("a", 1.0, "2011-02")), lake, "sales", month_column="month")
    value = [1] if kind == "array<int>" else "1"
    other = spark.createDataFrame([("b", value, "2011-02")], f"product string, revenue {kind}, month string")
    with pytest.raises(LakeError, match=r"sales: a column's type differs.*Load all months at once"):
        write_months(other, lake, "sales", "month", ["2011-02"])
    assert len(rows_of(lake, "sales")) == 2

    write_table(other, lake, "sales", month_column="month")
    assert lake.read_pandas("sales")["product"].tolist() == ["b"]


def test_whole_numbers_of_one_month_fit_into_a_column_of_doubles(spark, lake):
    write_table(sales(spark, ("a", 1.5, "2011-01"), ("a", 1.5, "2011-02")), lake, "sales", month_column="month")
    whole = spark.createDataFrame([("b", 2, "2011-02")], "product string, revenue int, month string")
    write_months(whole, lake, "sales", "month", ["2011-02"])

    assert rows_of(lake, "sales") == [("a", 1.5, "2011-01"), ("b", 2.0, "2011-02")]


def test_a_write_that_fails_leaves_the_old_rows(spark, lake):
    @F.udf(LongType())
    def explode(number):
        if number == 900:
            raise ValueError("no such number")
        return number

    write_table(spark.range(3), lake, "numbers")
    with pytest.raises(PythonException, match="no such number"):
        write_table(spark.range(0, 1000, 1, 2).select(explode("id").alias("id")), lake, "numbers")

    assert (lake.version("numbers"), rows_of(lake, "numbers")) == (0, [(0,), (1,), (2,)])
    assert write_table(spark.range(4), lake, "numbers").version == 1


MONTHS = [f"2011-{month:02}" for month in range(1, 7)]


@given(
    loads=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.lists(st.sampled_from(MONTHS), max_size=6)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_loads_of_month_ranges_do_to_a_table_what_they_do_to_a_dictionary(spark, tmp_path_factory, loads):
    lake = Lakehouse(str(tmp_path_factory.mktemp("lake")))
    expected: dict[str, list[tuple]] = {}
    for number, (one, other, filled) in enumerate(loads):
        months = MONTHS[min(one, other) : max(one, other) + 1]
        new = [(str(number), float(i), month) for i, month in enumerate(filled) if month in months]
        new.append(("u", float(number), "undated"))
        write_months(sales(spark, *new), lake, "sales", "month", months)
        for month in [*months, "undated"]:
            expected[month] = [row for row in new if row[2] == month]

    assert rows_of(lake, "sales") == sorted(row for rows in expected.values() for row in rows)


@pytest.mark.parametrize("months", [[], ["2011-13"], ["2011-01", "x' OR '1'='1"]])
def test_months_are_months(months):
    with pytest.raises(ValueError, match="months have the form yyyy-MM"):
        month_condition("month", months)


def test_old_files_of_single_months_are_removed(spark, lake):
    months = [("a", 1.0, "2011-01"), ("b", 2.0, "2011-02")]
    write_table(sales(spark, *months), lake, "sales", month_column="month")
    aged(lake, "sales", 40)
    for revenue in (3.0, 4.0):
        write_months(sales(spark, ("b", revenue, "2011-02")), lake, "sales", "month", ["2011-02"])
        aged(lake, "sales", 20)

    assert remove_old_files(lake, "sales", 30) == 1  # the second month's first file
    assert rows_of(lake, "sales") == [("a", 1.0, "2011-01"), ("b", 4.0, "2011-02")]
    assert remove_old_files(lake, "sales", 10) == 1
    assert rows_of(lake, "sales") == [("a", 1.0, "2011-01"), ("b", 4.0, "2011-02")]
    assert remove_old_files(lake, "sales", 10) == 0


# --- reading without Spark


def test_batches_are_bounded_and_add_up_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH_ROWS", 100)
    lake = Lakehouse(str(tmp_path))
    lake.write_arrow(pa.table({"x": range(1_050), "name": ["ä"] * 1_050}), "numbers")
    batches = list(lake.batches("numbers", ["x"]))
    assert max(batch.height for batch in batches) <= 100
    assert pl.concat(batches)["x"].sort().to_list() == list(range(1_050))
    assert lake.read_polars("numbers").sort("x").equals(pl.DataFrame({"x": range(1_050), "name": ["ä"] * 1_050}))


def test_a_table_without_rows_has_no_batches(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    lake.write_arrow(pa.table({"x": pa.array([], pa.int64())}), "nothing")
    assert list(lake.batches("nothing")) == []
