"""The resource of the files: the same files as without Dagster, on disk and in an object store."""

from pathlib import Path

import pytest

from salesml_assets.config.settings import S3Settings, Settings
from salesml_assets.lake.files import Files
from salesml_assets.resources.files import FileStore


@pytest.fixture(params=["disk", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "disk":
        return Settings(lake={"root": str(tmp_path / "lake")})
    return Settings(lake={"root": "s3a://lake/below"}, s3={"endpoint": request.getfixturevalue("bucket")})


def test_what_is_written_is_read_and_listed_with_dagster_and_without(settings: Settings) -> None:
    store, files = FileStore.from_settings(settings), Files(settings.lake.root, settings.s3)
    address = store.write("größer", "report", "run-1", "report.html")
    files.write(b"\x00\xff", "report", "run-1", "inner", "model.bin")

    assert address == f"{store.root}/_files/report/run-1/report.html" == files.path("report", "run-1", "report.html")
    for each in (store, files):
        assert each.path("report", "run-1", "report.html") == address
        assert each.read_text("report", "run-1", "report.html") == "größer"
        assert each.read("report", "run-1", "inner", "model.bin") == b"\x00\xff"
        assert each.list("report", "run-1") == ["inner/model.bin", "report.html"]
        assert each.list("report", "run-2") == []
        with pytest.raises(FileNotFoundError, match=r"_files/report/1/report\.html"):
            each.read("report", 1, "report.html")


def test_the_store_is_the_one_that_the_settings_name() -> None:
    settings = Settings(
        lake={"root": "s3a://lake"}, s3={"endpoint": "http://store.example:9000", "region": "eu-west-1"}
    )
    store = FileStore.from_settings(settings)
    assert store.files.s3 == S3Settings(endpoint="http://store.example:9000", region="eu-west-1")
    assert (store.files.root, store.files.connect is not None) == ("s3a://lake", True)
