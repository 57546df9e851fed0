"""The daemon's part in one process, without waiting: sensors, automation conditions, schedule and jobs."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping

import dagster as dg
from rich.console import Console

from salesml_assets.automation.jobs import RETRAIN_JOB, partition_range_tags
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.names import STARTED_BY_TAG
from salesml_assets.runs.dagster_internals import (
    RUN_KEY_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    CodeLocationOrigin,
    InMemoryJob,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    execute_run_iterator,
)
from salesml_assets.runs.execution import RUN_CONFIG
from salesml_assets.runs.progress import Progress
from salesml_assets.simulation.state import RunRecord

NEW_SALES, REFRESH, DRIFT_RETRAIN, SCHEDULE = "new_sales", "refresh", "drift_retrain", "weekly_retrain"


class Platform:
    """All definitions on one day, and the instance that runs them.

    Args:
        settings: The settings, with the day in `clock.today`.
        instance: The simulation's own instance.
        location: The code location under which Dagster's UI lists the runs.
        cursors: The sensors' cursors; updated in place.
        show: Called with the name of the running step.
    """

    def __init__(
        self,
        settings: Settings,
        instance: dg.DagsterInstance,
        location: CodeLocationOrigin,
        cursors: dict[str, str],
        show: Callable[[str], None],
    ) -> None:
        self.settings, self.instance, self.cursors, self.show = settings, instance, cursors, show
        self.repository = definitions(settings).get_repository_def()
        self.origin = RemoteRepositoryOrigin(location, self.repository.name)

    def train(self) -> RunRecord:
        """Runs the whole graph for the first time."""
        return self._run(RETRAIN_JOB, dg.RunRequest(tags=partition_range_tags(self.settings)), "first training")

    def scheduled(self) -> list[RunRecord]:
        """Runs that the schedule requests."""
        schedule = self.repository.get_schedule_def(SCHEDULE)
        now = dt.datetime.combine(self.settings.today, dt.time(), dt.UTC)
        with dg.build_schedule_context(self.instance, now, repository_def=self.repository) as context:
            requests = schedule.evaluate_tick(context).run_requests or []
        return [self._run(RETRAIN_JOB, request, SCHEDULE, {SCHEDULE_NAME_TAG: SCHEDULE}) for request in requests]

    def tick(self, name: str) -> list[RunRecord]:
        """Evaluates a sensor once and executes the requested runs; a run key that was used is skipped."""
        sensor = self.repository.get_sensor_def(name)
        if isinstance(sensor, dg.AutomationConditionSensorDefinition):
            # The same conditions, evaluated by the same code in Dagster that the daemon uses.
            sensor = dg.AutomationConditionSensorDefinition(
                name, target=sensor.asset_selection, run_tags=sensor.run_tags, use_user_code_server=True
            )
        with dg.build_sensor_context(
            self.instance, self.cursors.get(name), repository_def=self.repository, sensor_name=name
        ) as context:
            context.log.setLevel(logging.CRITICAL)  # else it writes to the terminal
            result = sensor.evaluate_tick(context)
        if result.cursor is not None:
            self.cursors[name] = result.cursor
        job = None if sensor.asset_selection else sensor.job_name
        new = [request for request in result.run_requests or [] if self._is_new(name, request)]
        return [self._run(job, request, name, {SENSOR_NAME_TAG: name}) for request in new]

    def until_quiet(self, name: str) -> Iterator[RunRecord]:
        """Evaluates a sensor until it requests no more runs."""
        while runs := self.tick(name):
            yield from runs

    def _is_new(self, sensor: str, request: dg.RunRequest) -> bool:
        if request.run_key is None:
            return True
        tags = {RUN_KEY_TAG: request.run_key, SENSOR_NAME_TAG: sensor}
        return not self.instance.get_runs(dg.RunsFilter(tags=tags), limit=1)

    def _run(
        self, name: str | None, request: dg.RunRequest, asked_by: str, asked: Mapping[str, str] | None = None
    ) -> RunRecord:
        """Executes a run to its end, of a job, or of the requested assets if no job is named.

        Raises:
            KeyboardInterrupt: The run was interrupted.
        """
        started = time.monotonic()
        job = self.repository.get_job(name) if name else self.repository.get_implicit_global_asset_job_def()
        tags = {**job.run_tags, **request.tags, **(asked or {})}
        if request.run_key:
            tags[RUN_KEY_TAG] = request.run_key
        run = self.instance.create_run_for_job(
            job,
            run_config=RUN_CONFIG,
            tags=tags,
            asset_selection=frozenset(request.asset_selection) if request.asset_selection else None,
            remote_job_origin=RemoteJobOrigin(self.origin, job.name),
        )
        progress = Progress(Console(quiet=True))
        for event in execute_run_iterator(InMemoryJob(job), run, self.instance):
            progress.follow(event, time.monotonic())
            self.show(progress.current)
        if progress.interrupted:
            raise KeyboardInterrupt
        ended = self.instance.get_run_by_id(run.run_id)
        assert ended is not None
        failures = "; ".join(f"{one.step}: {one.kind}: {one.message}" for one in progress.failures)
        return RunRecord(
            run_id=run.run_id,
            what=name or ", ".join(sorted(key.to_user_string() for key in request.asset_selection or [])),
            asked_by=asked_by,
            reason=tags.get(STARTED_BY_TAG, ""),
            seconds=round(time.monotonic() - started, 1),
            failure=None if ended.is_success else failures or "the run failed",
        )
