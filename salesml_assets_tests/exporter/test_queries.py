"""A real Prometheus scrapes a real exporter and a real service; every query of dashboards and alerts returns data.

What only the stack of containers serves (proxy, object store, Spark's nodes) is asked there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster._daemon.types import DaemonHeartbeat

from salesml_assets.config.settings import Settings
from salesml_assets.exporter.server import listening
from salesml_assets_tests.exporter.conftest import dagster_instance
from salesml_assets_tests.exporter.platform import enqueue, run
from salesml_assets_tests.exporter.test_automation import add
from salesml_assets_tests.exporter.test_tables import fill
from salesml_assets_tests.serving.running import running
from salesml_assets_tests.serving.small_service import make_lake, service_settings
from salesml_assets_tests.stack.test_dashboards import FILES, queries, read

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
STACK_ONLY = re.compile(r"haproxy_|minio_|metrics_worker_")
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Prometheus:
    """A running server on loopback."""

    address: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query now."""
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def wait_for(self, expression: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The result as soon as there is one."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := self.query(expression):
                    return found
            except urllib.error.URLError:
                pass  # it is starting
            assert time.monotonic() < end, f"no data: {expression}"
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def platform(instance: dg.DagsterInstance) -> None:
    """What daemon and runs leave in Dagster's storage."""
    run(instance)
    enqueue(instance)
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 5, "SENSOR", "one"))
    add(instance, "sensor", "new_sales", InstigatorStatus.DECLARED_IN_CODE, [(time.time(), TickStatus.SKIPPED)])
    instance.event_log_storage.set_concurrency_slots("sales", 1)
    instance._report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey("sales"), new_state=FreshnessState.PASS, previous_state=FreshnessState.UNKNOWN,
            state_change_timestamp=time.time(),
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("prometheus is not on the PATH (Debian, Ubuntu: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    workspace = folder / "workspace.yaml"
    location = "module_name: salesml_assets_tests.exporter.location, attribute: defs, location_name: salesml"
    workspace.write_text(f"load_from: [{{python_module: {{{location}, working_directory: {ROOT}}}}}]\n")
    served = service_settings(folder / "service")
    make_lake(served)
    fill(folder / "lake")
    with (
        dagster_instance(folder / "dagster") as instance,
        running(served, folder / "service") as service,
    ):
        platform(instance)
        settings = Settings(lake={"root": str(folder / "lake")}, clock={"today": "2011-12-11"})
        with listening(settings, instance, "127.0.0.1", 0, workspace) as port:
            own = free_port()
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(ALERTS)],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{number}"]}]}
                    for job, number in (("salesml", port), ("salesml-serving", service.port), ("prometheus", own))
                ],
            }
            (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
            arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
            with (folder / "log").open("w") as log:
                server = subprocess.Popen(
                    [binary, *arguments, f"--web.listen-address=127.0.0.1:{own}"], stdout=log, stderr=log
                )
            try:
                made = Prometheus(f"http://127.0.0.1:{own}")
                for _ in range(5):
                    assert service.ask("/forecasts?limit=1")[0] == 200
                made.wait_for('up{job="salesml"} == 1 and on () up{job="salesml-serving"} == 1')
                made.wait_for("salesml_code_location_up")
                service.ask("/forecasts?limit=1")  # rates need two scrapes with a difference
                yield made
            finally:
                server.terminate()
                server.wait(30)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_query_of_a_dashboard_returns_data(prometheus, file):
    asked = [expression for _, expression in queries(read(file)) if not STACK_ONLY.search(expression)]
    assert len(asked) > 10
    for expression in asked:
        assert prometheus.wait_for(expression)


def test_every_alert_is_evaluated_and_each_of_its_metrics_is_there(prometheus):
    rules = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    for rule in rules:
        prometheus.query(rule["expr"])  # an error of the expression would be raised
        for name in set(re.findall(r"salesml_\w+", rule["expr"])):
            assert prometheus.wait_for(name), rule["alert"]
