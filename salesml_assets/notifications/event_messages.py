"""Turns an event of Dagster's log into a message, if the event is worth one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from salesml_assets.automation.jobs import RETRAIN_JOB
from salesml_assets.forecasting.challenger import RUNNING
from salesml_assets.names import (
    AB_TEST_REPORT,
    MODEL_COMPARISON,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    RAW_SALES,
    REPORT,
)
from salesml_assets.notifications.messages import (
    Message,
    Outcome,
    RunInfo,
    ab_test_ended,
    asset_stale,
    check_failed,
    retrain_succeeded,
    run_failed,
)
from salesml_assets.runs.dagster_internals import FreshnessState
from salesml_assets.runs.progress import raised_error

OWN_TAGS = "salesml/"
OUTCOME_ASSETS = (RAW_SALES, QUARANTINED_SALES, MODEL_COMPARISON, PRODUCTION_MODEL, REPORT)
MAX_STEPS = 5


def message_about_success(instance: dg.DagsterInstance, entry: dg.EventLogEntry, ui_url: str) -> Message | None:
    """Message for a successful retrain, or for another run that ended an A/B test; None for other runs."""
    test = _metadata(instance, AB_TEST_REPORT, entry)
    ended = test.get("reason") if test.get("outcome", RUNNING) != RUNNING else None
    run = _run(instance, entry)
    if entry.job_name != RETRAIN_JOB:
        return ab_test_ended(run, test, ui_url) if ended else None
    made = {name: _metadata(instance, name, entry) for name in OUTCOME_ASSETS}
    comparison, production = made[MODEL_COMPARISON], made[PRODUCTION_MODEL]
    version = f"version {production['model version']}, " if "model version" in production else ""
    outcome = Outcome(
        models=comparison.get("models", ()),
        decision=comparison.get("decision"),
        production=f"{version}{production['algorithm']}" if "algorithm" in production else None,
        delivered=made[RAW_SALES].get("dagster/row_count"),
        quarantined=made[QUARANTINED_SALES].get("dagster/row_count"),
        report=made[REPORT].get("report"),
        ab_test=test.get("reason"),
    )
    return retrain_succeeded(run, outcome, ui_url)


def message_about_failure(instance: dg.DagsterInstance, entry: dg.EventLogEntry, ui_url: str) -> Message | None:
    """Message for a failed run of any job: its first failed steps with their errors."""
    steps = instance.get_records_for_run(entry.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=MAX_STEPS)
    failures = [_step_error(record.event_log_entry) for record in steps.records]
    event = entry.get_dagster_event()
    return run_failed(_run(instance, entry), failures, event.message or entry.user_message, ui_url)


def message_about_check(instance: dg.DagsterInstance, entry: dg.EventLogEntry, ui_url: str) -> Message | None:
    """Message for a failed check of severity ERROR; None for other results."""
    evaluation = entry.get_dagster_event().asset_check_evaluation_data
    if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
        return None
    return check_failed(
        evaluation.asset_key.path,
        evaluation.check_name,
        entry.run_id,
        entry.timestamp,
        evaluation.description or "",
        evaluation.partition,
        ui_url,
    )


def message_about_freshness(instance: dg.DagsterInstance, entry: dg.EventLogEntry, ui_url: str) -> Message | None:
    """Message for an asset that started to fail its freshness policy; None for other changes."""
    change = entry.get_dagster_event().asset_freshness_state_change_data
    if change.new_state is not FreshnessState.FAIL:
        return None
    made = instance.get_latest_materialization_event(change.key)
    return asset_stale(change.key.path, change.state_change_timestamp, made.timestamp if made else None, ui_url)


def _run(instance: dg.DagsterInstance, entry: dg.EventLogEntry) -> RunInfo:
    record = instance.get_run_record_by_id(entry.run_id)
    if record is None:  # deleted since
        return RunInfo(entry.run_id, entry.job_name or "run", entry.timestamp)
    tags = {name: value for name, value in record.dagster_run.tags.items() if name.startswith(OWN_TAGS)}
    seconds = None if record.start_time is None else entry.timestamp - record.start_time
    return RunInfo(entry.run_id, record.dagster_run.job_name, entry.timestamp, seconds, tags)


def _metadata(instance: dg.DagsterInstance, asset: str, entry: dg.EventLogEntry) -> Mapping[str, Any]:
    """Metadata of the asset from this run; empty if the run did not materialize it."""
    before = dg.AssetRecordsFilter(dg.AssetKey(asset), before_timestamp=entry.timestamp)
    found = instance.fetch_materializations(before, limit=1).records
    if not found or found[0].run_id != entry.run_id or found[0].asset_materialization is None:
        return {}
    return {name: value.value for name, value in found[0].asset_materialization.metadata.items()}


def _step_error(entry: dg.EventLogEntry) -> tuple[str, str]:
    data = entry.get_dagster_event().step_failure_data
    error = raised_error(data.error)
    description = data.user_failure_data.description if data.user_failure_data else None
    return entry.step_key or "?", description or (error.message if error else entry.user_message)
