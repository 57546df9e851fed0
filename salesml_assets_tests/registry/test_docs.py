"""The commands of docs/registry.md, as they are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from salesml_assets.forecasting.versions import all_versions
from salesml_assets_tests.forecasting.small_models import Shop, bundle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    shop = Shop(tmp_path / ".salesml" / "lake")
    shop.sell()
    for version in (1, 2):
        shop.train(bundle(version))
    (tmp_path / "salesml.yaml").write_text("forecast: {horizon: 7}\n")
    (tmp_path / "dagster.yaml").write_text("")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "salesml"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from salesml_assets.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SALESML_", "DAGSTER_"))}
    environment |= {"PATH": f"{programs}:/bin", "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(*arguments: str) -> str:
        answer = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    (shell,) = blocks("sh")
    shown = run("/bin/sh", "-e", "-c", shell)
    assert [version.origin.partition(" by ")[0] for version in all_versions(shop.lake)] == [
        "trained", "trained", "promote of version 1", "rollback of version 2",
    ]  # fmt: skip
    assert "steadier before Christmas" in shown
    (program,) = blocks("python")
    assert len(run(sys.executable, "-c", program).splitlines()) == 8  # a head and seven days
