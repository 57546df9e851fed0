"""Sensors and schedules: switched on or off, last evaluation; and the queues of the concurrency pools."""

from __future__ import annotations

import dagster as dg

from salesml_assets.exporter.families import Families


def read_automation(instance: dg.DagsterInstance, families: Families) -> None:
    """State and last evaluation of each sensor and schedule that the daemon has seen."""
    for state in instance.all_instigator_state():
        labels = {"kind": state.instigator_type.value.lower(), "automation": state.instigator_name}
        families.add("salesml_automation_enabled", float(state.is_running), **labels)
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if ticks:
            families.add("salesml_automation_last_tick_timestamp_seconds", ticks[0].timestamp, **labels)
            families.add("salesml_automation_last_tick", 1.0, status=ticks[0].status.value.lower(), **labels)


def read_pools(instance: dg.DagsterInstance, families: Families) -> None:
    """Slots and waiting steps of each pool that a run has used."""
    storage = instance.event_log_storage
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        families.add("salesml_pool_slots", info.slot_count, pool=pool)
        families.add("salesml_pool_slots_claimed", info.active_slot_count, pool=pool)
        families.add("salesml_pool_steps_waiting", info.pending_step_count, pool=pool)
