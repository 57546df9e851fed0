"""Faults in the running stack. After each: recovery, or a clear failure and a successful next run; nothing is lost.

SALESML_STACK_REPEATS says how often each fault is injected (default 1).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import urllib.error
from collections.abc import Iterator

import pytest
import yaml

from salesml_assets_tests.stack import shop
from salesml_assets_tests.stack.compose import PROJECT, ROOT, Stack, wait_for
from salesml_assets_tests.stack.lake_state import LakeState, check_conserved, lake_state, retrain
from salesml_assets_tests.stack.test_story import deliver, tell

REPEATS = int(os.environ.get("SALESML_STACK_REPEATS", "1"))
pytestmark = [pytest.mark.container, pytest.mark.timeout(1800)]
repeated = pytest.mark.parametrize("attempt", range(REPEATS))


@pytest.fixture(scope="module")
def calm(stack: Stack) -> LakeState:
    """A trained stack whose sensors are switched off: only these tests start runs. The state after a run."""
    if not any(run["status"] == "SUCCESS" for run in stack.runs("retrain")):
        deliver(stack, "2011-10", shop.between(shop.sales(), None, shop.FIRST))
        run_id = retrain(stack)
        assert stack.wait_run(run_id) == "SUCCESS", stack.failures(run_id)
    with stack.bucket() as client:
        client.delete_object(Bucket="sales", Key="shop/2011-11.parquet")
    for sensor in ("new_sales", "refresh", "drift_retrain"):
        stack.switch_off(sensor)
    wait_for("an empty queue", lambda: not unfinished(stack), 900, 5)
    run_id = retrain(stack)
    assert stack.wait_run(run_id) == "SUCCESS", stack.failures(run_id)
    return lake_state(stack)


def unfinished(stack: Stack) -> list[str]:
    return [run["runId"] for run in stack.runs() if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED")]


def kill(stack: Stack, container: str) -> None:
    """Kills a container's first process from outside, as a crash or the kernel does: the restart policy applies."""
    os.kill(stack.pid(container), signal.SIGKILL)


def wait_step(stack: Stack, run_id: str, step: str, seconds: float = 600) -> None:
    """Waits until a step of a run has started."""
    query = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { status stepStats { stepKey status } } } }"""

    def started() -> bool:
        run = stack.graphql(query, id=run_id)["runOrError"]
        assert run["status"] != "FAILURE", stack.failures(run_id)
        return any(each["stepKey"] == step and each["status"] for each in run["stepStats"])

    wait_for(f"step {step}", started, seconds, 0.5)


def settled(stack: Stack, run_id: str, before: LakeState, seconds: float = 1200) -> str:
    """Waits until the run, its retries and, if they failed, one more run have ended; checks the lake; what happened."""
    status = stack.wait_run(run_id, seconds)
    wait_for("the retries", lambda: not unfinished(stack), seconds, 5)
    told = status.lower()
    last = stack.runs("retrain")[0]
    if last["runId"] != run_id:
        told += f", run again: {last['status'].lower()}"
    if last["status"] != "SUCCESS":
        reason = stack.failures(last["runId"])
        assert "message" in reason
        told += f" ({reason[:300]})"
        again = retrain(stack)
        assert stack.wait_run(again, seconds) == "SUCCESS", stack.failures(again)
        told += ", next run: success"
    after = lake_state(stack)
    check_conserved(after, before.rows["raw_sales"])
    assert after.rows["forecasts"] == before.rows["forecasts"]
    assert after.wape == pytest.approx(before.wape, rel=1e-6)
    # The same sales, the same seed: no model is better beyond chance than the same recipe before.
    assert after.models[-1][1] == before.models[-1][1]
    return told


@repeated
def test_a_worker_dies_in_the_middle_of_training(stack: Stack, calm: LakeState, attempt: int) -> None:
    run_id = retrain(stack)
    wait_step(stack, run_id, "random_forest")
    kill(stack, stack.containers("spark-worker")[attempt % 2])
    tell(f"worker killed: {settled(stack, run_id, calm)}")
    wait_for("both workers", lambda: len(stack.containers("spark-worker")) == 2, 120)


@repeated
def test_the_store_is_away_for_half_a_minute_during_a_write(stack: Stack, calm: LakeState, attempt: int) -> None:
    run_id = retrain(stack)
    wait_step(stack, run_id, ("sales_series", "features", "panel")[attempt % 3])
    stack.compose("stop", "--timeout", "1", "minio")
    time.sleep(30)
    stack.compose("start", "minio")
    tell(f"store away: {settled(stack, run_id, calm)}")


@repeated
def test_the_disk_is_full_below_the_lake(stack: Stack, calm: LakeState, attempt: int) -> None:
    """The store's disk fills while a run writes; with room again, the next run succeeds."""
    run_id = retrain(stack)
    wait_step(stack, run_id, ("sales_series", "panel", "raw_sales")[attempt % 3])
    filler = stack.disk / "filler"
    try:
        with filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(stack.disk).free - 4096 * (attempt + 1))
        status = stack.wait_run(run_id)
        wait_for("the retries", lambda: not unfinished(stack), 600, 5)
        assert status == "FAILURE"
        reason = stack.failures(run_id)
        tell(f"disk full: {reason[:600]}")
    finally:
        filler.unlink()
    tell(f"disk full: {settled(stack, run_id, calm)}")


