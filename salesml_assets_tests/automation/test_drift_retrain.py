"""The sensor of drift on a real instance, week by week, with runs of the real job in its history."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from salesml_assets.automation.drift_retrain import drift_sensor
from salesml_assets.automation.jobs import RETRAIN_JOB
from salesml_assets.config.settings import LakeSettings, Settings
from salesml_assets.drift.parameters import KINDS
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, DRIFT_WEEK_TAG, PRODUCTION_MODEL, STARTED_BY_TAG

SETTINGS = Settings.model_validate(
    {"sales": {"first_month": "2024-01"}, "clock": {"today": "2024-06-15"}, "drift": {"cool_down_weeks": 3}}
)
START = dt.date(2024, 1, 7)


def day(number: int) -> dt.date:
    return START + dt.timedelta(weeks=number)


def week(number: int) -> str:
    return str(day(number))


class Platform:
    """What the assets leave in the lake, and the run queue in the instance.

    A lake is made again, without its tables.
    """

    def __init__(self, instance: dg.DagsterInstance, lake: Path) -> None:
        shutil.rmtree(lake, ignore_errors=True)
        self.instance, self.lake = instance, Lakehouse(str(lake))
        self.settings = SETTINGS.model_copy(update={"lake": LakeSettings(root=str(lake))})
        self.learned: list[int] = []

    def report(self, judged: int, drifted: str = "none") -> None:
        tests = [(kind, number == 1 and kind in drifted) for kind in KINDS for number in range(2)]
        rows = pl.DataFrame(tests, schema=["kind", "drifted"], orient="row")
        dated = rows.with_columns(week=pl.lit(day(judged)), learned_until=pl.lit(day(self.learned[-1])))
        self.lake.write_arrow(dated.to_arrow(), DRIFT_REPORT, run_id="a refresh")

    def retrain(self, status: dg.DagsterRunStatus, learned: int | None = None, tags: Any = None) -> None:
        run = self.instance.create_run_for_job(job, tags=tags)
        if learned is not None:
            self.learned.append(learned)
            versions = {"version": range(1, len(self.learned) + 1), "cutoff": [day(number) for number in self.learned]}
            self.lake.write_arrow(pl.DataFrame(versions).to_arrow(), PRODUCTION_MODEL, run_id=run.run_id)
        if status == dg.DagsterRunStatus.SUCCESS:
            self.instance.report_dagster_event(_ended(run, dg.DagsterEventType.RUN_SUCCESS), run.run_id)
        elif status == dg.DagsterRunStatus.FAILURE:
            self.instance.report_run_failed(run)

    def tick(self, cursor: str | None = None) -> dg.RunRequest | str:
        """By default without a cursor, as of a daemon that is started for the first time."""
        with dg.build_sensor_context(self.instance, cursor=cursor) as context:
            result = drift_sensor(self.settings).evaluate_tick(context)
        self.cursor = result.cursor
        return result.run_requests[0] if result.run_requests else str(result.skip_message)


def _ended(run: dg.DagsterRun, kind: dg.DagsterEventType) -> Any:
    from dagster._core.events import DagsterEvent

    return DagsterEvent(kind.value, run.job_name)


@dg.job(name=RETRAIN_JOB)
def job() -> None:
    """Runs of this job stand in the history; none is executed here."""


@pytest.fixture
def platform(instance: dg.DagsterInstance, tmp_path: Path) -> Platform:
    return Platform(instance, tmp_path / "lake")


SUCCESS, FAILURE, QUEUED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.NOT_STARTED


def test_one_drift_is_one_retrain(platform: Platform) -> None:
    assert "not been measured" in str(platform.tick())
    platform.retrain(SUCCESS, learned=0)
    platform.report(0, "input")
    assert "no new weeks" in str(platform.tick()), "the model has just learned from that week"
    platform.report(1)
    assert "no drift" in str(platform.tick())
    platform.report(2, "target, mix")
    request = platform.tick()
    assert isinstance(request, dg.RunRequest)
    assert request.tags[DRIFT_WEEK_TAG] == week(2)
    assert "drift of target, mix in the week from 2024-01-21" in request.tags[STARTED_BY_TAG]
    assert request == platform.tick(), "asked again, it is the same run"
    platform.retrain(QUEUED, tags=request.tags)
    assert "a retrain runs" in str(platform.tick())


def test_after_a_retrain_the_same_drift_waits_for_the_cool_down(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    platform.report(1, "target")
    platform.retrain(SUCCESS, learned=1)
    platform.report(1, "target")
    assert "not been evaluated yet" in str(platform.tick())
    for number in (2, 3):
        platform.report(number, "target")
        assert "cool-down" in str(platform.tick())
    platform.report(4, "target")
    assert isinstance(platform.tick(), dg.RunRequest)


def test_a_drift_that_ended_lets_the_next_one_start_at_once(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    platform.report(1, "target")
    platform.retrain(SUCCESS, learned=1)
    platform.report(2)
    platform.report(3)
    assert "no drift" in str(platform.tick())
    platform.report(4, "mix")
    assert isinstance(platform.tick(), dg.RunRequest)


def test_a_retrain_that_fails_is_not_repeated_for_ever(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    started = 0
    for number in range(1, 20):
        platform.report(number, "target")
        request = platform.tick()
        if isinstance(request, dg.RunRequest):
            started += 1
            platform.retrain(FAILURE, tags=request.tags)
    assert started == SETTINGS.drift.attempts
    assert "no more are tried" in str(platform.tick())


def test_a_scheduled_retrain_that_failed_answers_no_drift(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    platform.report(1, "target")
    platform.retrain(FAILURE)
    assert isinstance(platform.tick(), dg.RunRequest)


def test_a_week_that_is_judged_again_counts_once(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    platform.report(1, "input")
    platform.report(1)
    assert "no drift" in str(platform.tick()), "corrected sales took the drift away"


@pytest.mark.parametrize("lake", ["another lake", "lake"])
def test_what_another_lake_saw_decides_nothing(instance: dg.DagsterInstance, tmp_path: Path, lake: str) -> None:
    """Another shop in the same instance, or a lake in the same place that was deleted since."""
    before = Platform(instance, tmp_path / lake)
    before.retrain(SUCCESS, learned=0)
    before.report(4, "target")
    before.retrain(SUCCESS, learned=4)
    before.report(9, "target")
    request = before.tick()
    assert isinstance(request, dg.RunRequest)
    for _ in range(SETTINGS.drift.attempts):
        before.retrain(FAILURE, tags=request.tags)
    assert "no more are tried" in str(before.tick())
    platform = Platform(instance, tmp_path / "lake")
    assert "not been measured" in str(platform.tick())
    platform.retrain(SUCCESS, learned=0)
    platform.report(1)
    assert "no drift" in str(platform.tick())
    platform.report(4, "target")
    request = platform.tick()
    assert isinstance(request, dg.RunRequest)
    assert "first on 2024-02-04, which no retrain has answered" in request.tags[STARTED_BY_TAG]


def test_the_same_drift_in_a_lake_made_again_is_another_run(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        platform = Platform(instance, tmp_path / "lake")
        platform.retrain(SUCCESS, learned=0)
        platform.report(1, "target")
        request = platform.tick()
        assert isinstance(request, dg.RunRequest)
        keys.add(request.run_key)
    assert len(keys) == 2


def test_reports_of_an_earlier_release_are_passed_over(platform: Platform) -> None:
    platform.lake.write_arrow(pl.DataFrame({"kind": ["mix"], "drifted": [True]}).to_arrow(), DRIFT_REPORT)
    assert "no new weeks" in str(platform.tick())
    platform.retrain(SUCCESS, learned=0)
    platform.report(1)
    assert "no drift" in str(platform.tick())


def test_what_was_read_of_another_lake_is_forgotten(platform: Platform, tmp_path: Path) -> None:
    platform.retrain(SUCCESS, learned=0)
    platform.report(1, "target")
    assert isinstance(platform.tick(), dg.RunRequest)
    assert platform.cursor
    assert isinstance(platform.tick(platform.cursor), dg.RunRequest)
    other = Platform(platform.instance, tmp_path / "another lake")
    other.retrain(SUCCESS, learned=0)
    other.report(1)
    assert "no drift" in str(other.tick(platform.cursor))


def test_an_evaluation_of_a_long_drift_is_quick(platform: Platform) -> None:
    platform.retrain(SUCCESS, learned=0)
    for number in range(100):
        platform.report(number, "target")
    request = platform.tick()
    started = time.monotonic()
    assert platform.tick(platform.cursor) == request
    assert time.monotonic() - started < 2
