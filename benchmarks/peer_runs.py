"""Runs the peers as processes of their own and reads what they found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import measure
from benchmarks.environment import PROJECT_PYTHON, PYTHON, ROOT

REFERENCE = "benchmarks.peers.reference_pipeline"
MLFORECAST = "benchmarks.peers.mlforecast_lightgbm"
# Threads that wait must not spin: it costs nothing on an idle machine, and minutes on a busy one.
THREADS_WAIT = {"OMP_WAIT_POLICY": "PASSIVE"}
NO_ROWS = "non empty"  # LightGBM's words when no training row is left


@dataclass(frozen=True)
class PeerRun:
    """What a run of a peer took and found.

    Attributes:
        measured: Wall time and memory.
        report: What the peer says about itself.
        forecasts: Forecasts of the mlforecast peer: `cutoff`, `unique_id`, `ds`, `yhat`; else None.
        note: What was changed to make it run.
    """

    measured: measure.Measured
    report: dict[str, Any]
    forecasts: pd.DataFrame | None = None
    note: str = ""


def reference(sales: Path, folder: Path, steps: str, memory: str, limit: float | None) -> PeerRun:
    """Runs steps of the reference pipeline on Spark, with the project's own Python and Java.

    Returns:
        The run; where the time limit ended it, `measured.timed_out` is true and the report holds what it had
        finished by then.
    """
    out = folder / "out"
    command = [PROJECT_PYTHON, "-m", REFERENCE, sales, out, "--steps", steps, "--memory", memory]
    home = java_home()
    measured = measure.run(command, folder / f"{steps.replace(',', '-')}.log", {"JAVA_HOME": home}, ROOT, limit)
    if not measured.timed_out:
        measured.require_success("the reference pipeline")
    report = out / "report.json"
    return PeerRun(measured, json.loads(report.read_text()) if report.is_file() else {})


def java_home() -> str:
    """The Java that this project would use: the reference pipeline gets the same one."""
    code = (
        "from salesml_assets.spark.java import use_java; from salesml_assets.spark.session import STATE; "
        "print(use_java(STATE / 'java'))"
    )
    found = measure.run([PROJECT_PYTHON, "-c", code], ROOT / ".salesml" / "java.log", folder=ROOT)
    found.require_success("the search for Java")
    return found.log.read_text().strip().splitlines()[-1]


def mlforecast(long: Path, folder: Path, cutoffs: list[str], horizon: int, objective: str, threads: int) -> PeerRun:
    """Runs mlforecast + LightGBM: one fit and one forecast for each cutoff.

    Its longest lag is 364 days and rows with a missing lag are dropped, so it cannot learn from a year of data
    or less: then it is run again with those rows kept (LightGBM knows missing values), which is noted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "forecasts.parquet"
    command = [PYTHON, "-m", MLFORECAST, long, out, "--horizon", str(horizon), "--cutoffs", ",".join(cutoffs)]
    command += ["--objective", objective, "--threads", str(threads)]
    measured = measure.run(command, folder / "run.log", THREADS_WAIT, ROOT)
    note = ""
    if measured.code and NO_ROWS in measured.log.read_text():
        note = "rows with missing lags kept: with its longest lag of 364 days no training row is left otherwise"
        measured = measure.run([*command, "--keep-missing"], folder / "run-keep-missing.log", THREADS_WAIT, ROOT)
    measured.require_success("mlforecast + LightGBM")
    report = json.loads(measured.log.read_text().strip().splitlines()[-1])
    return PeerRun(measured, report, pd.read_parquet(out), note)
