"""A service on a small lake."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from salesml_assets.config.settings import Settings
from salesml_assets.serving.app import create_app
from salesml_assets_tests.serving.small_service import make_lake, service_settings

KEY = "a key of this test"


@pytest.fixture(scope="session")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small lake, to be copied."""
    folder = tmp_path_factory.mktemp("served")
    make_lake(service_settings(folder))
    return folder


@pytest.fixture(scope="session")
def client(made_lake: Path) -> Iterator[TestClient]:
    """A caller with the key; nothing may change the lake behind it."""
    app = create_app(service_settings(made_lake), KEY)
    with TestClient(app, headers={"X-API-Key": KEY}, raise_server_exceptions=False) as caller:
        yield caller


@pytest.fixture
def own_settings(made_lake: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a copy of the lake that a test may change."""
    shutil.copytree(made_lake / "lake", tmp_path / "lake")
    return lambda **serving: service_settings(tmp_path, **serving)
