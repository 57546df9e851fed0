"""Writes of rows from memory, without Spark: order, row counts, failures, bounded memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from pyarrow.parquet import ParquetFile

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake import parquet
from salesml_assets.lake.store import TABLE_PROPERTIES, LakeError, Lakehouse

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def batch(first: int, rows: int) -> pa.RecordBatch:
    numbers = range(first, first + rows)
    return pa.record_batch([pa.array(numbers), pa.array([f"n{i}" for i in numbers])], schema=SCHEMA)


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lakehouse:
    if request.param == "disk":
        return Lakehouse(str(tmp_path / "a lake, 5% ü"))
    return Lakehouse("s3a://lake/below", S3Settings(endpoint=request.getfixturevalue("bucket")))


def test_batches_replace_the_table_in_their_order_in_one_commit(lake: Lakehouse) -> None:
    first = lake.write_batches((batch(i, 7) for i in range(0, 70, 7)), SCHEMA, "numbers", run_id="one")
    second = lake.write_batches((batch(i, 5) for i in range(0, 20, 5)), SCHEMA, "numbers", run_id="two")
    assert (first.version, first.rows_written, first.run_id) == (0, 70, "one")
    assert (second.version, second.rows_written, second.run_id) == (1, 20, "two")
    assert [commit.rows_written for commit in lake.history("numbers")] == [20, 70]
    assert lake.read_polars("numbers", version=0)["id"].to_list() == list(range(70))
    assert lake.read_polars("numbers")["name"].to_list() == [f"n{i}" for i in range(20)]
    assert (lake.size("numbers").rows, lake.size("numbers").files) == (20, 1)
    assert lake.open("numbers").metadata().configuration == TABLE_PROPERTIES
    assert lake.open("numbers").protocol().min_reader_version == 1


def test_polars_frames_and_record_batches_make_the_same_table(lake: Lakehouse) -> None:
    frame = pl.DataFrame(
        {
            "unique_id": ["a", "b", None],
            "ds": [dt.date(2011, 1, 1), dt.date(2011, 1, 2), None],
            "yhat": [1.5, None, -0.0],
            "h": pl.Series([1, 2, 3], dtype=pl.Int32),
            "at": pl.Series([dt.datetime(2011, 1, 1, 8)] * 3, dtype=pl.Datetime("us", "UTC")),
            "kind": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )
    schema = frame.head(0).to_arrow().schema
    lake.write_polars(frame, "at_once", run_id="one")
    lake.write_batches(frame.iter_slices(2), schema, "frames")
    lake.write_batches(frame.to_arrow().to_batches(), schema, "records")
    expected = frame.with_columns(pl.col("kind").cast(pl.String))
    for name in ("at_once", "frames", "records"):
        assert lake.read_polars(name).equals(expected)
        assert lake.columns(name) == {
            "unique_id": "string", "ds": "date", "yhat": "double", "h": "integer", "at": "timestamp", "kind": "string",
        }  # fmt: skip
        assert lake.history(name)[0].rows_written == 3
    assert lake.history("at_once")[0].run_id == "one"


def test_no_batches_make_a_table_without_rows(lake: Lakehouse) -> None:
    for batches in ([], [batch(0, 0)]):
        assert lake.write_batches(batches, SCHEMA, "nothing").rows_written == 0
        assert lake.columns("nothing") == {"id": "long", "name": "string"}
        assert lake.read_polars("nothing").height == 0
        assert list(lake.batches("nothing")) == []


def test_the_schema_is_replaced_as_well(lake: Lakehouse) -> None:
    lake.write_polars(pl.DataFrame({"x": [1.5]}), "numbers")
    lake.write_batches([batch(0, 3)], SCHEMA, "numbers")
    assert lake.columns("numbers") == {"id": "long", "name": "string"}
    assert lake.columns("numbers", version=0) == {"x": "double"}
    lake.write_polars(pl.DataFrame({"y": ["a", "b"]}), "numbers")
    assert lake.read_polars("numbers").to_dict(as_series=False) == {"y": ["a", "b"]}


def test_an_iterator_that_fails_leaves_the_old_rows_and_no_file(lake: Lakehouse) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield batch(0, 10)
        raise RuntimeError("no model for this series")

    lake.write_batches([batch(0, 3)], SCHEMA, "numbers")
    with pytest.raises(RuntimeError, match="no model for this series"):
        lake.write_batches(broken(), SCHEMA, "numbers")
    with pytest.raises(ValueError, match="field names are not matching"):
        lake.write_batches([pl.DataFrame({"name": ["a"], "id": [1]})], SCHEMA, "numbers")
    assert (lake.version("numbers"), lake.size("numbers").rows) == (0, 3)
    if lake.on_disk:
        assert len(list(Path(lake.path("numbers")).glob("*.parquet"))) == 1


@pytest.mark.parametrize(
    "field", [pa.field("moment", pa.timestamp("us")), pa.field("a b", pa.int64()), pa.field("nothing", pa.null())]
)
def test_columns_beyond_the_first_version_of_delta_are_refused(tmp_path: Path, field: pa.Field) -> None:
    lake = Lakehouse(str(tmp_path))
    with pytest.raises(LakeError, match="cannot be written in batches"):
        lake.write_batches([], pa.schema([field]), "odd")
    assert not lake.exists("odd")


def test_a_root_that_needs_deltas_own_writer_is_refused(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path / "[lake]"))
    with pytest.raises(LakeError, match="only Spark can write"):
        lake.write_batches([], SCHEMA, "numbers")
    with pytest.raises(LakeError, match="only Spark can write"):
        lake.write_polars(pl.DataFrame({"x": [1]}), "numbers")


def test_batches_are_taken_one_after_the_other_and_written_in_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time are more rows alive than one row group and one batch."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 1_000)
    lake, before, most = Lakehouse(str(tmp_path)), pa.total_allocated_bytes(), 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for i in range(200):
            yield batch(i * 300, 300)
            most = max(most, pa.total_allocated_bytes() - before)

    lake.write_batches(batches(), SCHEMA, "numbers")
    (file,) = Path(lake.path("numbers")).glob("*.parquet")
    groups = ParquetFile(file).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [1_200] * 50
    whole = pa.Table.from_batches([batch(i * 300, 300) for i in range(200)]).nbytes
    assert most < whole / 4
    assert lake.read_polars("numbers")["id"].to_list() == list(range(60_000))


@given(sizes=st.lists(st.integers(0, 40), max_size=12), group=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_any_batches_come_back_as_their_concatenation(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int
) -> None:
    lake = Lakehouse(str(tmp_path_factory.mktemp("lake")))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "ROW_GROUP_ROWS", group)
        rows = zip(starts, sizes, strict=True)
        commit = lake.write_batches((batch(start, size) for start, size in rows), SCHEMA, "numbers")
    assert commit.rows_written == lake.size("numbers").rows == sum(sizes)
    assert lake.read_polars("numbers")["id"].to_list() == list(range(sum(sizes)))
