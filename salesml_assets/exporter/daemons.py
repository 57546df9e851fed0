"""Health of the processes that run the platform: Dagster's daemons and the code locations."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg

from salesml_assets.exporter.families import Families
from salesml_assets.runs.dagster_internals import (
    CodeLocationOrigin,
    GrpcServerCodeLocationOrigin,
    code_server_answers,
    workspace_code_locations,
)

RETRY_SECONDS = 300.0  # interval between load attempts of a module; each takes seconds of CPU time
LOAD_SECONDS = 120.0  # time limit of one attempt


def read_daemons(instance: dg.DagsterInstance, families: Families) -> None:
    """Heartbeats of the daemons that the instance needs."""
    now = time.time()
    for daemon, status in instance.get_daemon_statuses().items():
        families.add("salesml_daemon_healthy", float(bool(status.healthy)), daemon=daemon)
        beat = status.last_heartbeat
        if beat is not None:
            families.add("salesml_daemon_heartbeat_age_seconds", max(0.0, now - beat.timestamp), daemon=daemon)
            families.add("salesml_daemon_errors", len(beat.errors or []), daemon=daemon)


class CodeLocationReader:
    """Checks whether the code locations of a workspace load.

    Args:
        workspace: The workspace file. Its locations are code servers (`grpc_server`) or modules (`python_module`).
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._loaded: dict[str, bool] = {}
        self._attempted: dict[str, float] = {}

    def read(self, families: Families) -> None:
        """Whether each location loads; a module has no sample until its first attempt has ended."""
        for origin in workspace_code_locations(self._workspace):
            name = origin.location_name
            if isinstance(origin, GrpcServerCodeLocationOrigin):
                up: float | None = code_server_answers(origin)
            else:
                self._start_attempt(origin)
                up = self._loaded.get(name)
            families.add("salesml_code_location_up", up, location=name)

    def _start_attempt(self, origin: CodeLocationOrigin) -> None:
        """Loads a module in the background if the last attempt is old enough, so that no scrape waits for it."""
        target, name, now = origin.loadable_target_origin, origin.location_name, time.monotonic()
        if target.module_name is None:
            raise ValueError(f"code location {name!r}: only grpc_server and python_module are supported")
        if now - self._attempted.get(name, -math.inf) < RETRY_SECONDS:
            return
        self._attempted[name] = now
        code = "import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])"
        command = [target.executable_path or sys.executable, "-c", code, target.module_name, target.attribute or "defs"]
        folder = Path(target.working_directory or self._workspace.parent)

        def load() -> None:
            self._loaded[name] = _succeeds(command, folder)

        threading.Thread(target=load, daemon=True, name=f"load {name}").start()


def _succeeds(command: list[str], folder: Path) -> bool:
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, timeout=LOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0
