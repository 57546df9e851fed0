"""What the report takes from the lake and from Dagster's checks: nothing of another lake on the same instance."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from salesml_assets.assets.report import latest_checks, started_by
from salesml_assets.config.settings import LakeSettings, Settings
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import DRIFT_WEEK_TAG, PRODUCTION_MODEL, RAW_SALES, SALES, SOURCE_FILE, STARTED_BY_TAG
from salesml_assets.reporting.results import source_facts
from salesml_assets.resources.files import FileStore

ROWS = pa.table({"x": [1]})


@dg.job
def job() -> None:
    """Runs of this job write tables; none is executed here."""


def run(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> str:
    return instance.create_run_for_job(job, tags=tags).run_id


def evaluate(instance: dg.DagsterInstance, run_id: str, passed: bool) -> None:
    """A result of the check `freshness` of the table `sales`, as a run's step reports it."""
    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
    from dagster._core.events import DagsterEvent, DagsterEventType

    found = AssetCheckEvaluation(dg.AssetKey(SALES), "freshness", passed, {}, severity=dg.AssetCheckSeverity.WARN)
    kind = DagsterEventType.ASSET_CHECK_EVALUATION.value
    instance.report_dagster_event(
        DagsterEvent(kind, job.name, step_key="check_sales", event_specific_data=found), run_id
    )


class Shop:
    """A lake of its own on a shared instance."""

    def __init__(self, instance: dg.DagsterInstance, root: Path) -> None:
        self.instance = instance
        self.settings = Settings(lake=LakeSettings(root=str(root)))
        self.lake, self.files = Lakehouse(str(root)), FileStore(root=str(root))

    def load(self, left_out: int, tags: dict[str, str] | None = None) -> str:
        run_id = run(self.instance, tags)
        for name in (RAW_SALES, SALES, PRODUCTION_MODEL):
            self.lake.write_arrow(ROWS, name, run_id=run_id)
        self.files.write(json.dumps({"left_out": left_out, "rules": {}}), RAW_SALES, run_id, SOURCE_FILE)
        return run_id

    def passed(self, run_id: str) -> list[bool]:
        return latest_checks(self.instance, self.lake, self.settings, run_id)["passed"].tolist()


def test_facts_are_those_of_the_lake(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    one, other = (Shop(instance, tmp_path / name) for name in ("one", "other"))
    drift = {STARTED_BY_TAG: "drift of mix", DRIFT_WEEK_TAG: "2024-01-07"}
    one.load(9)
    written = one.load(7, drift)
    with pytest.raises(LakeError, match="no table 'raw_sales'"):
        source_facts(other.lake, other.files)
    other.load(5, {STARTED_BY_TAG: "the command line"})
    assert source_facts(one.lake, one.files) == {"left_out": 7, "rules": {}}
    assert source_facts(other.lake, other.files) == {"left_out": 5, "rules": {}}
    assert started_by(instance, one.lake) == "drift of mix"
    assert started_by(instance, other.lake) is None
    one.lake.write_arrow(ROWS, PRODUCTION_MODEL)  # a version chosen by hand
    assert started_by(instance, one.lake) is None
    Path(one.files.path(RAW_SALES, written, SOURCE_FILE)).unlink()  # an earlier release wrote none
    assert source_facts(one.lake, one.files) == {}


def test_checks_are_those_of_the_lake_or_of_the_run(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    one, other = (Shop(instance, tmp_path / name) for name in ("one", "other"))
    present = run(instance)
    first, second = one.load(0), other.load(0)
    assert one.passed(present) == []
    evaluate(instance, first, passed=True)
    evaluate(instance, second, passed=False)  # the newer one
    assert one.passed(present) == [True]
    assert other.passed(present) == [False]
    evaluate(instance, run(instance), passed=False)  # a run that wrote no table of either
    assert one.passed(present) == [True]
    evaluate(instance, present, passed=False)
    assert one.passed(present) == [False]
    assert one.passed(first) == [True]
