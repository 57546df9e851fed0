"""What all tests share: one Spark session, and settings of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from salesml_assets.config import Settings
from salesml_assets.resources.spark import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPARK = {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The Spark session of the test run, with Delta: two cores, few partitions, no UI."""
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
