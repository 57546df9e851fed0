"""The process: its start, its workers and its end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.versions import latest_version, read_version
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.serving.running import ROOT, Service, running
from salesml_assets_tests.serving.small_service import NAMES, other_model, promote
from salesml_assets_tests.serving.test_predict import body_of

pytestmark = pytest.mark.stack


def test_a_process_answers_and_logs_json_and_needs_no_heavy_package(
    own_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with running(own_settings(drain_seconds=0.0), tmp_path) as service:
        for name in NAMES:
            status, _, answer = service.ask(f"/forecasts/{quote(name, safe='')}")
            assert (status, answer["series"]) == (200, name)
        assert service.ask("/forecasts/a/b")[2]["series"] == "a/b"
        assert service.ask("/predict", "POST", body_of(NAMES[:2]))[0] == 200
        assert service.ask("/models", key="wrong")[0] == 401
        assert service.stop() == -15  # as a process that does not handle the signal
    entries = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {"model loaded", "forecasts loaded", "request"} <= {entry["event"] for entry in entries}
    assert all("request_id" in entry for entry in entries if entry["event"] == "request")


def test_what_the_service_imports_is_light() -> None:
    code = "import sys, salesml_assets.serving.process, salesml_assets.serving.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pyspark", "dagster", "pandas", "scipy", "sklearn", "matplotlib"} & set(done.stdout.split())


def test_sigterm_drops_no_request(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    body = body_of(NAMES[:3])
    failures: list[str] = []
    answered = [0]

    def call(service: Service) -> None:
        """Asks as long as the service says that it is ready, as a load balancer does."""
        while service.is_ready():
            for _ in range(3):
                try:
                    status, _, _ = service.ask("/predict", "POST", body)
                except OSError as error:
                    failures.append(repr(error))
                    return
                if status != 200:
                    failures.append(str(status))
                answered[0] += 1

    with running(own_settings(drain_seconds=1.5), tmp_path) as service:
        callers = [threading.Thread(target=call, args=(service,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        time.sleep(1.0)
        before = answered[0]
        service.process.terminate()
        time.sleep(0.2)
        status, headers, problem = service.ask("/health/ready")
        assert (status, problem["title"], headers["connection"]) == (503, "Service Unavailable", "close")
        for caller in callers:
            caller.join(20)
        service.process.wait(20)
    assert failures == []
    assert answered[0] > before > 0


def test_several_workers_add_up_their_metrics_and_follow_the_model(
    own_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = own_settings(workers=2, drain_seconds=0.0)
    with running(settings, tmp_path) as service:
        lake = Lakehouse(settings.lake.root)
        version = latest_version(lake)
        assert version is not None
        for _ in range(20):
            assert service.ask("/forecasts/0012")[0] == 200
        text = service.ask("/metrics")[2]
        assert 'salesml_serving_requests_total{route="/forecasts/{series}",status="200"} 20.0' in text
        promote(settings, other_model(read_version(Files(settings.lake.root), version), 2))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = {service.ask("/health/ready")[2]["model_version"] for _ in range(12)}
            if found == {2}:
                break
        assert found == {2}
        assert service.stop() == 0
    assert "Traceback" not in service.log.read_text()


def test_without_a_key_the_service_does_not_listen_for_others(
    own_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="SALESML_API_KEY"), running(own_settings(host="0.0.0.0"), tmp_path, None):
        pass
