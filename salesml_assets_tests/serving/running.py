"""The command `salesml serve` as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from salesml_assets.config.settings import Settings

ROOT = Path(__file__).parents[2]
KEY = "the key of this process"


@dataclass
class Service:
    """A running service."""

    port: int
    process: subprocess.Popen
    log: Path

    def ask(
        self, path: str, method: str = "GET", body: Any = None, key: str = KEY
    ) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers and decoded answer of one request by a connection of its own, the path as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"X-API-Key": key, "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            return answer.status, answer.headers, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether it answers, and wants requests."""
        try:
            return self.ask("/health/ready")[0] == 200
        except OSError:
            return False

    def stop(self) -> int:
        """Sends SIGTERM and waits; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(settings: Settings, folder: Path, key: str | None = KEY) -> Iterator[Service]:
    """Starts `salesml serve` by these settings, and ends it."""
    file = folder / "salesml.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALESML_")}
    environment |= {"SALESML_CONFIG": str(file), "PYTHONPATH": str(ROOT)} | ({"SALESML_API_KEY": key} if key else {})
    log = folder / "service.log"
    command = [sys.executable, "-c", "from salesml_assets.cli import main; main()", "serve", "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    service = Service(port, process, log)
    try:
        deadline = time.monotonic() + 60
        while not service.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the service does not start: {log.read_text()}")
            time.sleep(0.02)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
