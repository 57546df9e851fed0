"""Sensors, schedules and pools, from the rows that Dagster's daemon and runs write."""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import SerializableErrorInfo

from salesml_assets_tests.exporter.conftest import dagster_instance, empty_workspace, exporting, value

KINDS = {
    "sensor": (InstigatorType.SENSOR, SensorInstigatorData()),
    "schedule": (InstigatorType.SCHEDULE, ScheduleInstigatorData("0 6 * * 1")),
}


def add(
    instance: dg.DagsterInstance, kind: str, name: str, status: InstigatorStatus, ticks: list[tuple[float, TickStatus]]
) -> None:
    """A sensor or schedule with evaluations, as the daemon writes them."""
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), "place")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    type_, data = KINDS[kind]
    state = InstigatorState(origin, type_, status, data)
    instance.add_instigator_state(state)
    for at, result in ticks:
        error = SerializableErrorInfo("broken", [], "RuntimeError") if result == TickStatus.FAILURE else None
        instance.create_tick(
            TickData(origin.get_id(), name, type_, result, at, selector_id=state.selector_id, error=error)
        )


def test_states_and_last_evaluations(tmp_path):
    now = time.time()
    with (
        dagster_instance(tmp_path / "dagster") as instance,
        exporting(instance, tmp_path / "lake", empty_workspace(tmp_path)) as look,
    ):
        add(instance, "sensor", "new_sales", InstigatorStatus.DECLARED_IN_CODE,
            [(now - 60, TickStatus.FAILURE), (now - 30, TickStatus.SKIPPED)])  # fmt: skip
        add(instance, "sensor", "drift_retrain", InstigatorStatus.RUNNING, [(now - 5, TickStatus.FAILURE)])
        add(instance, "schedule", "weekly_retrain", InstigatorStatus.STOPPED, [])
        found = look()
    enabled = {name: value(found, "salesml_automation_enabled", kind=kind, automation=name) for kind, name in (
        ("sensor", "new_sales"), ("sensor", "drift_retrain"), ("schedule", "weekly_retrain"))}  # fmt: skip
    assert enabled == {"new_sales": 1, "drift_retrain": 1, "weekly_retrain": 0}
    last = found["salesml_automation_last_tick"]
    assert {dict(labels)["automation"]: dict(labels)["status"] for labels in last} == {
        "new_sales": "skipped",
        "drift_retrain": "failure",
    }
    ticked = value(found, "salesml_automation_last_tick_timestamp_seconds", kind="sensor", automation="new_sales")
    assert ticked is not None
    assert abs(ticked - (now - 30)) < 1


def test_slots_and_waiting_steps_of_a_pool(tmp_path):
    with (
        dagster_instance(tmp_path / "dagster") as instance,
        exporting(instance, tmp_path / "lake", empty_workspace(tmp_path)) as look,
    ):
        storage = instance.event_log_storage
        storage.set_concurrency_slots("sales", 1)
        storage.set_concurrency_slots("features", 2)
        for step in ("first", "second"):
            storage.claim_concurrency_slot("sales", f"run of {step}", step)
        found = look()
    slots, claimed, waiting = (
        {dict(labels)["pool"]: number for labels, number in found[f"salesml_pool_{name}"].items()}
        for name in ("slots", "slots_claimed", "steps_waiting")
    )
    assert (slots, claimed, waiting) == (
        {"features": 2, "sales": 1},
        {"features": 0, "sales": 1},
        {"features": 0, "sales": 1},
    )
