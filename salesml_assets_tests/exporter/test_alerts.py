"""Prometheus' own tool reads the configuration, and runs the unit tests of the alert rules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from salesml_assets.exporter.catalogue import METRICS
from salesml_assets.exporter.collector import MetricsCollector

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.mark.stack
@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=["configuration", "rules", "unit tests"],
)
def test_promtool_passes(command: list[str]):
    promtool(*command)


@pytest.mark.stack
def test_promtool_has_nothing_against_the_names():
    registry = CollectorRegistry()
    registry.register(MetricsCollector([]))
    text = generate_latest(registry).decode()
    assert text.count("# TYPE") == len(METRICS)
    promtool("check", "metrics", text=text)


def promtool(*command: str, text: str = "") -> None:
    """Runs Prometheus' tool, and fails with what it says."""
    tool = shutil.which("promtool")
    if tool is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("promtool is not on the PATH: install Prometheus (Debian, Ubuntu: apt-get install prometheus)")
    answer = subprocess.run(
        [tool, *command], cwd=FOLDER, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
