"""The wheel holds all that the command needs, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.release import ROOT, build, write_sales


@pytest.mark.slow
def test_the_wheel_holds_what_the_command_needs(tmp_path: Path) -> None:
    wheel = build(tmp_path / "dist")
    package, shop = tmp_path / "package", tmp_path / "shop"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(package)
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "salesml_assets"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in names if ".dist-info/" not in name} == set(tracked)

    shop.mkdir()
    write_sales(shop / "sales.csv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALESML_")}
    result = subprocess.run(
        [sys.executable, "-c", "from salesml_assets.cli import main; main()", "init", "sales.csv"],
        cwd=shop, env=environment | {"PYTHONPATH": str(package)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert {"salesml.yaml", "dagster.yaml", "workspace.yaml"} <= {path.name for path in shop.iterdir()}
