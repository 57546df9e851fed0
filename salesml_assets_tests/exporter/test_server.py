"""The exporter as a process: on loopback, until SIGTERM; and the code locations that it checks."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.exporter.server import listening, serve
from salesml_assets_tests.exporter.conftest import Scrape, scrape, value
from salesml_assets_tests.exporter.platform import model_row, write

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from salesml_assets.exporter.server import main; main(port=int(sys.argv[1]))"
MODULE = "salesml_assets_tests.exporter.location"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with no code location."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    (tmp_path / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
    (tmp_path / "salesml.yaml").write_text("lake: {root: lake}\n", encoding="utf-8")
    return tmp_path


@contextmanager
def process(project: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The exporter of a project, and its port."""
    environment = {name: text for name, text in os.environ.items() if name != "DAGSTER_HOME"} | {
        "PYTHONPATH": str(ROOT)
    }
    command = [sys.executable, "-W", "ignore", "-c", MAIN, "0"]
    with subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            line = next(line for line in running.stderr if "metrics on" in line)
            address = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line)
            assert address
            yield running, int(address.group(1))
        finally:
            running.kill()


@pytest.mark.stack
def test_the_process_ends_with_sigterm(project):
    with process(project) as (running, port):
        assert value(scrape(port), "salesml_run_queue_length") == 0
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        assert running.stderr is not None
        rest = running.stderr.read()
        assert "stopped" in rest
        assert "Traceback" not in rest
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_reading_needs_no_spark(tmp_path, workspace):
    write(tmp_path / "lake", "production_model", [model_row(4, dt.datetime.now(dt.UTC))])
    code = """
import pathlib, sys
import dagster as dg
from salesml_assets.config.settings import Settings
from salesml_assets.exporter.collector import MetricsCollector, sources
with dg.DagsterInstance.local_temp() as instance:
    settings = Settings(lake={"root": sys.argv[1]})
    families = list(MetricsCollector(sources(settings, instance, pathlib.Path(sys.argv[2]))).collect())
values = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
up = {sample.value for family in families if family.name == "salesml_source_up" for sample in family.samples}
engines = [name for name in ("pyspark", "delta", "xgboost", "matplotlib", "py4j") if name in sys.modules]
print(values["salesml_production_model_version"], up, engines)
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "lake"), str(workspace)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert answer.stdout.strip() == "4.0 {1.0} []", answer.stderr


def test_serving_ends_with_ctrl_c(instance, workspace, lake):
    before = signal.getsignal(signal.SIGINT)
    interrupt = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    serve(Settings(lake={"root": str(lake)}), instance, "127.0.0.1", 0, workspace)
    interrupt.join()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_port_that_is_taken_is_named(instance, workspace, lake):
    settings = Settings(lake={"root": str(lake)})
    before = signal.getsignal(signal.SIGTERM)
    with listening(settings, instance, "127.0.0.1", 0, workspace) as port:
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            serve(settings, instance, "127.0.0.1", port, workspace)
        with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
            elsewhere.connect(("127.0.0.2", port))
    assert signal.getsignal(signal.SIGTERM) == before


def wait_for(look: Callable[[], Scrape], location: str, wanted: float) -> None:
    """Until the exporter says so of a code location."""
    end = time.monotonic() + 40
    while value(look(), "salesml_code_location_up", location=location) != wanted:
        assert time.monotonic() < end, f"{location} did not become {wanted}"
        time.sleep(0.2)


@pytest.mark.stack
def test_code_locations(exporter, workspace):
    """A module that loads, one that does not, and a code server that is there and then is not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workspace.write_text(
        f"""
load_from:
  - python_module: {{module_name: {MODULE}, attribute: defs, working_directory: {ROOT}, location_name: good}}
  - python_module: {{module_name: {MODULE}, attribute: missing, working_directory: {ROOT}, location_name: bad}}
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: server}}
""",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", MODULE, "-a", "defs", "-d", str(ROOT)]
    with exporter() as look:
        wait_for(look, "server", 0)
        with subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                wait_for(look, "server", 1)
            finally:
                server.terminate()
        wait_for(look, "server", 0)
        wait_for(look, "good", 1)
        wait_for(look, "bad", 0)
