"""Runs, steps, assets, checks and daemons: scraped from a real instance on which real jobs ran."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from salesml_assets_tests.exporter.conftest import Scrape, dagster_instance, empty_workspace, exporting, value
from salesml_assets_tests.exporter.platform import FAIL, GATE, enqueue, run

RETRAIN = {"dagster_job": "retrain"}


class Story:
    """A platform's first runs, scraped after each: what the tests look at."""

    def __init__(self, folder: Path) -> None:
        with (
            dagster_instance(folder / "dagster") as instance,
            exporting(instance, folder / "lake", empty_workspace(folder)) as look,
            pytest.MonkeyPatch.context() as environment,
        ):
            self.began = time.time()
            self.required_daemons = set(instance.get_required_daemon_types())
            self.empty = look()
            done = run(instance)
            self.success = look()
            self.record = instance.get_run_records()[0]
            self.steps = instance.get_run_step_stats(done.run_id)
            environment.setenv(FAIL, "sort_rows")
            run(instance)
            self.failure = look()
            environment.setenv(FAIL, "schema")
            run(instance)
            self.failed_check = look()
            environment.delenv(FAIL)
            self.progress = self._in_progress(instance, look)
            self.after = look()
            _observe(instance)
            self.queued = self._queue(instance, look)
            instance.wipe_assets([dg.AssetKey("sales")])
            self.wiped = look()
            run(instance, "load_month", "2011-01-01")
            self.one_month = look()
            run(instance, "load_month", "2011-02-01")
            self.two_months = look()
            self.abandoned = self._in_progress(instance, look, abandon=True)

    def _in_progress(self, instance: dg.DagsterInstance, look: Callable[[], Scrape], abandon: bool = False) -> Scrape:
        GATE.open.clear()
        GATE.reached.clear()
        worker = threading.Thread(target=run, args=(instance,))
        worker.start()
        try:
            assert GATE.reached.wait(30)
            if abandon:
                # As Dagster does when the process of a run is gone.
                instance.report_run_failed(instance.get_runs(limit=1)[0])
            time.sleep(0.1)
            return look()
        finally:
            GATE.open.set()
            worker.join(30)

    def _queue(self, instance: dg.DagsterInstance, look: Callable[[], Scrape]) -> Scrape:
        enqueue(instance)
        # It fails before it has started.
        instance.report_run_failed(enqueue(instance))
        time.sleep(0.1)
        return look()


def _observe(instance: dg.DagsterInstance) -> None:
    """An observation, a missed freshness policy, and heartbeats of two daemons."""
    instance.report_runless_asset_event(dg.AssetObservation("raw_sales"))
    instance._report_runless_asset_event(
        FreshnessStateChange(
            key=dg.AssetKey("sales"),
            new_state=FreshnessState.FAIL,
            previous_state=FreshnessState.PASS,
            state_change_timestamp=time.time(),
        )
    )
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 5, "SENSOR", "one"))
    error = SerializableErrorInfo("broken", [], "RuntimeError")
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 7200, "BACKFILL", "two", [error]))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


def test_without_any_run_everything_answers(story):
    found = story.empty
    assert value(found, "salesml_runs_in_progress") == 0
    assert value(found, "salesml_run_queue_length") == 0
    assert value(found, "salesml_run_in_progress_oldest_age_seconds") == 0
    assert value(found, "salesml_run_queue_oldest_age_seconds") == 0
    assert set(found["salesml_source_up"].values()) == {1}
    assert set(found["salesml_scrape_errors_total"].values()) == {0}
    assert not {"salesml_runs", "salesml_asset_age_seconds", "salesml_asset_check_passed"} & found.keys()
    assert set(found["salesml_table_present"].values()) == {0}


