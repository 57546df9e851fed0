"""The stack from nothing to a retrain after drift: sales in a bucket, runs on the cluster, registry, service, alerts.

The tests follow one another: each goes on where the one before ended.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

import polars as pl
import pytest

from salesml_assets_tests.stack import shop
from salesml_assets_tests.stack.compose import Stack, stand_in, wait_for
from salesml_assets_tests.stack.lake_state import (
    check_conserved,
    cluster_results,
    lake_state,
    local_results,
    retrain,
)
from salesml_assets_tests.stack.ports import LISTENERS, is_internal, listening, networks, published
from salesml_assets_tests.stack.test_dashboards import FILES, queries

pytestmark = [pytest.mark.container, pytest.mark.timeout(1500), pytest.mark.xdist_group("stack")]


def tell(text: str) -> None:
    """A line for the log of the test run."""
    print(text, file=sys.__stderr__, flush=True)


def deliver(stack: Stack, name: str, rows: pl.DataFrame) -> None:
    """Puts a file of sales into the bucket."""
    with stack.bucket() as client:
        client.put_object(Bucket="sales", Key=f"shop/{name}.parquet", Body=shop.parquet(rows))


@pytest.fixture(scope="module")
def first(stack: Stack) -> dict[str, Any]:
    """The first retrain, queued through Dagster's API."""
    deliver(stack, "2011-10", shop.between(shop.sales(), None, shop.FIRST))
    since = time.monotonic()
    run_id = retrain(stack)
    status = stack.wait_run(run_id, 1200)
    assert status == "SUCCESS", stack.failures(run_id)
    tell(f"first retrain: {time.monotonic() - since:.0f} s from the request to its end")
    return {"run_id": run_id}


def test_the_whole_graph_ran_on_both_workers(stack: Stack, first: dict[str, Any]) -> None:
    found = lake_state(stack)
    check_conserved(found, len(shop.between(shop.sales(), None, shop.FIRST)))
    assert found.versions["production_model"] == 0
    state = json.loads(
        stack.compose("exec", "-T", "spark-master", "python", "-c",
                      "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/json/').read().decode())")
    )  # fmt: skip
    assert [worker["state"] for worker in state["workers"]] == ["ALIVE", "ALIVE"]
    done = state["completedapps"]
    assert done, "no application ran on the cluster"
    for worker in stack.containers("spark-worker"):
        assert "Asked to launch executor" in stack.docker("logs", worker) + stack.compose("logs", "spark-worker")


def test_one_machine_has_the_same_results(stack: Stack, first: dict[str, Any]) -> None:
    since = time.monotonic()
    cluster, local = cluster_results(stack), local_results(stack)
    tell(f"the same on one machine: {time.monotonic() - since:.0f} s")
    keys = [name for name in cluster["metrics"].columns if name not in ("value", "run_id")]
    pairs = cluster["metrics"].join(local["metrics"], on=keys, how="full", nulls_equal=True, coalesce=True)
    assert len(pairs) == len(cluster["metrics"]) == len(local["metrics"]) > 100
    far = pairs.filter(~_close("value", 1e-6))
    assert far.is_empty(), far
    days = cluster["forecasts"].join(local["forecasts"], on=["unique_id", "ds"])
    assert len(days) == len(cluster["forecasts"]) == len(local["forecasts"])
    far = days.filter(~_close("yhat", 1e-3))
    assert far.is_empty(), far
    tell(f"equal: {len(pairs):,} metrics to 1e-6, {len(days):,} forecasts to 0.1 %, exactly: {_same(pairs, 'value')} "
         f"and {_same(days, 'yhat')}")  # fmt: skip


def _close(column: str, tolerance: float) -> pl.Expr:
    left, right = pl.col(column), pl.col(f"{column}_right")
    near = (left - right).abs() <= tolerance * pl.max_horizontal(left.abs(), right.abs(), 1e-9)
    return left.eq_missing(right) | near.fill_null(False)


def _same(rows: pl.DataFrame, column: str) -> int:
    return len(rows.filter(pl.col(column).eq_missing(pl.col(f"{column}_right"))))


def test_nothing_else_listens_and_only_loopback_is_published(stack: Stack, first: dict[str, Any]) -> None:
    for service, expected in LISTENERS.items():
        ports = expected - ({9001} if service == "minio" and stand_in("minio") else set())
        for container in stack.containers(service):
            assert listening(stack.pid(container)) == ports, service
            where = published(stack, container)
            assert {address for addresses in where.values() for address in addresses} <= {"127.0.0.1"}, service
            leads_out = bool(where) or service in ("code", "daemon")
            assert networks(stack, container) == ({"back", "front"} if leads_out else {"back"}), service
    assert is_internal(stack, "back")


