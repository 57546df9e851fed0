"""Spark's Python workers: what they import from, what they are spared, and how they end."""

from __future__ import annotations

import io
import sys
import zipimport
from pathlib import Path

import pytest

from salesml_assets.spark.python_workers import leave_archives_out, until_spark_is_gone


def test_workers_use_the_installed_package_and_collect_no_garbage_of_it(spark) -> None:
    def about(frames):
        import gc
        import os
        import sys

        import pyarrow as pa
        import pyspark

        archives = [entry for entry in sys.path if os.path.isfile(entry)]
        for _ in frames:
            row = {"pid": os.getpid(), "pyspark": pyspark.__file__, "archives": archives, "kept": gc.get_freeze_count()}
            yield pa.RecordBatch.from_pylist([row])

    schema = "pid long, pyspark string, archives array<string>, kept long"
    ((first,), (second,)) = (spark.range(1).coalesce(1).mapInArrow(about, schema).collect() for _ in range(2))
    import pyspark

    assert first["pyspark"] == pyspark.__file__
    assert first["archives"] == []
    assert first["kept"] > 10_000
    assert first["pid"] == second["pid"]


def test_archives_of_others_stay_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spark_home, elsewhere = tmp_path / "spark", tmp_path / "spark-helpers"
    for folder in (spark_home, elsewhere):
        folder.mkdir()
    own, of_others = spark_home / "pyspark.zip", elsewhere / "helpers.zip"
    for archive in (own, of_others):
        archive.write_bytes(b"PK\x05\x06" + bytes(18))  # an empty archive
    path = [str(tmp_path), str(own), str(spark_home), str(of_others)]
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.setattr(sys, "path_importer_cache", {entry: zipimport.zipimporter(entry) for entry in path[1::2]})
    leave_archives_out(str(spark_home))
    assert sys.path == [str(tmp_path), str(spark_home), str(of_others)]
    assert list(sys.path_importer_cache) == [str(of_others)]


def test_a_worker_does_its_task_and_ends_without_a_word_when_spark_is_gone() -> None:
    done = []

    def worker(task: io.BufferedReader, answer: io.BufferedWriter) -> None:
        done.append(task.read(4))

    waiting = until_spark_is_gone(worker)
    written = io.BytesIO()
    answer = io.BufferedWriter(written)  # type: ignore[arg-type]
    tasks = io.BufferedReader(io.BytesIO(b"task"))  # type: ignore[arg-type]
    waiting(tasks, answer)
    assert done == [b"task"]
    with pytest.raises(SystemExit) as end:
        waiting(tasks, answer)
    assert end.value.code == 1
    assert done == [b"task"]
    answer.flush()
    assert written.getvalue() == b""
