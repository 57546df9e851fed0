"""Reads new events of one kind from Dagster's event log, each once; the position is kept in a sensor's cursor."""

from __future__ import annotations

import logging

import dagster as dg
from pydantic import BaseModel

BATCH = 50  # maximum number of events per evaluation


class Position(BaseModel):
    """Position in a feed.

    `after` stays one read behind and `recent` contains the record ids read since then: with several writers, an event
    may become visible after one with a higher id.
    """

    after: int
    recent: list[int] = []


def first_position(instance: dg.DagsterInstance) -> Position:
    """The current end of the log: earlier events are not reported."""
    return Position(after=_last_record_id(instance))


def read_feed(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, position: Position, log: logging.Logger
) -> tuple[list[dg.EventLogEntry], Position]:
    """Up to `BATCH` new events in the order of the log, and the position after them.

    Dagster's public `get_event_records` opens the database of every run to find checks, where SQLite keeps the log;
    this function reads the index over all runs, as Dagster's own event consumers do.
    """
    last = _last_record_id(instance)
    if last < position.after:
        log.error("The event log was emptied: events since the last evaluation cannot be reported.")
        return [], Position(after=last)
    found = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=position.after, dagster_event_type=kind, limit=BATCH + len(position.recent)
    )
    known = set(position.recent)
    after = max(position.recent, default=position.after)
    fresh = [entry for number, entry in sorted(found.items()) if number not in known]
    return fresh, Position(after=after, recent=[number for number in sorted(found) if number > after])


def _last_record_id(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_maximum_record_id() or 0