def test_what_runs_print_is_in_the_bucket(stack: Stack, first: dict[str, Any]) -> None:
    def logs() -> list[str]:
        with stack.bucket() as client:
            listed = client.list_objects_v2(Bucket="logs", Prefix=f"compute-logs/storage/{first['run_id']}/")
        return [entry["Key"] for entry in listed.get("Contents", [])]

    assert wait_for("compute logs", logs, 60)


def test_the_model_is_registered(stack: Stack, first: dict[str, Any]) -> None:
    found = stack.get("MLFLOW_PORT", "/api/2.0/mlflow/registered-models/get?name=salesml")["registered_model"]
    assert {alias["alias"]: alias["version"] for alias in found["aliases"]} == {"champion": "1"}


def test_both_replicas_serve_it(stack: Stack, first: dict[str, Any]) -> None:
    for replica in stack.containers("serving"):
        told = wait_for(
            "a ready replica",
            lambda replica=replica: stack.docker(
                "exec", replica, "python", "-c",
                "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/health/ready').read().decode())",
                check=False,
            ),
            60,
        )  # fmt: skip
        assert told
    page = wait_for("forecasts", lambda: stack.predictions("/forecasts?limit=2"), 30)
    assert len(page["items"]) == 2


def test_prometheus_scrapes_everything(stack: Stack, first: dict[str, Any]) -> None:
    def all_up() -> bool:
        up = {(row["metric"]["job"], row["metric"]["instance"]): row["value"][1] for row in stack.query("up")}
        jobs = sorted(job for job, _ in up)
        expected = ["alertmanager", "minio", "prometheus", "proxy", "salesml", "salesml-serving", "salesml-serving",
                    "spark-master", "spark-worker", "spark-worker"]  # fmt: skip
        assert jobs == expected, jobs
        down = {job for (job, _), value in up.items() if value != "1"}
        assert down == ({"minio"} if stand_in("minio") else set()), up
        return True

    assert wait_for("all targets", all_up, 120, 5)
    assert wait_for("the version", lambda: stack.query("salesml_production_model_version"), 60)[0]["value"][1] == "1"


def test_an_alert_fires_and_its_mail_arrives(stack: Stack, first: dict[str, Any]) -> None:
    stack.compose("stop", "serving")
    try:
        fired = wait_for(
            "the mail of the alert",
            lambda: [mail for mail in stack.mails() if "SalesmlServingDown" in mail["Subject"]],
            300,
            5,
        )
    finally:
        stack.up("serving", "predictions")
    assert [to["Address"] for to in fired[0]["To"]] == ["operators@salesml.example"]
    assert "FIRING" in fired[0]["Subject"]
    wait_for("the service after its restart", lambda: stack.predictions("/forecasts?limit=1"), 60)


def test_drift_starts_one_retrain(stack: Stack, first: dict[str, Any]) -> None:
    rows = shop.between(shop.sales(), shop.FIRST.replace(day=31), shop.DRIFTED)
    since = time.monotonic()
    deliver(stack, "2011-11", shop.drifted(rows))

    def retrains() -> list[dict[str, Any]]:
        return [run for run in stack.runs("retrain") if run["runId"] != first["run_id"]]

    run = wait_for("a retrain", retrains, 900, 5)[0]
    tell(f"drift: retrain requested {time.monotonic() - since:.0f} s after the delivery")
    assert run["tags"]["dagster/sensor_name"] == "drift_retrain"
    assert stack.wait_run(run["runId"], 900) == "SUCCESS", stack.failures(run["runId"])
    tell(f"drift: retrained {time.monotonic() - since:.0f} s after the delivery")
    # The refresh after the retrain finds no drift that the new model has not seen: there is no second one.
    wait_for("an empty queue", lambda: all(run["status"] in ("SUCCESS", "FAILURE") for run in stack.runs()), 600, 10)
    time.sleep(90)
    assert len(retrains()) == 1
    assert {run["status"] for run in stack.runs()} == {"SUCCESS"}
    found = lake_state(stack)
    check_conserved(found, len(shop.between(shop.sales(), None, shop.DRIFTED)))
    assert len(found.models) == 2


def test_every_query_of_dashboards_and_alerts_returns_data(stack: Stack, first: dict[str, Any]) -> None:
    dashboards = [json.loads(file.read_text(encoding="utf-8")) for file in FILES]
    for dashboard in dashboards:
        for title, expression in queries(dashboard):
            if "minio_" in expression and stand_in("minio"):
                tell(f"not asked, {stand_in('minio')} has no such metrics: {expression}")
                continue
            assert wait_for(f"{title}: {expression}", lambda expression=expression: stack.query(expression), 60)
    groups = stack.get("PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    # An alert's expression has no data while all is well, but every metric in it has.
    for name in {name for rule in rules for name in re.findall(r"salesml_\w+", rule["query"])}:
        assert stack.query(name), name