def test_a_successful_run(story):
    found, before, record = story.success, story.began, story.record
    assert value(found, "salesml_runs", **RETRAIN, status="success") == 1
    assert value(found, "salesml_runs_finished_total", **RETRAIN, status="success") == 1
    duration = record.end_time - record.start_time
    assert value(found, "salesml_run_last_duration_seconds", **RETRAIN, status="success") == pytest.approx(duration)
    assert value(found, "salesml_run_duration_seconds_sum", **RETRAIN, status="success") == pytest.approx(duration)
    assert value(found, "salesml_run_duration_seconds_count", **RETRAIN, status="success") == 1
    assert value(found, "salesml_run_duration_seconds_bucket", **RETRAIN, status="success", le="+Inf") == 1
    assert value(found, "salesml_run_duration_seconds_bucket", **RETRAIN, status="success", le="30.0") == 1
    assert value(found, "salesml_run_last_end_timestamp_seconds", **RETRAIN, status="success") == record.end_time

    assert value(found, "salesml_run_last_steps", **RETRAIN, status="success") == 3
    assert value(found, "salesml_run_last_steps", **RETRAIN, status="failure") == 0
    step = next(step for step in story.steps if step.step_key == "sort_rows")
    measured = value(found, "salesml_step_last_duration_seconds", **RETRAIN, step="sort_rows", status="success")
    assert measured == pytest.approx(step.end_time - step.start_time)

    made = value(found, "salesml_asset_last_materialization_timestamp_seconds", asset="sales")
    assert before < made < time.time()
    assert 0 <= value(found, "salesml_asset_age_seconds", asset="sales") < time.time() - before
    assert value(found, "salesml_asset_rows", asset="raw_sales") == 1000
    assert value(found, "salesml_asset_table_bytes", asset="raw_sales") == 4096
    assert value(found, "salesml_asset_table_bytes", asset="sales") is None
    assert found["salesml_sales_rows"] == {
        (("status", "delivered"),): 1000, (("status", "accepted"),): 900, (("status", "quarantined"),): 100
    }  # fmt: skip
    assert set(found["salesml_asset_last_run_failed"].values()) == {0}
    assert value(found, "salesml_run_peak_memory_bytes") == 2e9
    assert value(found, "salesml_run_cpu_seconds") == 12.5

    assert value(found, "salesml_asset_check_passed", asset="sales", check="schema", severity="error") == 1
    assert value(found, "salesml_asset_check_passed", asset="sales", check="volume", severity="warn") == 0
    assert before < value(found, "salesml_asset_check_timestamp_seconds", asset="sales", check="schema") < time.time()


def test_a_failed_run_is_told_from_what_was_made_before_it(story):
    found = story.failure
    assert value(found, "salesml_runs_finished_total", **RETRAIN, status="failure") == 1
    assert value(found, "salesml_runs_finished_total", **RETRAIN, status="success") == 1
    ends = found["salesml_run_last_end_timestamp_seconds"]
    assert ends[(("dagster_job", "retrain"), ("status", "failure"))] > max(
        end for labels, end in ends.items() if ("status", "success") in labels
    )
    assert value(found, "salesml_run_last_duration_seconds", **RETRAIN, status="failure") > 0
    assert value(found, "salesml_run_last_duration_seconds", **RETRAIN, status="success") is None
    steps = {dict(labels)["status"]: number for labels, number in found["salesml_run_last_steps"].items()}
    assert steps == {"success": 1, "failure": 1, "skipped": 0, "in_progress": 0}
    assert {dict(labels)["asset"]: failed for labels, failed in found["salesml_asset_last_run_failed"].items()} == {
        "raw_sales": 0, "sales": 1, "quarantined_sales": 1, "report": 1
    }  # fmt: skip
    # The rows and results of the run before it are still there.
    assert value(found, "salesml_asset_rows", asset="sales") == 900
    assert value(found, "salesml_asset_check_passed", asset="sales", check="schema", severity="error") == 1
    assert set(found["salesml_source_up"].values()) == {1}


def test_a_failed_check_counts_until_the_next_result(story):
    schema = {"asset": "sales", "check": "schema", "severity": "error"}
    results = [story.success, story.failed_check, story.after]
    assert [value(found, "salesml_asset_check_passed", **schema) for found in results] == [1, 0, 1]


