"""Every example runs on a small lake as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import MODEL_COMPARISON, PANEL
from salesml_assets_tests.serving.small_service import make_lake, panel_of, service_series, service_settings

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    settings = service_settings(folder)
    make_lake(settings)
    lake = Lakehouse(settings.lake.root)
    lake.write_polars(panel_of(service_series(), settings), PANEL)
    rows = [("xgboost", "horizon", segment, "wape", value) for segment, value in (("1-7", 0.3), ("8-14", 0.4))]
    columns = ["algorithm", "dimension", "segment", "metric", "value"]
    lake.write_polars(pl.DataFrame(rows, schema=columns, orient="row"), MODEL_COMPARISON)
    return Path(settings.lake.root)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, root: Path, tmp_path: Path) -> None:
    environment = os.environ | {"SALESML_LAKE__ROOT": str(root), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3


def test_the_list_of_examples_is_complete() -> None:
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"`{path.name}`" not in page] == []
    assert len(EXAMPLES) == page.count(".py`")
