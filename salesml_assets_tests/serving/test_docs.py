"""The commands of docs/serving.md, run as they are written."""

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
from salesml_assets_tests.serving.running import KEY, ROOT, running

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.mark.stack
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on the PATH")
def test_every_command_of_the_page_works(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "curl" in block]
    assert len(blocks) == 3
    with running(own_settings(drain_seconds=0.0), tmp_path) as service:
        variables = {"URL": f"http://127.0.0.1:{service.port}", "SERIES": "0012", "SALESML_API_KEY": KEY}
        outputs = [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], env=os.environ | variables, cwd=tmp_path,
                capture_output=True, text=True, timeout=60, check=True,
            ).stdout
            for block in blocks
        ]  # fmt: skip
    found = [json.JSONDecoder().raw_decode(output)[0] for output in outputs]
    assert found[0]["series"] == "0012"
    assert found[1]["items"][0]["steps"]
    assert found[2]["items"][0]["serving"] is True
    assert "salesml_serving_ready 1.0" in outputs[2]
