"""Each commit is verified against the log: one that does not replace what it has to is undone, and is an error.

The transactions of these tests do what `deltalake` 1.3 did (append where months are to be replaced), and worse.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.commits import commit_files
from salesml_assets.lake.parquet import write_parquet
from salesml_assets.lake.store import Commit, LakeError, Lakehouse

SCHEMA = pa.schema([("id", pa.int64())])
MONTHLY = deltalake.Schema.from_arrow(pa.schema([("id", pa.int64()), ("month", pa.string())]))
TRANSACTION, WRITE = DeltaTable.create_write_transaction, deltalake.write_deltalake
Transaction = Callable[..., None]


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lakehouse:
    if request.param == "disk":
        return Lakehouse(str(tmp_path / "lake"))
    return Lakehouse("s3a://lake/below", S3Settings(endpoint=request.getfixturevalue("bucket")))


def file_of(lake: Lakehouse, name: str, ids: range, month: str) -> AddAction:
    """A data file of one month."""
    path = f"month={month}/part-{ids.start}-{ids.stop}.parquet"
    if lake.on_disk:
        Path(lake.path(name), path).parent.mkdir(parents=True, exist_ok=True)
    folder = lake.folder(name)
    rows, size = write_parquet([pa.record_batch([pa.array(ids)], schema=SCHEMA)], SCHEMA, folder, path)
    return AddAction(path, size, {"month": month}, 0, True, f'{{"numRecords": {rows}}}')


def load(lake: Lakehouse, name: str, months: list[str], *rows: tuple[range, str], run_id: str | None = None) -> Commit:
    """Replaces months (none: all) by files of these rows."""
    table = lake.open(name) if lake.exists(name) else None
    files = [file_of(lake, name, ids, month) for ids, month in rows]
    return commit_files(lake, name, table, files, MONTHLY, month_column="month", months=months or None, run_id=run_id)


def rows_of(lake: Lakehouse, name: str) -> list[tuple[Any, ...]]:
    return sorted(lake.read_polars(name).iter_rows())


def appends(table: DeltaTable, files: list[AddAction], mode: str, schema: Any, **options: Any) -> None:
    TRANSACTION(table, files, "append", schema, **{**options, "partition_filters": None})


def replaces_all_months(table: DeltaTable, files: list[AddAction], mode: str, schema: Any, **options: Any) -> None:
    TRANSACTION(table, files, mode, schema, **{**options, "partition_filters": None})


def loses_a_file(table: DeltaTable, files: list[AddAction], mode: str, schema: Any, **options: Any) -> None:
    TRANSACTION(table, files[1:], mode, schema, **options)


def commits_nothing(table: DeltaTable, *_: Any, **__: Any) -> None:
    pass


JANUARY, FEBRUARY = (range(3), "2011-01"), (range(10, 12), "2011-02")
NEW = [(range(20, 21), "2011-02"), (range(30, 34), "2011-02")]


def test_months_are_replaced_and_the_commit_says_what_it_did(lake: Lakehouse) -> None:
    first = load(lake, "sales", [], JANUARY, FEBRUARY, run_id="one")
    second = load(lake, "sales", ["2011-02"], *NEW, run_id="two")
    assert (first.version, first.rows_written, first.rows_removed, first.run_id) == (0, 5, None, "one")
    assert (second.version, second.rows_written, second.rows_removed, second.run_id) == (1, 5, 2, "two")
    assert rows_of(lake, "sales") == [(i, "2011-01") for i in range(3)] + [(i, "2011-02") for i in (20, 30, 31, 32, 33)]


@pytest.mark.parametrize(
    ("transaction", "months"),
    [
        (appends, ["2011-02"]),
        (appends, []),
        (replaces_all_months, ["2011-02"]),
        (loses_a_file, ["2011-02"]),
        (loses_a_file, []),
        (commits_nothing, ["2011-02"]),
        (commits_nothing, []),
    ],
)
def test_a_commit_that_does_not_replace_what_it_has_to_is_undone(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch, transaction: Transaction, months: list[str]
) -> None:
    load(lake, "sales", [], JANUARY, FEBRUARY, run_id="one")
    before = rows_of(lake, "sales")
    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", transaction)
        with pytest.raises(LakeError, match="sales: ") as caught:
            load(lake, "sales", months, *NEW, run_id="two")
    made = transaction is not commits_nothing
    assert ("is back at version 0" in str(caught.value)) is made
    assert rows_of(lake, "sales") == before
    assert lake.version("sales") == (2 if made else 0)
    # Nobody takes the rows of the bad version for those of the run.
    assert lake.version_of_run("sales", "two") is None
    assert [commit.version for commit in lake.history("sales")] == ([2, 0] if made else [0])
    assert lake.version_of_run("sales", "one") == 0

    again = load(lake, "sales", months, *NEW, run_id="two")
    assert lake.version_of_run("sales", "two") == again.version == lake.version("sales")
    assert len(rows_of(lake, "sales")) == (8 if months else 5)


def test_an_empty_load_that_leaves_the_old_rows_is_an_error(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    load(lake, "sales", [], JANUARY, FEBRUARY)
    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", appends)
        with pytest.raises(LakeError, match="1 file that had to be replaced"):
            load(lake, "sales", ["2011-02"])
    assert len(rows_of(lake, "sales")) == 5
    load(lake, "sales", ["2011-02"])
    assert len(rows_of(lake, "sales")) == 3


def test_a_new_schema_of_a_bad_commit_is_taken_back_as_well(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write_batches([pa.record_batch({"id": [1, 2]})], SCHEMA, "numbers", run_id="one")
    other = pl.DataFrame({"id": [7], "more": ["x"]})
    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", appends)
        with pytest.raises(LakeError, match=r"numbers: .* back at version 0"):
            lake.write_batches([other], other.to_arrow().schema, "numbers", run_id="two")
    assert lake.columns("numbers") == {"id": "long"}
    assert lake.read_polars("numbers")["id"].to_list() == [1, 2]
    assert lake.version_of_run("numbers", "two") is None


def test_rows_at_once_are_verified_as_well(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write_polars(pl.DataFrame({"id": [1, 2]}), "numbers")

    def append(table: Any, rows: pa.Table, **options: Any) -> None:
        WRITE(table, rows, **{**options, "mode": "append", "schema_mode": "merge"})

    def half(table: Any, rows: pa.Table, **options: Any) -> None:
        WRITE(table, rows.slice(0, len(rows) // 2), **options)

    for write in (append, half):
        with monkeypatch.context() as patched:
            patched.setattr(deltalake, "write_deltalake", write)
            with pytest.raises(LakeError, match=r"numbers: .* is back at version"):
                lake.write_polars(pl.DataFrame({"id": [7, 8], "x": [1.5, 2.5]}), "numbers")
        assert lake.read_polars("numbers").to_dict(as_series=False) == {"id": [1, 2]}
    lake.write_polars(pl.DataFrame({"id": [7, 8]}), "numbers")
    assert lake.read_polars("numbers")["id"].to_list() == [7, 8]


def test_a_first_commit_that_is_not_what_was_written_says_so(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    create = deltalake.transaction.create_table_with_add_actions
    monkeypatch.setattr(
        "deltalake.transaction.create_table_with_add_actions",
        lambda uri, schema, files, **options: create(uri, schema, files[1:], **options),
    )
    with pytest.raises(LakeError, match=r"sales: .* without 1 file.* remove the table"):
        load(lake, "sales", [], JANUARY, FEBRUARY)


def test_commits_of_others_in_between_are_told_apart(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old files may be removed while a table is written: the log notes that as two commits of its own."""
    for rows in ((JANUARY, FEBRUARY), (JANUARY, (range(50, 54), "2011-02"))):
        load(lake, "sales", [], *rows)

    def vacuum() -> None:
        lake.open("sales").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def between(table: DeltaTable, *files: Any, **options: Any) -> None:
        vacuum()
        TRANSACTION(table, *files, **options)
        vacuum()

    monkeypatch.setattr(DeltaTable, "create_write_transaction", between)
    commit = load(lake, "sales", ["2011-02"], *NEW, run_id="two")
    assert (commit.rows_written, commit.run_id) == (5, "two")
    assert lake.version("sales") > commit.version > 2
    assert len(rows_of(lake, "sales")) == 8
