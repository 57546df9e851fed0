"""The tutorial, run from its own text in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import requests

from salesml_assets_tests.conftest import QUICK_JAVA
from salesml_assets_tests.docs.pages import titled
from salesml_assets_tests.serving.running import free_port

PAGE = "tutorial.md"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder, and beside it the commands that the page puts on the PATH."""
    commands, folder = tmp_path / "bin", tmp_path / "bakery"
    commands.mkdir()
    folder.mkdir()
    salesml = commands / "salesml"
    salesml.write_text(f"#!{sys.executable}\nfrom salesml_assets.cli import main\nmain()\n")
    salesml.chmod(0o755)
    (commands / "python").symlink_to(sys.executable)
    return folder


def environment(home: Path) -> dict[str, str]:
    """This process' variables without settings of its own, and a Java that compiles less."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SALESML_", "DAGSTER_"))}
    return kept | {
        "PATH": f"{home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SALESML_SPARK__CONFIG": json.dumps(QUICK_JAVA),
    }


def step(home: Path, title: str, **replaced: str) -> str:
    """Runs the commands of a block; their output."""
    text = titled(PAGE, title)
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=home, env=environment(home), capture_output=True, text=True,
        timeout=1_200, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@contextmanager
def server(home: Path, title: str, path: str) -> Iterator[int]:
    """Runs a server of the page on a free port until it answers, and ends it by its process group."""
    port = free_port()
    command = f"exec {titled(PAGE, title).strip()} --port {port}"
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=home, env=environment(home), stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 300
        while not answers(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < deadline, (home / "server.log").read_text()
            time.sleep(0.5)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(120)


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.timeout(1_500)  # a whole run, and two servers
def test_the_page_leads_from_a_file_to_a_served_forecast(home: Path) -> None:
    (home / "make_shop.py").write_text(titled(PAGE, "make_shop.py"))
    step(home, "step 1")
    found = step(home, "step 2")
    assert "0 wrong" in found
    with (home / "salesml.yaml").open("a") as settings:
        settings.write(titled(PAGE, "salesml.yaml"))
    versions = step(home, "step 3")
    assert "xgboost" in versions or "seasonal_naive" in versions
    forecasts = pl.read_csv(home / "forecasts.csv", try_parse_dates=True)
    assert forecasts.height == 12 * 28
    assert {"yhat", "lo80", "hi80", "lo95", "hi95", "model"} <= set(forecasts.columns)
    sundays = forecasts.filter(pl.col("ds").dt.weekday() == 7)
    assert sundays.height == 12 * 4
    assert sundays["yhat"].sum() == 0
    assert (forecasts.filter(pl.col("ds").dt.weekday() < 7)["yhat"] > 0).all()
    with server(home, "server: ui", "/server_info"):
        pass
    with server(home, "server: serve", "/health/ready") as port:
        answer = json.loads(step(home, "step 4", **{":8000": f":{port}"}))
    served = [round(row["yhat"], 6) for row in answer["steps"]]
    assert served == [round(value, 6) for value in forecasts.filter(pl.col("unique_id") == "P01").sort("ds")["yhat"]]
