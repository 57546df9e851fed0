"""Dagster's private packages are imported in one module only, and lazily."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import salesml_assets
from salesml_assets.runs import dagster_internals

PACKAGE = Path(salesml_assets.__file__).parent
ALLOWED = Path(dagster_internals.__file__)


def private_uses(source: str) -> Iterator[int]:
    """Lines that import from `dagster._...`, or name such a module in a string."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        if any(name.startswith("dagster._") for name in names):
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "import dagster._core.events",
        "from dagster._core.events.log import EventLogEntry",
        "from dagster import _utils",
        "def late():\n    from dagster._daemon import run",
        "name = 'dagster._core.storage.root'",
    ],
)
def test_each_way_to_a_private_module_is_found(source: str) -> None:
    assert list(private_uses(source))


def test_only_one_module_imports_dagsters_private_packages() -> None:
    found = {
        f"{file.relative_to(PACKAGE)}:{line}"
        for file in PACKAGE.rglob("*.py")
        if file != ALLOWED
        for line in private_uses(file.read_text(encoding="utf-8"))
    }
    assert not found
    assert list(private_uses(ALLOWED.read_text(encoding="utf-8")))


def test_every_name_it_offers_is_there() -> None:
    for name in dagster_internals.__all__:
        assert getattr(dagster_internals, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = dagster_internals.Nothing


def test_it_loads_without_a_database_and_without_the_project() -> None:
    code = (
        "import sys, salesml_assets.runs.dagster_internals as m; "
        "own = sorted(n for n in sys.modules if n.startswith('salesml_assets.') and n not in "
        "('salesml_assets.runs', m.__name__)); assert not own, own; assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
