"""What the daemon would do, done in this process: real runs, which fail at once because the source has no dates."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, RAW_SALES, STARTED_BY_TAG
from salesml_assets.simulation.platform import DRIFT_RETRAIN, NEW_SALES, REFRESH, SCHEDULE, Platform

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


@pytest.fixture
def platform(spark: SparkSession, settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[Platform]:
    settings = settings_for(
        sales={"path": str(tmp_path / "sales"), "columns": {"date": "day"}, "first_month": "2024-01"},
        clock={"today": "2024-03-04"},
    )
    (tmp_path / "sales").mkdir()
    deliver(tmp_path, "2024-02")
    (location,) = WorkspaceFileTarget([str(WORKSPACE)]).create_origins()
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance:
        Lakehouse(settings.lake.root).write_arrow(pa.table({"x": [1]}), RAW_SALES, run_id="first")
        made = Platform(settings, instance, location, {}, lambda step: None)
        for name in (NEW_SALES, REFRESH):
            assert made.tick(name) == []
        yield made


def deliver(folder: Path, month: str) -> None:
    """A file that the sensor can read and the run cannot: it lacks the target."""
    file = folder / "sales" / f"{month}.parquet"
    pl.DataFrame({"day": [dt.date.fromisoformat(f"{month}-01")]}).write_parquet(file)
    os.utime(file, (0, 0))


def test_a_new_file_starts_one_run_and_its_key_no_other(platform: Platform, tmp_path: Path) -> None:
    before = platform.cursors[NEW_SALES]
    deliver(tmp_path, "2024-03")
    (run,) = platform.tick(NEW_SALES)
    assert (run.what, run.asked_by) == ("load_sales", NEW_SALES)
    assert run.failure is not None
    assert run.failure.startswith("raw_sales: ConfigurationError: sales.columns.product")
    assert platform.tick(NEW_SALES) == []
    platform.cursors[NEW_SALES] = before  # as if the daemon had been killed before it kept the cursor
    assert platform.tick(NEW_SALES) == []
    (kept,) = platform.instance.get_runs()
    assert kept.status == dg.DagsterRunStatus.FAILURE
    assert kept.tags["dagster/sensor_name"] == NEW_SALES


def test_a_drift_starts_one_retrain(platform: Platform) -> None:
    assert platform.tick(DRIFT_RETRAIN) == []
    week, learned_until = dt.date(2024, 2, 26), dt.date(2024, 2, 5)
    rows = pl.DataFrame({"kind": ["mix"], "drifted": [True], "week": [week], "learned_until": [learned_until]})
    Lakehouse(platform.settings.lake.root).write_arrow(rows.to_arrow(), DRIFT_REPORT)
    (run,) = platform.until_quiet(DRIFT_RETRAIN)
    assert run.what == "retrain"
    assert run.reason.startswith("drift of mix in the week from 2024-02-26")
    (kept,) = platform.instance.get_runs()
    assert kept.tags[STARTED_BY_TAG] == run.reason


def test_the_schedule_asks_for_a_retrain(platform: Platform) -> None:
    (run,) = platform.scheduled()
    assert (run.what, run.asked_by, run.reason) == ("retrain", SCHEDULE, "")
    (kept,) = platform.instance.get_runs()
    assert kept.tags["dagster/schedule_name"] == SCHEDULE
    assert kept.job_name == "retrain"
