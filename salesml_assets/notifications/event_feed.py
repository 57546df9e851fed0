"""New events of one kind in Dagster's event log, each once, by a position that a sensor's cursor keeps."""

from __future__ import annotations

import logging

import dagster as dg
from pydantic import BaseModel

BATCH = 50  # events of one evaluation


class Position(BaseModel):
    """How far a feed was read.

    `after` stays one reading behind and `recent` holds what was read since: a database with many writers may show an
    event after one with a higher number.
    """

    after: int
    recent: list[int] = []


def first_position(instance: dg.DagsterInstance) -> Position:
    """The end of the log: what happened before the first evaluation is not told."""
    return Position(after=_last_number(instance))


def read_feed(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, position: Position, log: logging.Logger
) -> tuple[list[dg.EventLogEntry], Position]:
    """Up to `BATCH` new events in the order of the log, and the position behind them.

    Dagster's public `get_event_records` opens the database of every run to find checks, where SQLite keeps the log;
    this reads the index over all runs, as Dagster's own consumer of events does.
    """
    last = _last_number(instance)
    if last < position.after:
        log.error("The event log was emptied: what happened since the last evaluation cannot be told.")
        return [], Position(after=last)
    found = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=position.after, dagster_event_type=kind, limit=BATCH + len(position.recent)
    )
    known = set(position.recent)
    after = max(position.recent, default=position.after)
    fresh = [entry for number, entry in sorted(found.items()) if number not in known]
    return fresh, Position(after=after, recent=[number for number in sorted(found) if number > after])


def _last_number(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_maximum_record_id() or 0