@repeated
def test_the_database_restarts_during_a_run(stack: Stack, calm: LakeState, attempt: int) -> None:
    run_id = retrain(stack)
    wait_step(stack, run_id, ("panel", "xgboost", "sales")[attempt % 3])
    stack.compose("restart", "postgres")
    wait_for("Dagster", lambda: stack.status(run_id), 120)
    tell(f"database restarted: {settled(stack, run_id, calm)}")


@repeated
def test_webserver_and_daemon_restart_and_the_run_goes_on(stack: Stack, calm: LakeState, attempt: int) -> None:
    run_id = retrain(stack)
    wait_step(stack, run_id, "panel")
    for service in ("webserver", "daemon"):
        kill(stack, stack.containers(service)[0])
    wait_for("the webserver", lambda: stack.status(run_id), 180)
    assert stack.wait_run(run_id) == "SUCCESS"
    tell(f"webserver and daemon killed: {settled(stack, run_id, calm)}")


@repeated
def test_the_code_server_dies_and_the_run_is_made_again(stack: Stack, calm: LakeState, attempt: int) -> None:
    run_id = retrain(stack)
    wait_step(stack, run_id, "random_forest")
    kill(stack, stack.containers("code")[0])
    wait_for("the code server", lambda: stack.containers("code"), 120)
    told = settled(stack, run_id, calm)
    tell(f"code server killed: {told}")
    assert "run again: success" in told


@repeated
def test_the_registry_is_away_during_a_promotion(stack: Stack, calm: LakeState, attempt: int) -> None:
    stack.compose("stop", "mlflow")
    try:
        run_id = retrain(stack)
        told = settled(stack, run_id, calm)
        assert told == "success"
    finally:
        stack.up("mlflow")
    run_id = retrain(stack)
    assert stack.wait_run(run_id) == "SUCCESS"
    found = stack.get("MLFLOW_PORT", "/api/2.0/mlflow/registered-models/get?name=salesml")["registered_model"]
    champion = next(alias["version"] for alias in found["aliases"] if alias["alias"] == "champion")
    path = f"/api/2.0/mlflow/model-versions/get?name=salesml&version={champion}"
    tags = {tag["key"]: tag["value"] for tag in stack.get("MLFLOW_PORT", path)["model_version"]["tags"]}
    assert tags["salesml.bundle"] == lake_state(stack).models[-1][2]
    tell(f"registry away: {told}, and caught up")


@repeated
def test_a_replica_dies_under_load_and_no_request_fails(stack: Stack, calm: LakeState, attempt: int) -> None:
    page = json.dumps(stack.predictions("/forecasts?limit=1&horizon=1"))
    assert page
    failures: list[str] = []
    answered, stop = [0], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                stack.predictions("/forecasts?limit=3&horizon=7")
                answered[0] += 1
            except (urllib.error.URLError, OSError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    kill(stack, stack.containers("serving")[attempt % 2])
    time.sleep(20)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert answered[0] > 100
    assert failures == []
    tell(f"replica killed under load: {answered[0]} answers, none failed")
    wait_for("both replicas", lambda: len(stack.containers("serving")) == 2, 120)


REFUSING = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend refusing
  bind :9000
  acl unlucky rand(100) lt 5
  http-request return status 503 content-type application/xml string "<Error><Code>SlowDown</Code></Error>" if unlucky
  default_backend store
backend store
  server minio minio:9000
"""


@pytest.fixture
def refusing_store(stack: Stack) -> Iterator[str]:
    """The address of a store that refuses one request in twenty, between the platform and MinIO."""
    config, name = stack.env_file.parent / "refusing.cfg", f"{PROJECT}-refusing"
    config.write_text(REFUSING, encoding="utf-8")
    config.chmod(0o644)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    network = ("--network", f"{PROJECT}_back", "--network-alias", "refusing")
    image = services["predictions"]["image"]
    mount = ("--volume", f"{config}:/h.cfg:ro")
    stack.docker("run", "--detach", "--rm", "--name", name, *network, *mount, image, "-f", "/h.cfg")
    try:
        yield "http://refusing:9000"
    finally:
        stack.docker("rm", "--force", name)


@repeated
def test_one_request_in_twenty_is_refused_for_a_whole_run(
    stack: Stack, calm: LakeState, refusing_store: str, attempt: int
) -> None:
    stack.set(S3_ENDPOINT=refusing_store)
    try:
        run_id = retrain(stack)
        status = stack.wait_run(run_id)
        tell(f"5 % refused: {status.lower()} {'' if status == 'SUCCESS' else stack.failures(run_id)[:300]}")
    finally:
        stack.set(S3_ENDPOINT="http://minio:9000")
    tell(f"5 % refused: {settled(stack, run_id, calm)}")
