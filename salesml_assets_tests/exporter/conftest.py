"""An exporter on loopback, over a Dagster instance and a lake of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import dagster as dg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from salesml_assets.config.settings import Settings
from salesml_assets.exporter.server import listening

Labels = tuple[tuple[str, str], ...]
Scrape = dict[str, dict[Labels, float]]


def scrape(port: int) -> Scrape:
    """What Prometheus would read: values by metric and sorted labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series, "a duplicate series"
            series[labels] = sample.value
    return found


def value(found: Scrape, name: str, **labels: str) -> float | None:
    """The value of one series; None where there is none."""
    return found.get(name, {}).get(tuple(sorted(labels.items())))


@contextmanager
def dagster_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """A new instance that keeps its state in files."""
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as instance:
        yield instance


def empty_workspace(folder: Path) -> Path:
    """A workspace without a code location."""
    file = folder / "workspace.yaml"
    file.write_text("load_from: []\n", encoding="utf-8")
    return file


@contextmanager
def exporting(
    instance: dg.DagsterInstance, root: Path, workspace: Path, **sections: dict[str, object]
) -> Iterator[Callable[[], Scrape]]:
    """An exporter on loopback: gives the function that scrapes it."""
    settings = Settings(**({"lake": {"root": str(root)}} | sections))
    with listening(settings, instance, "127.0.0.1", 0, workspace) as port:
        yield lambda: scrape(port)


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance without any run; no test changes it."""
    with dagster_instance(tmp_path_factory.mktemp("home") / "dagster") as instance:
        yield instance


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return empty_workspace(tmp_path)


@pytest.fixture
def exporter(
    instance: dg.DagsterInstance, lake: Path, workspace: Path
) -> Callable[..., AbstractContextManager[Callable[[], Scrape]]]:
    """Starts an exporter and gives the function that scrapes it: `with exporter() as look: look()`."""
    return partial(exporting, instance, lake, workspace)
