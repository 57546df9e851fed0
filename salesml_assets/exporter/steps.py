"""Steps of each job's latest run. A finished run does not change, so its steps are read once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import dagster as dg
import sqlalchemy as sa

from salesml_assets.exporter.catalogue import JOB_LABEL
from salesml_assets.exporter.families import Families
from salesml_assets.exporter.runs import FINISHED, run_rows
from salesml_assets.runs.dagster_internals import RunsTable, RunStepKeyStatsSnapshot, StepEventStatus

Stats = Sequence[RunStepKeyStatsSnapshot]
_RUN = RunsTable.c


class StepReader:
    """Reads the steps of the latest started run of each job.

    Args:
        instance: Dagster's instance.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._finished: dict[str, Stats] = {}

    def read(self, families: Families) -> None:
        """Number of steps by status, and the duration of each."""
        latest = sa.select(sa.func.max(_RUN.id)).where(_RUN.start_time.is_not(None)).group_by(_RUN.pipeline_name)
        runs = run_rows(
            self._instance,
            sa.select(_RUN.run_id, _RUN.pipeline_name.label("job"), _RUN.status).where(_RUN.id.in_(latest)),
        )
        kept: dict[str, Stats] = {}
        for run in runs:
            finished = run["status"] in FINISHED
            stats = self._finished.get(run["run_id"])
            if stats is None:
                stats = self._instance.event_log_storage.get_step_stats_for_run(run["run_id"])
            if finished:
                kept[run["run_id"]] = stats
            _add(families, run["job"], stats, finished)
        self._finished = kept


def _add(families: Families, job: str, stats: Stats, finished: bool) -> None:
    now = time.time()
    counts: Counter[str] = Counter()
    durations: dict[tuple[str, str], float] = {}
    for step in stats:
        status = _status(step, finished)
        counts[status] += 1
        # Steps of a dynamic graph are named "step[key]": their keys are data.
        name = step.step_key.partition("[")[0]
        if step.start_time is not None:
            seconds = (step.end_time or now) - step.start_time
            durations[name, status] = max(seconds, durations.get((name, status), 0.0))
    for known in StepEventStatus:
        families.add(
            "salesml_run_last_steps", counts[known.value.lower()], **{JOB_LABEL: job, "status": known.value.lower()}
        )
    for (name, status), seconds in durations.items():
        families.add("salesml_step_last_duration_seconds", seconds, **{JOB_LABEL: job, "step": name, "status": status})


def _status(step: RunStepKeyStatsSnapshot, finished: bool) -> str:
    """The status of a step; a step still in progress when its run ended has failed."""
    status = step.status or StepEventStatus.IN_PROGRESS
    if finished and status is StepEventStatus.IN_PROGRESS:
        status = StepEventStatus.FAILURE
    return status.value.lower()
