"""The retry policy in runs of a job: which steps are retried."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import dagster as dg

from salesml_assets.automation.retries import RetryAfterErrors


def run(instance: dg.DagsterInstance, what: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("retrain", op_retry_policy=RetryAfterErrors(max_retries=2, delay=0.01))
    defs = dg.Definitions(assets=[what], jobs=[job], executor=dg.in_process_executor)
    return defs.resolve_job_def("retrain").execute_in_process(instance=instance, raise_on_error=False)


def test_an_error_is_tried_again(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    tries = tmp_path / "tries"

    @dg.asset
    def flaky() -> None:
        with tries.open("a") as file:
            file.write("x")
        if len(tries.read_text()) < 3:
            raise RuntimeError("the store is away")

    assert run(instance, flaky).success
    assert tries.read_text() == "xxx"


def test_an_interrupt_is_not(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    tries = tmp_path / "tries"

    @dg.asset
    def stuck() -> None:
        with tries.open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    begun = time.monotonic()
    assert not run(instance, stuck).success
    assert tries.read_text() == "x"
    assert time.monotonic() - begun < 5
    (record,) = instance.get_runs()
    assert record.status in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
