"""What all tests share: one Spark session, and settings of a test's own."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from salesml_assets.config import ENV_PREFIX, Settings
from salesml_assets.lakehouse import Lakehouse
from salesml_assets.resources.java import VARIABLE as JAVA_CHOICE
from salesml_assets.resources.spark import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tests are many small queries: Java's thorough compiler costs them more than it gains. Without it Java reserves 48 MB
# for compiled code, which Spark's generated classes fill; after that it compiles no more, and some Javas even end.
QUICK_JAVA = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"}
# Files whose tests take most of a minute.
LONG = {"test_backtest.py", "test_spark.py", "test_lake_kill.py", "test_lakehouse.py", "test_comparison.py",
        "test_setup.py", "test_cli.py"}  # fmt: skip
SPARK = {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2, "config": QUICK_JAVA}


def pytest_configure() -> None:
    """The user's own settings are no settings of the tests; nor is a signal that a script's background ignores."""
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
def table() -> Callable[[Path, str], dict[str, str]]:
    """Makes a table of an asset in a lake, anew if there is one: what a materialization says of it."""

    def make(lake: Path, asset: str) -> dict[str, str]:
        shutil.rmtree(lake / asset, ignore_errors=True)
        tables = Lakehouse(str(lake))
        tables.write_arrow(pa.table({"x": [1]}), asset)
        return {"table id": str(tables.identity(asset))}

    return make
