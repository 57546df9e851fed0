"""Runs: one aggregating query over Dagster's table of runs, for any number of runs; none is deserialized."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from salesml_assets.exporter.catalogue import JOB_LABEL
from salesml_assets.exporter.families import Families
from salesml_assets.runs.dagster_internals import FINISHED_STATUSES, RunsTable, SqlRunStorage

BOUNDS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)  # seconds
FINISHED = [status.value for status in FINISHED_STATUSES]
QUEUED = dg.DagsterRunStatus.QUEUED.value
IN_PROGRESS = [
    status.value
    for status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
]
_RUN = RunsTable.c


def read_runs(instance: dg.DagsterInstance, families: Families) -> None:
    """Counts, durations, the queue and runs in progress."""
    now = time.time()
    groups = run_rows(instance, _by_job_and_status())
    for group in groups:
        labels = {JOB_LABEL: group["job"], "status": group["status"].lower()}
        families.add("salesml_runs", group["runs"], **labels)
        if group["status"] in FINISHED:
            families.add("salesml_runs_finished_total", group["runs"], **labels)
            families.add("salesml_run_last_end_timestamp_seconds", group["ended"], **labels)
            counts = [group[f"up_to_{bound:g}"] for bound in BOUNDS]
            families.add_histogram(
                "salesml_run_duration_seconds", BOUNDS, [*counts, group["timed"]], group["seconds"] or 0.0, **labels
            )
    for row in run_rows(instance, _last_durations()):
        families.add(
            "salesml_run_last_duration_seconds",
            row["seconds"],
            **{JOB_LABEL: row["job"], "status": row["status"].lower()},
        )
    queued = [group for group in groups if group["status"] == QUEUED]
    families.add("salesml_run_queue_length", sum(group["runs"] for group in queued))
    families.add("salesml_run_queue_oldest_age_seconds", _age(now, [_seconds(group["created"]) for group in queued]))
    active = [group for group in groups if group["status"] in IN_PROGRESS]
    since = [group["started"] or _seconds(group["created"]) for group in active]
    families.add("salesml_runs_in_progress", sum(group["runs"] for group in active))
    families.add("salesml_run_in_progress_oldest_age_seconds", _age(now, since))


def run_rows(instance: dg.DagsterInstance, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """Rows of a query on the table of runs.

    Raises:
        TypeError: The instance does not keep its runs in an SQL database.
    """
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise TypeError(f"runs are read from an SQL database, not from {type(storage).__name__}")
    with storage.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _by_job_and_status() -> sa.Select[Any]:
    duration = _RUN.end_time - _RUN.start_time
    finished = _RUN.status.in_(FINISHED) & (duration >= 0)
    return sa.select(
        _RUN.pipeline_name.label("job"),
        _RUN.status.label("status"),
        sa.func.count().label("runs"),
        sa.func.min(_RUN.create_timestamp).label("created"),
        sa.func.min(_RUN.start_time).label("started"),
        sa.func.max(_RUN.end_time).label("ended"),
        # A run that failed before it started has no duration.
        sa.func.sum(sa.case((finished, 1), else_=0)).label("timed"),
        sa.func.sum(sa.case((finished, duration), else_=0.0)).label("seconds"),
        *(
            sa.func.sum(sa.case((finished & (duration <= bound), 1), else_=0)).label(f"up_to_{bound:g}")
            for bound in BOUNDS
        ),
    ).group_by(_RUN.pipeline_name, _RUN.status)


def _last_durations() -> sa.Select[Any]:
    latest = (
        sa.select(sa.func.max(_RUN.id))
        .where(_RUN.status.in_(FINISHED), _RUN.start_time.is_not(None), _RUN.end_time.is_not(None))
        .group_by(_RUN.pipeline_name)
    )
    return sa.select(
        _RUN.pipeline_name.label("job"),
        _RUN.status.label("status"),
        (_RUN.end_time - _RUN.start_time).label("seconds"),
    ).where(_RUN.id.in_(latest))


def _seconds(created: dt.datetime) -> float:
    """Unix time; Dagster stores UTC without a time zone."""
    return created.replace(tzinfo=dt.UTC).timestamp()


def _age(now: float, since: Sequence[float]) -> float:
    return max(0.0, now - min(since)) if since else 0.0
