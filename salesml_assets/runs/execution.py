"""A run of the job `retrain` in this process, on the instance that the Dagster UI shows."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from salesml_assets.automation.jobs import RETRAIN_JOB
from salesml_assets.config.settings import ConfigurationError
from salesml_assets.names import FULL_LOAD_TAG, STARTED_BY_TAG, range_tags
from salesml_assets.runs.dagster_internals import (
    MAX_RETRIES_TAG,
    CodeLocationOrigin,
    ReconstructableJob,
    ReconstructableRepository,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    execute_run_iterator,
    workspace_code_locations,
)
from salesml_assets.runs.project import WORKSPACE

if TYPE_CHECKING:
    from salesml_assets.runs.dagster_internals import BaseAssetGraph

# Marks the runs of the command line, which no run launcher monitors.
COMMAND_TAGS = {STARTED_BY_TAG: "salesml run"}
RUN_CONFIG = {
    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    # The user waits for the command: a failure is reported at once instead of being retried minutes later.
    "execution": {"config": {"retries": {"disabled": {}}}},
}


class RetrainRun:
    """A prepared run of the job: its assets and months.

    Args:
        home: The project's folder, with the workspace file of the definitions.
        select: Assets in Dagster's selection syntax ("sales*", "key:model_comparison"); default: all of the job.

    Raises:
        ConfigurationError: The selection matches no asset.
    """

    def __init__(self, home: Path, select: str | None = None) -> None:
        # Dagster's public `execute_job` returns its events only after the end, and the UI does not list its runs under
        # their job: that needs the origin of the code location, as the UI itself names it.
        self.location: CodeLocationOrigin = workspace_code_locations(home / WORKSPACE)[0]
        target = self.location.loadable_target_origin
        repository = ReconstructableRepository.for_module(
            str(target.module_name), target.attribute or "defs", target.working_directory or str(home)
        )
        self._job: ReconstructableJob = repository.get_reconstructable_job(RETRAIN_JOB)
        definition = self._job.get_definition()
        self.assets: set[dg.AssetKey] = set(definition.asset_layer.selected_asset_keys)
        if select is not None:
            self.assets = _selected(select, repository.get_definition().asset_graph, self.assets)
        self.partitions = _common_partitions(definition.asset_layer, self.assets)

    @property
    def names(self) -> set[str]:
        """Names of the assets."""
        return {key.to_user_string() for key in self.assets}

    def months(self, since: str | None, first: str | None = None) -> tuple[str, str] | None:
        """First and last partition of the run; None if none of its assets has partitions.

        Args:
            since: First month from the user, 'yyyy-MM'.
            first: First month of the source, used without `since`; default: the first partition.

        Raises:
            ConfigurationError: The month is outside the partitions.
        """
        if self.partitions is None:
            return None
        earliest, latest = self.partitions.get_first_partition_key(), self.partitions.get_last_partition_key()
        if earliest is None or latest is None:
            raise ConfigurationError("sales.first_month: there is no month between this one and today")
        start = f"{since}-01" if since else max(earliest, f"{first}-01" if first else earliest)
        if not earliest <= start <= latest:
            raise ConfigurationError(f"--since {since or first}: has to be between {earliest[:7]} and {latest[:7]}")
        return start, latest

    def execute(
        self, instance: dg.DagsterInstance, months: tuple[str, str] | None, full: bool
    ) -> Iterator[dg.DagsterEvent | dg.DagsterRun]:
        """Creates and executes the run: yields the run, then its events as they occur, then the finished run.

        Args:
            instance: The instance that stores the run.
            months: First and last partition.
            full: Whether these are all months of the source.
        """
        repository = self._job.repository.get_definition()
        definition = self._job.get_definition()
        tags = {**definition.run_tags, **COMMAND_TAGS, MAX_RETRIES_TAG: "0"}
        if months:
            tags |= range_tags(*months)
        if months and full:
            tags[FULL_LOAD_TAG] = "true"
        everything = self.assets == set(definition.asset_layer.selected_asset_keys)
        run = instance.create_run_for_job(
            job_def=definition,
            run_config=RUN_CONFIG,
            tags=tags,
            asset_selection=None if everything else frozenset(self.assets),
            job_code_origin=self._job.get_python_origin(),
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(self.location, repository.name), RETRAIN_JOB),
            repository_load_data=repository.repository_load_data,
        )
        yield run
        yield from execute_run_iterator(self._job, run, instance)
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        yield ended


def close_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of the command line without a process as failed: they would block Dagster's queue for ever.

    Must be called while holding the project's lock: then none of these runs is alive.

    Returns:
        Their ids.
    """
    lost = instance.get_runs(
        dg.RunsFilter(
            tags=COMMAND_TAGS,
            statuses=[
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
                dg.DagsterRunStatus.CANCELING,
            ],
        )
    )
    for run in lost:
        instance.report_run_failed(run, "The process of `salesml run` ended before the run did.")
    return [run.run_id for run in lost]


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of a daemon without a process on this machine as failed, for example after a power cut.

    Otherwise they would block Dagster's queue until `automation.max_run_hours` have passed. The daemon then retries
    them (`run_retries` in dagster.yaml).

    Returns:
        Their ids.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return []  # processes on other machines
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])):
        events = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
        data = [record.event_log_entry.get_dagster_event().engine_event_data.metadata for record in events]
        process = next((int(str(one["pid"].value)) for one in reversed(data) if "pid" in one), None)
        if process is not None and not _is_alive(process):
            instance.report_run_failed(run, "The process of this run ended before the run did.")
            dead.append(run.run_id)
    return dead


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        pass
    return True


def quiet_logs() -> None:
    """Silences Dagster's loggers in the terminal, where the command shows the progress; the UI keeps all messages."""
    for name in ("dagster", "py4j", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # not relevant to users


def _selected(select: str, graph: BaseAssetGraph, candidates: set[dg.AssetKey]) -> set[dg.AssetKey]:
    try:
        keys = dg.AssetSelection.from_coercible(_selection_parts(select)).resolve(graph)
    except dg.DagsterError as error:
        raise ConfigurationError(f"--select {select}: {str(error).splitlines()[0]}") from None
    chosen = set(keys & candidates)
    if not chosen:
        names = ", ".join(sorted(key.to_user_string() for key in candidates))
        raise ConfigurationError(f"--select {select}: no such asset; assets: {names}")
    # Assets of the same step are materialized together.
    return chosen | {key for name in chosen for key in graph.get(name).execution_set_asset_keys}


def _selection_parts(select: str) -> str | Sequence[str]:
    """`sales,features*` is a list of selections; text with brackets, spaces or colons is one expression."""
    return select if any(sign in select for sign in "( :") else [part.strip() for part in select.split(",")]


def _common_partitions(layer: object, assets: set[dg.AssetKey]) -> dg.TimeWindowPartitionsDefinition | None:
    found = [layer.get(key).partitions_def for key in assets]  # type: ignore[attr-defined]
    return next((definition for definition in found if definition is not None), None)
