"""The exporter's process: an HTTP server for Prometheus that runs until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import dagster as dg
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.exporter.collector import MetricsCollector, sources
from salesml_assets.runs.project import WORKSPACE, enter_project

LOG = logging.getLogger("salesml.metrics")
HOST, PORT = "127.0.0.1", 9464
STOP = (signal.SIGTERM, signal.SIGINT)


def main(host: str = HOST, port: int = PORT) -> None:
    """Serves the metrics of the project until SIGTERM or SIGINT.

    Args:
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        ConfigurationError: The settings are invalid, or the port is in use.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home = enter_project()
    settings = load_settings()
    with dg.DagsterInstance.get() as instance:
        serve(settings, instance, host, port, home / WORKSPACE)


def serve(settings: Settings, instance: dg.DagsterInstance, host: str, port: int, workspace: Path) -> None:
    """Serves the metrics until SIGTERM or SIGINT; must be called in the main thread.

    Args:
        settings: The settings; `lake`, `s3` and `clock` are used.
        instance: Dagster's instance.
        host: Address to listen on.
        port: Port to listen on; 0: any that is free.
        workspace: The workspace file, which names the code locations.

    Raises:
        ConfigurationError: The server cannot listen on that address.
    """
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in STOP}
    try:
        with listening(settings, instance, host, port, workspace) as actual:
            LOG.info("metrics on http://%s:%d/metrics", host, actual)
            stop.wait()
            LOG.info("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def listening(settings: Settings, instance: dg.DagsterInstance, host: str, port: int, workspace: Path) -> Iterator[int]:
    """Serves the metrics in background threads while the context is open; arguments as in `serve`.

    Yields:
        The port.
    """
    registry = CollectorRegistry()
    collector = MetricsCollector(sources(settings, instance, workspace))
    # Warm-up before the first scrape: importing pandas and the Delta reader takes a second.
    collector.collect()
    registry.register(collector)
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(f"metrics: cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
