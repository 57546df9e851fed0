"""The replay: week by week, sales are delivered and the platform's automation runs."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml

from salesml_assets.config.loading import CONFIG_VARIABLE, load_settings, setting_variables
from salesml_assets.config.settings import (
    ClockSettings,
    ConfigurationError,
    LakeSettings,
    NotificationSettings,
    RegistrySettings,
    Settings,
)
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, FORECASTS
from salesml_assets.resources.files import FileStore
from salesml_assets.runs.dagster_internals import sqlite_instance_config, workspace_code_locations
from salesml_assets.runs.project import INSTANCE, WORKSPACE
from salesml_assets.simulation.accuracy import COLUMNS, RealisedError, first_model_forecasts, realised_error
from salesml_assets.simulation.plan import WEEK, Simulation, replayed_weeks
from salesml_assets.simulation.platform import DRIFT_RETRAIN, NEW_SALES, REFRESH, Platform
from salesml_assets.simulation.source import deliver_history, deliver_week, replay_settings, split_source
from salesml_assets.simulation.state import RunRecord, SimulationFolder, State, WeekRecord
from salesml_assets.spark.session import is_local

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


class ReplayError(RuntimeError):
    """The replay cannot continue."""


class Replay:
    """A simulation in its folder, new or resumed.

    Args:
        simulation: The simulation file.
        settings: The settings of the real source, overridden by those of the simulation.
        root: The simulation's folder.
        home: The project's folder.
        show: Called with a description of the current activity.

    Raises:
        ConfigurationError: The folder contains something else, or Spark's master is a cluster.
    """

    def __init__(
        self, simulation: Simulation, settings: Settings, root: Path, home: Path, show: Callable[[str], None]
    ) -> None:
        if not is_local(settings.spark.master):
            raise ConfigurationError(
                f"spark.master: {settings.spark.master!r} is a cluster, but a simulation needs a folder on this "
                "machine: set it to local[*] in the simulation's settings"
            )
        self.simulation, self.real, self.folder, self.show = simulation, settings, SimulationFolder(root), show
        self.lake = Lakehouse(str(self.folder.lake))
        self.location = workspace_code_locations(home / WORKSPACE)[0]
        text = simulation.model_dump_json() + settings.model_dump_json()
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self._state = self.folder.load(self._fingerprint)

    @property
    def state(self) -> State:
        """The progress; available once the source is split."""
        assert self._state is not None
        return self._state

    def run(self, spark: SparkSession) -> Iterator[State]:
        """Replays the remaining weeks; yields the state after the first training and after each week.

        Changes the environment: the process's settings become those of the simulation.

        Args:
            spark: The session.

        Raises:
            ConfigurationError: The source is too short, or the settings do not fit it.
            ReplayError: The first training failed.
            KeyboardInterrupt: Interrupted; the same simulation resumes with the interrupted week.
        """
        if self._state is None:
            self._state = self._split(spark)
            self.folder.save_checkpoint(self._state)
        self.folder.restore_checkpoint(self.state)
        for variable in setting_variables():  # already part of the settings; they would override the simulation's
            del os.environ[variable]
        os.environ[CONFIG_VARIABLE] = str(self.folder.settings)
        if self.state.first_model is None:
            self._train()
        yield self.state
        while len(self.state.weeks) < self.simulation.weeks:
            self._replay_week(spark, len(self.state.weeks) + 1)
            yield self.state

    def _split(self, spark: SparkSession) -> State:
        from salesml_assets.quality.source import needed_steps, preflight

        self.show("checking the source ...")
        source = preflight(spark, self.real)
        assert source.first_date is not None  # a whole source has both
        assert source.last_date is not None
        needed = needed_steps(self.real) * (7 if self.real.forecast.frequency.startswith("W") else 1)
        mondays = replayed_weeks(self.simulation, source.first_date, source.last_date, source.weekdays, needed)
        self.show("splitting the source into weeks ...")
        columns = split_source(spark, self.real, mondays, self.folder.weeks)
        deliver_history(self.folder.weeks, self.folder.source, mondays)
        return State(settings=self._fingerprint, mondays=[str(day) for day in mondays], columns=columns)

    def _train(self) -> None:
        from salesml_assets.forecasting.versions import latest_version

        state = self.state
        with self._platform(_mondays(state)[0], "first training") as platform:
            trained = platform.train()
            model = latest_version(self.lake)
            if trained.failure or model is None:
                raise ReplayError(f"the first training failed: {trained.failure}")
            # First evaluation of the sensors, as by a running daemon: it sets their cursors.
            for name in (NEW_SALES, REFRESH):
                platform.tick(name)
        state.first_model = model.folder
        self.folder.save_checkpoint(state)

    def _replay_week(self, spark: SparkSession, week: int) -> None:
        from salesml_assets.forecasting.versions import latest_version

        started, state = time.monotonic(), self.state
        monday = _mondays(state)[week - 1]
        settings = self._settings_on(monday + WEEK)
        rows = deliver_week(self.folder.weeks, self.folder.source, week, _mondays(state), self.simulation, settings)
        with self._platform(monday + WEEK, f"week {week} of {self.simulation.weeks}") as platform:
            runs = list(self._run_week(platform))
            report = _first_report(platform.instance, runs)
        ours, first = self._errors(week, monday)
        model = latest_version(self.lake)
        assert model is not None
        assert state.first_model is not None
        if model.version > 1:
            self.show(f"week {week} of {self.simulation.weeks}: the first model's forecasts")
            files = FileStore.from_settings(settings)
            made = first_model_forecasts(self.lake, files, state.first_model)
            self.folder.first_model.mkdir(exist_ok=True)
            made.to_parquet(self.folder.first_model / f"{week}.parquet")
        spark.catalog.clearCache()  # tables cached by a run, which elsewhere end with its session
        drifted = report.get("drifted")
        record = WeekRecord(
            monday=str(monday),
            rows=rows,
            events=[event.kind for _, event in self.simulation.in_force(week)],
            runs=runs,
            drifted=None if drifted is None else [] if drifted == "none" else drifted.split(", "),
            judged=report.get("judged week"),
            version=model.version,
            algorithm=model.algorithm,
            wape=ours.wape,
            bias=ours.bias,
            first_wape=first.wape,
            first_bias=first.bias,
            volume=ours.volume,
            seconds=round(time.monotonic() - started, 1),
        )
        state.weeks.append(record)
        self.folder.save_checkpoint(state)

    def _run_week(self, platform: Platform) -> Iterator[RunRecord]:
        """Runs that the daemon would start in a week, in its order."""
        yield from platform.until_quiet(NEW_SALES)
        yield from platform.until_quiet(REFRESH)
        if self.simulation.retrain.on_drift:
            yield from platform.until_quiet(DRIFT_RETRAIN)
        if self.simulation.retrain.weekly:
            yield from platform.scheduled()
        yield from platform.until_quiet(REFRESH)

    def _errors(self, week: int, monday: dt.date) -> tuple[RealisedError, RealisedError]:
        """Errors of the production model and the first model, by their forecasts at the end of the week before."""
        state = self.state
        ours = self.lake.read_pandas(FORECASTS, COLUMNS, version=state.tables[FORECASTS])
        file = self.folder.first_model / f"{week - 1}.parquet"
        error = realised_error(ours, self.lake, monday)
        if state.weeks and state.weeks[-1].version > 1:
            return error, realised_error(_read(file), self.lake, monday)
        return error, error

    def _settings_on(self, today: dt.date) -> Settings:
        """Writes the settings file of the simulation for a day, and loads it."""
        state = self.state
        settings = replay_settings(self.real, state.columns, self.folder.source).model_copy(
            update={
                "clock": ClockSettings(today=today),
                "lake": LakeSettings(root=str(self.folder.lake)),
                "notifications": NotificationSettings(),  # no notifications about simulated events
                "registry": RegistrySettings(enabled=False),  # simulated models are none to register
            }
        )
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        self.folder.settings.write_text(text, encoding="utf-8")
        return load_settings()

    @contextmanager
    def _platform(self, today: dt.date, what: str) -> Iterator[Platform]:
        settings, state = self._settings_on(today), self.state
        (self.folder.root / INSTANCE).write_text(
            yaml.safe_dump(sqlite_instance_config(self.folder.root)), encoding="utf-8"
        )
        with dg.DagsterInstance.from_config(str(self.folder.root)) as instance:
            yield Platform(settings, instance, self.location, state.cursors, lambda step: self.show(f"{what}: {step}"))


def _mondays(state: State) -> list[dt.date]:
    return [dt.date.fromisoformat(day) for day in state.mondays]


def _first_report(instance: dg.DagsterInstance, runs: list[RunRecord]) -> dict[str, Any]:
    """Metadata of the week's first drift report, before any retrain; empty if there is none."""
    ids = {run.run_id for run in runs}
    records = instance.fetch_materializations(dg.AssetKey(DRIFT_REPORT), limit=len(ids) + 1).records
    made = [record.asset_materialization for record in records if record.run_id in ids]
    first = made[-1] if made else None
    return {name: value.value for name, value in first.metadata.items()} if first else {}


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(file)
