"""What all tests share: one Spark session, and settings of a test's own."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import hypothesis
import pytest

from salesml_assets.config.settings import ENV_PREFIX, Settings
from salesml_assets.spark.java import VARIABLE as JAVA_CHOICE
from salesml_assets.spark.session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tests are many small queries: Java's thorough compiler costs them more than it gains. Without it Java reserves 48 MB
# for compiled code, which Spark's generated classes fill; after that it compiles no more, and some Javas even end.
QUICK_JAVA = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"}
# Files whose tests take most of a minute.
LONG = {"test_backtest.py", "test_spark.py", "test_lake_kill.py", "test_lakehouse.py", "test_comparison.py",
        "test_setup.py", "test_cli.py"}  # fmt: skip
SPARK = {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2, "config": QUICK_JAVA}


# No deadline for one example: a shared machine is now and then slower than any.
hypothesis.settings.register_profile("salesml", deadline=None)


def pytest_configure() -> None:
    """The user's own settings are no settings of the tests; nor is a signal that a script's background ignores."""
    hypothesis.settings.load_profile("salesml")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for variable in [name for name in os.environ if name.startswith(ENV_PREFIX) and name != JAVA_CHOICE]:
        del os.environ[variable]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, lest one worker waits for the other in the end."""
    items.sort(key=lambda item: ("integration" not in item.path.parts, item.path.name not in LONG))


def pytest_collection_finish() -> None:
    """What is imported by now stays: it need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The Spark session of the test run (or of one of its workers), with Delta: two cores, few partitions, no UI."""
    root = tmp_path_factory.mktemp("lake")
    with spark_session(Settings(lake={"root": str(root)}, spark=SPARK)) as session:
        yield session


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Makes settings with a lake of the test's own: `settings_for(forecast={"horizon": 7})`.

    Sections given are merged over these defaults: lake and sales below the test's folder, a small Spark.
    """

    def make(**sections: dict[str, Any]) -> Settings:
        defaults: dict[str, dict[str, Any]] = {
            "lake": {"root": str(tmp_path / "lake")},
            "sales": {"path": str(tmp_path / "sales")},
            "spark": SPARK,
        }
        names = defaults.keys() | sections.keys()
        return Settings(**{name: defaults.get(name, {}) | sections.get(name, {}) for name in names})

    return make


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance:
        yield instance


@pytest.fixture(scope="session")
def store_server() -> Iterator[str]:
    """The address of an S3 server on loopback.

    It is a process of its own: `deltalake` keeps Python waiting while it asks, a server in a thread could not answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not _post(f"http://127.0.0.1:{port}/moto-api/reset"):
            assert time.monotonic() < end, "the S3 server did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def object_store(store_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server, empty; AWS_* hold credentials for it."""
    assert _post(f"{store_server}/moto-api/reset")
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    return store_server


@pytest.fixture
def bucket(object_store: str) -> str:
    """The server with one bucket, `lake`."""
    import boto3

    with closing(boto3.client("s3", endpoint_url=object_store, region_name="us-east-1")) as client:
        client.create_bucket(Bucket="lake")
    return object_store


def _post(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False
