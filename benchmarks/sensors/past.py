"""Five years of a project's past in Dagster's instance: what happened in one week, again for each week before it."""

import datetime as dt
import json
import re
import time
import uuid
from typing import Any

import dagster as dg
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy import Engine, event

from benchmarks.daemon.platform import Platform

WEEK = 7 * 86_400.0
RETRAIN_EACH = 4  # weeks
DAY = re.compile(r'"(\d{4}-\d{2}-\d{2})"')
KEPT = ASSET_EVENTS | ASSET_CHECK_EVENTS | EVENT_TYPE_TO_PIPELINE_RUN_STATUS.keys()
Story = tuple[dg.DagsterRun, list[EventLogEntry]]


def stories(platform: Platform) -> list[Story]:
    """The runs of a project, first to last, each with those of its events that Dagster keeps for all runs."""

    def read(instance: dg.DagsterInstance) -> list[Story]:
        return [
            (run, [event for event in instance.all_logs(run.run_id) if event.dagster_event_type in KEPT])
            for run in reversed(instance.get_runs())
        ]

    found: list[Story] = platform.ask(read)
    return found


def write_past(platform: Platform, told: list[Story], weeks: int) -> dict[str, int]:
    """Writes stories into the empty instance of a folder: copies for the weeks before, then themselves, from now on.

    Of the events, those are written that Dagster keeps in one place for all runs; sensors look at no others.

    Args:
        platform: The folder.
        told: The stories; the first is a retrain of everything, the others are what each week brings.
        weeks: How many weeks lie before them.

    Returns:
        How many runs, events and materializations there are now.
    """
    later = time.time() - told[1][1][0].timestamp
    counts = dict.fromkeys(("runs", "events", "materializations"), 0)

    def write(instance: dg.DagsterInstance) -> None:
        for back in range(weeks, -1, -1):
            for number, (run, events) in enumerate(told):
                if number == 0 and back % RETRAIN_EACH:
                    continue
                ids = (run.run_id, str(uuid.UUID(int=number * weeks + back)) if back else run.run_id)
                text = _moved(serialize_value(run), ids, back, months=number > 0)
                bare = deserialize_value(text, dg.DagsterRun)._replace(  # its snapshots were not copied
                    status=dg.DagsterRunStatus.NOT_STARTED, job_snapshot_id=None, execution_plan_snapshot_id=None
                )
                instance.run_storage.add_run(bare)
                for happened in events:
                    entry = json.loads(_moved(serialize_value(happened), ids, back, months=number > 0))
                    entry["timestamp"] += later - back * WEEK
                    instance.handle_new_event(deserialize_value(json.dumps(entry), EventLogEntry))
                    kind = happened.dagster_event_type
                    counts["materializations"] += kind == dg.DagsterEventType.ASSET_MATERIALIZATION
                counts["runs"] += 1
                counts["events"] += len(events)
            if back % 20 == 0:
                print(f"{back} weeks of the past are left to write", flush=True)

    event.listen(Engine, "connect", _without_waiting)
    platform.ask(write)
    event.remove(Engine, "connect", _without_waiting)
    return counts


def _without_waiting(connection: Any, _: Any) -> None:
    """Nothing is lost if this machine goes down now: without waiting for the disk after each event it takes minutes."""
    connection.execute("PRAGMA synchronous = OFF")


def _moved(text: str, ids: tuple[str, str], weeks: int, months: bool) -> str:
    """The run's id replaced, and days so many weeks earlier: weeks of metadata, and the months that a load is for."""

    def earlier(found: re.Match[str]) -> str:
        day = dt.date.fromisoformat(found[1])
        if day.day == 1:
            return f'"{(day - dt.timedelta(weeks=weeks)).replace(day=1)}"' if months else found[0]
        return f'"{day - dt.timedelta(weeks=weeks)}"'

    return DAY.sub(earlier, text.replace(*ids))
