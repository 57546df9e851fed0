"""A tiny platform for the exporter's tests: assets and checks that fail or wait on request, and the tables."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from deltalake import write_deltalake

FAIL = "EXPORTER_TEST_FAIL"  # the asset that fails
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MONTHS = dg.StaticPartitionsDefinition(["2011-01-01", "2011-02-01"])


class Gate:
    """Where an asset waits, so that a test can look at a run in progress."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.open.set()


GATE = Gate()


def _fail_if_told(name: str) -> None:
    if os.environ.get(FAIL) == name:
        raise RuntimeError(f"{name} fails on request")


@dg.asset
def raw_sales() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"dagster/row_count": 1000, "table bytes": 4096})


@dg.multi_asset(
    specs=[dg.AssetSpec("sales", deps=["raw_sales"]), dg.AssetSpec("quarantined_sales", deps=["raw_sales"])],
    check_specs=[dg.AssetCheckSpec("schema", asset="sales"), dg.AssetCheckSpec("volume", asset="sales")],
)
def sort_rows():
    GATE.reached.set()
    assert GATE.open.wait(30)
    _fail_if_told("sort_rows")
    yield dg.MaterializeResult("sales", metadata={"dagster/row_count": 900})
    yield dg.MaterializeResult("quarantined_sales", metadata={"dagster/row_count": 100})
    failed = os.environ.get(FAIL) == "schema"
    yield dg.AssetCheckResult(asset_key="sales", check_name="schema", passed=not failed)
    yield dg.AssetCheckResult(asset_key="sales", check_name="volume", passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(deps=["sales"])
def report() -> dg.MaterializeResult:
    _fail_if_told("report")
    return dg.MaterializeResult(metadata={"peak memory bytes": 2_000_000_000, "cpu seconds": 12.5, "figure": "x" * 100})


@dg.asset(partitions_def=MONTHS)
def monthly() -> None:
    pass


defs = dg.Definitions(
    assets=[raw_sales, sort_rows, report, monthly],
    jobs=[
        dg.define_asset_job("retrain", ["raw_sales", "sales", "quarantined_sales", "report"]),
        dg.define_asset_job("load_month", ["monthly"]),
    ],
    executor=dg.in_process_executor,
)


def run(instance: dg.DagsterInstance, job: str = "retrain", partition: str | None = None) -> dg.ExecuteInProcessResult:
    """Runs a job in this process, to its end or failure."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, partition_key=partition, run_config=QUIET
    )


def enqueue(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Puts a run of `retrain` into the queue; no daemon takes it out."""
    target = LoadableTargetOrigin(python_file=__file__, attribute="defs")
    repository = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target), "__repository__")
    return instance.create_run_for_job(
        defs.resolve_job_def("retrain"),
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=RemoteJobOrigin(repository, "retrain"),
        job_code_origin=JobPythonOrigin(
            "retrain", RepositoryPythonOrigin("python", ModuleCodePointer(__name__, "defs"))
        ),
    )


def write(lake: Path, name: str, rows: list[dict[str, Any]], mode: str = "overwrite") -> None:
    """Writes a Delta table."""
    write_deltalake(str(lake / name), pd.DataFrame(rows), mode=mode)


def drift_rows(day: dt.date, kinds: dict[str, list[tuple[float, float | None, bool]]]) -> list[dict[str, Any]]:
    """Rows of `drift_report`: for each kind the effect, the least effect, and whether it drifted."""
    return [
        {
            "evaluated_at": day, "kind": kind, "test": "psi", "subject": f"s{number}", "statistic": 1.0,
            "effect": effect, "min_effect": least, "p_value": 0.5, "p_adjusted": 0.6, "drifted": drifted,
            "model_version": 3,
        }
        for kind, tests in kinds.items()
        for number, (effect, least, drifted) in enumerate(tests)
    ]  # fmt: skip


def accuracy_row(week: dt.date, bucket: str, wape: float, volume: float, **values: Any) -> dict[str, Any]:
    """A row of `forecast_accuracy`."""
    row = {"model_version": 3, "week": week, "horizon_bucket": bucket, "wape": wape, "bias": 0.0, "rows": 70}
    return row | {"volume": volume, "baseline_wape": 0.5, "change": 0.2} | values


def model_row(version: int, trained_at: dt.datetime, winner: str = "xgboost") -> dict[str, Any]:
    """A row of `production_model`."""
    return {
        "version": version, "algorithm": "xgboost", "parameters": "{}", "path": f"models/{version}",
        "cutoff": dt.date(2011, 12, 1), "trained_at": trained_at, "decision": json.dumps({"winner": winner}),
        "lake_versions": "{}", "settings": "{}",
    }  # fmt: skip


def comparison_row(algorithm: str, value: float, dimension: str = "total", segment: str = "all") -> dict[str, Any]:
    """A row of `model_comparison`."""
    return {"algorithm": algorithm, "dimension": dimension, "segment": segment, "metric": "wape", "value": value}
