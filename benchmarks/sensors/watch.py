"""The daemon under watch: how long evaluations of its sensors take, and whether anything starts Java meanwhile."""

import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

from benchmarks.daemon.platform import Platform

SENSORS = (
    "new_sales", "refresh", "drift_retrain", "run_notifications", "check_notifications", "freshness_notifications",
)  # fmt: skip


def watch(platform: Platform, enough: Callable[[dict[str, list[InstigatorTick]]], bool], minutes: float) -> bool:
    """Waits until the evaluations are enough, and says whether there was Java meanwhile in any process of the folder.

    Raises:
        TimeoutError: They are not enough in time.
    """
    java, end = False, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        for _ in range(10):
            java = java or bool(platform.javas())
            time.sleep(0.5)
        if enough(ended(platform)):
            return java
    raise TimeoutError(f"{platform.home}: not enough evaluations after {minutes} minutes")


def ended(platform: Platform) -> dict[str, list[InstigatorTick]]:
    """All evaluations of each sensor that are over, first to last.

    Raises:
        RuntimeError: One of them failed.
    """

    def read(instance: dg.DagsterInstance) -> dict[str, list[InstigatorTick]]:
        states = [state for state in instance.all_instigator_state() if state.name in SENSORS]
        return {
            state.name: [
                tick
                for tick in reversed(instance.get_ticks(state.instigator_origin_id, state.selector_id))
                if tick.end_timestamp
            ]
            for state in states
        }

    found: dict[str, list[InstigatorTick]] = platform.ask(read)
    for name, ticks in found.items():
        if failed := [tick.error for tick in ticks if tick.status == TickStatus.FAILURE]:
            raise RuntimeError(f"{name}: {failed[0]}")
    return found


def durations(ticks: dict[str, list[InstigatorTick]]) -> dict[str, dict[str, Any]]:
    """Of each sensor: evaluations, seconds of the first, median and longest of the others, and runs asked for."""
    found = {}
    for name in SENSORS:
        seconds = [(tick.end_timestamp or 0.0) - tick.timestamp for tick in ticks[name]]
        found[name] = {
            "evaluations": len(seconds),
            "first": round(seconds[0], 2),
            "median": round(float(np.median(seconds[1:])), 2),
            "longest": round(max(seconds[1:]), 2),
            "runs": sum(len(tick.run_ids) for tick in ticks[name]),
        }
    return found
