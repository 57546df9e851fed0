"""A writer is killed (SIGKILL, Python and Java together) at several points of a write: the table stays whole."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from salesml_assets.lake.spark_tables import read_table, write_months, write_table
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.lake.lake_writer import MONTHS, ROWS, TASKS

pytestmark = pytest.mark.slow
TABLE = "numbers"
PATIENCE = 240.0


def data_files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts}


def commits(folder: Path) -> set[Path]:
    return {file for file in (folder / "_delta_log").glob("*.json") if not file.name.startswith(".")}


def first_new_data_file(folder: Path, before: set[Path], version: int) -> None:
    wait_for(lambda: data_files(folder) - before)


def all_data_files_but_no_commit(folder: Path, before: set[Path], version: int) -> None:
    wait_for(lambda: len(data_files(folder) - before) >= files_of(folder) or len(commits(folder)) > version)


def commit_appears(folder: Path, before: set[Path], version: int) -> None:
    wait_for(lambda: len(commits(folder)) > version)


def some_moment(folder: Path, before: set[Path], version: int) -> None:
    time.sleep(random.Random(version).uniform(0.0, 4.0))


def files_of(folder: Path) -> int:
    """Data files of one write: one for each month, or one for each task."""
    return len(MONTHS) if any(folder.glob("month=*")) else TASKS


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the writer did not come that far"
        time.sleep(0.002)


@contextlib.contextmanager
def writer(root: Path, kind: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "salesml_assets_tests.lake.lake_writer", str(root), kind]
    with (root.parent / "writer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("whole", first_new_data_file),
        ("whole", all_data_files_but_no_commit),
        ("months", all_data_files_but_no_commit),
        ("months", commit_appears),
        ("months", some_moment),
    ],
)
def test_a_killed_writer_leaves_the_old_table_or_the_new_one(spark, tmp_path, kind, point):
    root = tmp_path / "lake"
    root.mkdir()
    lake = Lakehouse(str(root))
    with writer(root, kind) as process:
        wait_for(lambda: process.poll() is not None or commits(root / TABLE))
        assert process.poll() is None, (tmp_path / "writer.log").read_text()
        version = len(commits(root / TABLE))
        point(root / TABLE, data_files(root / TABLE), version)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    left = lake.version(TABLE)
    assert left >= version - 1
    without_java = lake.read_pandas(TABLE).itertuples(index=False)
    for rows in (list(without_java), read_table(spark, lake, TABLE).collect()):
        assert sorted(row.id for row in rows) == list(range(ROWS))
        assert {row.generation for row in rows} == {left}

    following = spark.range(3).selectExpr("id", "-1 AS generation", "'none' AS pause", f"'{MONTHS[0]}' AS month")
    if kind == "whole":
        write_table(following, lake, TABLE)
        assert len(lake.read_pandas(TABLE)) == 3
    else:
        write_months(following, lake, TABLE, "month", MONTHS[:1])
        rows = read_table(spark, lake, TABLE).collect()
        assert [row.generation for row in rows if row.month == MONTHS[0]] == [-1] * 3
        assert len(rows) == 3 + ROWS // 2
    assert lake.version(TABLE) == left + 1
    assert not [line for line in lake.history(TABLE) if line.rows_written == 0]


def test_a_killed_writer_of_rows_in_memory_leaves_the_old_table_or_the_new_one(tmp_path):
    root, chance = tmp_path / "lake", random.Random(3)
    root.mkdir()
    lake = Lakehouse(str(root))
    for kill in range(8):
        before = len(commits(root / TABLE))
        with writer(root, "memory"):
            commit_appears(root / TABLE, set(), before)
            time.sleep(chance.uniform(0.0, 0.1))
        left = lake.version(TABLE)
        assert left >= kill
        rows = lake.read_pandas(TABLE)
        assert sorted(rows["id"]) == list(range(ROWS))
        assert set(rows["generation"]) == {left}
    assert not [line for line in lake.history(TABLE) if line.rows_written != ROWS]


@pytest.mark.timeout(400)
def test_a_first_write_that_is_killed_leaves_no_table_and_no_hindrance(spark, tmp_path):
    root = tmp_path / "lake"
    root.mkdir()
    lake = Lakehouse(str(root))
    with writer(root, "whole"):
        wait_for(lambda: data_files(root / TABLE))

    assert not lake.exists(TABLE)
    write_table(spark.range(3), lake, TABLE)
    assert len(lake.read_pandas(TABLE)) == 3
