"""A backup of a stack that works, restored into one whose volumes are empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from salesml_assets_tests.stack.compose import Stack, run, wait_for
from salesml_assets_tests.stack.lake_state import lake_state

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]


def seen(stack: Stack) -> dict[str, Any]:
    """What people and applications see: forecasts served, registry, runs."""
    page = wait_for("forecasts", lambda: stack.predictions("/forecasts?limit=100"), 120)
    found = stack.get("MLFLOW_PORT", "/api/2.0/mlflow/registered-models/get?name=salesml")["registered_model"]
    return {
        "page": page,
        "aliases": {alias["alias"]: alias["version"] for alias in found["aliases"]},
        "runs": {(run["runId"], run["jobName"], run["status"]) for run in stack.runs()},
    }


def test_a_backup_in_an_empty_stack_forecasts_the_same(stack: Stack, tmp_path: Path) -> None:
    before, state = seen(stack), lake_state(stack)
    arguments = {"COMPOSE_ARGS": " ".join(stack.arguments)}
    run(["sh", "deploy/backup.sh", str(tmp_path / "backup")], **arguments)
    stack.empty()
    run(["sh", "deploy/restore.sh", str(tmp_path / "backup")], **arguments)
    stack.up()
    assert lake_state(stack) == state
    assert seen(stack) == before