def test_a_run_in_progress(story):
    found, after = story.progress, story.after
    assert value(found, "salesml_runs", **RETRAIN, status="started") == 1
    assert value(found, "salesml_runs_in_progress") == 1
    assert 0.1 <= value(found, "salesml_run_in_progress_oldest_age_seconds") < 30
    assert value(found, "salesml_runs_finished_total", **RETRAIN, status="success") == 2
    assert value(found, "salesml_run_last_steps", **RETRAIN, status="in_progress") == 1
    assert value(found, "salesml_step_last_duration_seconds", **RETRAIN, step="sort_rows", status="in_progress") > 0.1
    # Its checks are planned, and the results before them still count.
    assert value(found, "salesml_asset_check_passed", asset="sales", check="schema", severity="error") == 0
    assert set(found["salesml_asset_last_run_failed"].values()) == {0}

    assert value(after, "salesml_runs_in_progress") == 0
    assert value(after, "salesml_runs_finished_total", **RETRAIN, status="success") == 3
    assert value(after, "salesml_run_last_steps", **RETRAIN, status="success") == 3
    assert value(after, "salesml_runs", **RETRAIN, status="started") is None


def test_a_step_that_a_run_left_behind_has_failed(story):
    found = story.abandoned
    assert value(found, "salesml_run_last_steps", **RETRAIN, status="in_progress") == 0
    assert value(found, "salesml_run_last_steps", **RETRAIN, status="failure") == 1
    assert value(found, "salesml_step_last_duration_seconds", **RETRAIN, step="sort_rows", status="failure") > 0
    assert value(found, "salesml_runs_in_progress") == 0
    assert value(found, "salesml_asset_last_run_failed", asset="report") == 1


def test_the_queue(story):
    found = story.queued
    assert value(found, "salesml_run_queue_length") == 1
    assert 0.1 <= value(found, "salesml_run_queue_oldest_age_seconds") < 30
    assert value(found, "salesml_runs", **RETRAIN, status="queued") == 1
    assert value(found, "salesml_runs_in_progress") == 0


def test_a_run_that_failed_before_it_started_has_no_duration(story):
    before, found = story.after, story.queued
    for name, more in (("salesml_runs_finished_total", 1), ("salesml_run_duration_seconds_count", 0)):
        series = {"status": "failure", **RETRAIN}
        assert value(found, name, **series) == value(before, name, **series) + more
    ends = "salesml_run_last_end_timestamp_seconds"
    assert value(found, ends, **RETRAIN, status="failure") > value(found, ends, **RETRAIN, status="success")


def test_observed_fresh_and_wiped_assets(story):
    found = story.queued
    observed = found["salesml_asset_last_observation_timestamp_seconds"]
    assert list(observed) == [(("asset", "raw_sales"),)]
    assert story.began < observed[(("asset", "raw_sales"),)] < time.time()
    assert found["salesml_asset_freshness"] == {(("asset", "sales"), ("status", "fail")): 1}
    assert value(story.wiped, "salesml_asset_age_seconds", asset="sales") is None
    assert value(story.wiped, "salesml_asset_age_seconds", asset="raw_sales") is not None


def test_daemons(story):
    before, found = story.empty, story.queued
    daemons = {dict(labels)["daemon"] for labels in before["salesml_daemon_healthy"]}
    assert daemons == story.required_daemons >= {"SENSOR", "BACKFILL", "SCHEDULER"}
    assert set(before["salesml_daemon_healthy"].values()) == {0}
    assert value(found, "salesml_daemon_healthy", daemon="SENSOR") == 1
    assert 5 <= value(found, "salesml_daemon_heartbeat_age_seconds", daemon="SENSOR") < 60
    assert value(found, "salesml_daemon_errors", daemon="SENSOR") == 0
    assert value(found, "salesml_daemon_healthy", daemon="BACKFILL") == 0
    assert value(found, "salesml_daemon_errors", daemon="BACKFILL") == 1
    assert value(found, "salesml_daemon_healthy", daemon="SCHEDULER") == 0
    assert value(found, "salesml_daemon_heartbeat_age_seconds", daemon="SCHEDULER") is None


def test_partitions_and_runs_add_no_series(story):
    first, second = story.one_month, story.two_months
    assert value(second, "salesml_runs_finished_total", dagster_job="load_month", status="success") == 2
    assert {name: set(series) for name, series in first.items()} == {
        name: set(series) for name, series in second.items()
    }
