"""Files next to the tables: whole or not at all, on disk and in an object store."""

import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.files import Files


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    if request.param == "disk":
        yield Files(str(tmp_path / "lake"))
        return
    yield Files("s3a://lake/below", S3Settings(endpoint=request.getfixturevalue("bucket")))


def test_what_is_written_is_read_and_listed(store):
    address = store.write("größer", "report", "run-1", "report.html")
    store.write(b"\x00\xff", "report", "run-1", "inner", "model.bin")
    store.write("other", "report", "run-10", "report.html")

    assert address == f"{store.root}/_files/report/run-1/report.html" == store.path("report", "run-1", "report.html")
    assert store.read_text("report", "run-1", "report.html") == "größer"
    assert store.read("report", "run-1", "inner", "model.bin") == b"\x00\xff"
    assert store.list("report", "run-1") == ["inner/model.bin", "report.html"]
    assert store.list("report", "run-2") == []


def test_the_last_write_wins(store):
    for text in ("long content", "short"):
        store.write(text, "report", 1, "report.html")
    assert store.read_text("report", 1, "report.html") == "short"
    assert store.list("report", 1) == ["report.html"]


def test_a_missing_file_is_not_found(store):
    with pytest.raises(FileNotFoundError, match=r"_files/report/1/report\.html"):
        store.read("report", 1, "report.html")


@pytest.mark.parametrize(
    "parts", [("..", "1", "x"), ("report", "", "x"), ("report", "1", "../x"), ("report", "1", ".")]
)
def test_no_path_leads_out_of_the_store(tmp_path, parts):
    with pytest.raises(ValueError, match="is not a valid path inside the store"):
        Files(str(tmp_path)).path(*parts)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    store = Files(str(tmp_path))
    store.write("old", "report", 1, "report.html")

    def refuse(file: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no space left"):
        store.write("new", "report", 1, "report.html")

    assert store.read_text("report", 1, "report.html") == "old"
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["report.html"]


def test_a_reader_sees_whole_files_while_they_are_replaced(tmp_path):
    store = Files(str(tmp_path))
    contents = {"a" * 200_000, "b" * 100_000}
    store.write("a" * 200_000, "report", 1, "x")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                store.write(content, "report", 1, "x")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert {store.read_text("report", 1, "x") for _ in range(200)} <= contents
    finally:
        stop.set()
        thread.join()


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_bytes_come_back_as_they_went(tmp_path, content):
    store = Files(str(tmp_path))
    store.write(content, "models", "v1", "model")
    assert store.read("models", "v1", "model") == content
