"""The commands of docs/serving.md and docs/ab-test.md, run as they are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.arms import arm_of
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import SERVED_PREDICTIONS
from salesml_assets_tests.serving.running import KEY, ROOT, running
from salesml_assets_tests.serving.small_service import challenger_of, start_test

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on the PATH"),
]


def outputs(page: str, settings: Settings, folder: Path) -> list[str]:
    """What each block of commands of a page prints."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "curl" in block]
    with running(settings, folder) as service:
        variables = {"URL": f"http://127.0.0.1:{service.port}", "SERIES": "0012", "SALESML_API_KEY": KEY}
        return [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], env=os.environ | variables, cwd=folder,
                capture_output=True, text=True, timeout=60, check=True,
            ).stdout
            for block in blocks
        ]  # fmt: skip


def test_every_command_of_the_page_of_the_service_works(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    printed = outputs("serving.md", own_settings(drain_seconds=0.0), tmp_path)
    found = [json.JSONDecoder().raw_decode(output)[0] for output in printed]
    assert len(found) == 3
    assert found[0]["series"] == "0012"
    assert found[1]["items"][0]["steps"]
    assert found[2]["items"][0]["serving"] is True
    assert "salesml_serving_ready 1.0" in printed[2]


def test_every_command_of_the_page_of_ab_tests_works(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = own_settings(drain_seconds=0.0)
    settings = Settings(**settings.model_dump(exclude_unset=True) | {"promotion": {"mode": "ab_test"}})
    start_test(settings, challenger_of(settings))
    (printed,) = outputs("ab-test.md", settings, tmp_path)
    one, chosen, page = (
        json.loads(line) for line in printed.replace("}{", "}\n{").replace("}# HELP", "}\n# HELP").splitlines()[:3]
    )
    assert one["arm"] == arm_of("0012", "challenger-1-run", 0.1)
    assert (chosen["arm"], chosen["steps"][0]["yhat"]) == ("challenger", 1.0)
    assert len({item["arm"] for item in page["items"]}) == 1
    assert 'salesml_serving_arm_requests_total{arm="challenger"}' in printed
    lake = Lakehouse(settings.lake.root)
    assert lake.size(SERVED_PREDICTIONS).rows == 5  # written at the end of the process
