"""A shop whose production models are mirrored into a registry of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from salesml_assets.config.settings import RegistrySettings, Settings
from salesml_assets.forecasting.comparison import Comparison, compare
from salesml_assets.names import EVERYTHING_FILE, MODEL_COMPARISON
from salesml_assets.registry.connection import connected
from salesml_assets.registry.mirror import Mirror, mirror
from salesml_assets_tests.forecasting.predictions import backtest_predictions, in_batches, polars_table
from salesml_assets_tests.forecasting.small_models import Shop, bundle


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """Four algorithms on forty series."""
    predictions = {name: in_batches(polars_table(rows)) for name, rows in backtest_predictions(series=40).items()}
    runs = {name: {"parameters": {}, "seconds": 1.0, "rows": 100} for name in predictions}
    return compare(predictions, Settings(), runs)


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's tables, which take seconds to create."""
    folder = tmp_path_factory.mktemp("registry")
    with connected(RegistrySettings(folder=str(folder), model_name="template")):
        return folder


@pytest.fixture
def shop(tmp_path: Path, comparison: Comparison) -> Shop:
    """Two trained versions and the comparison that both were made from."""
    made = Shop(tmp_path / "lake")
    made.sell()
    made.lake.write_polars(pl.from_pandas(comparison.metrics), MODEL_COMPARISON, run_id="run-of-comparison")
    made.files.write(comparison.to_json(), MODEL_COMPARISON, "run-of-comparison", EVERYTHING_FILE)
    for version in (1, 2):
        made.train(bundle(version))
    return made


@pytest.fixture
def registry(tmp_path: Path, empty_registry: Path) -> RegistrySettings:
    """A registry without a server."""
    shutil.copytree(empty_registry, tmp_path / "mlflow")
    return RegistrySettings(folder=str(tmp_path / "mlflow"), timeout_seconds=5)


@pytest.fixture
def mirrored(shop: Shop, registry: RegistrySettings) -> Callable[[], Mirror]:
    """Brings that registry in step with the shop."""
    return lambda: mirror(shop.lake, shop.files, registry)
