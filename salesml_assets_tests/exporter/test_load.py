"""A thousand runs: the numbers are right, the scrape is quick, and there are no more series than with one run."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable

from salesml_assets.exporter.runs import BOUNDS
from salesml_assets_tests.exporter.conftest import dagster_instance, exporting, value
from salesml_assets_tests.exporter.platform import run

RUNS = 1_000


def multiply(instance: dg.DagsterInstance, durations: np.ndarray, statuses: np.ndarray) -> None:
    """Copies the one run there is, with other ids, times and statuses."""
    with instance.run_storage.connect() as connection:
        original = dict(connection.execute(sa.select(RunsTable)).mappings().one())
        rows = []
        for number, (seconds, status) in enumerate(zip(durations, statuses, strict=True)):
            start = original["start_time"] + number
            own = {"run_id": str(uuid.uuid4()), "status": str(status), "partition": f"2011-{number}"}
            rows.append(original | own | {"id": None, "start_time": start, "end_time": start + float(seconds)})
        connection.execute(sa.insert(RunsTable), rows)


def test_a_thousand_runs(tmp_path: Path, workspace: Path):
    random = np.random.default_rng(1)
    durations = np.exp(random.normal(5, 2, RUNS))
    statuses = random.choice(["SUCCESS", "FAILURE", "CANCELED"], RUNS)
    with (
        dagster_instance(tmp_path / "dagster") as instance,
        exporting(instance, tmp_path / "lake", workspace) as look,
    ):
        run(instance)
        one = look()
        multiply(instance, durations, statuses)
        seconds = []
        for _ in range(5):
            started = time.monotonic()
            found = look()
            seconds.append(time.monotonic() - started)
    assert min(seconds) < 0.5

    failed = durations[statuses == "FAILURE"]
    labels = {"dagster_job": "retrain", "status": "failure"}
    assert value(found, "salesml_runs_finished_total", **labels) == len(failed)
    assert value(found, "salesml_run_duration_seconds_count", **labels) == len(failed)
    # Unix times are doubles: differences are exact to a microsecond.
    assert value(found, "salesml_run_duration_seconds_sum", **labels) == pytest.approx(failed.sum())
    for bound in BOUNDS:
        counted = value(found, "salesml_run_duration_seconds_bucket", **labels, le=str(bound))
        assert counted == (failed <= bound).sum()
    assert value(found, "salesml_runs", dagster_job="retrain", status="success") == (statuses == "SUCCESS").sum() + 1

    by_status = {"status", "le"}
    for name, series in found.items():
        assert {_without(key, by_status) for key in series} == {_without(key, by_status) for key in one[name]}, name


def _without(labels: tuple[tuple[str, str], ...], names: set[str]) -> tuple[tuple[str, str], ...]:
    return tuple(label for label in labels if label[0] not in names)
