"""The replay itself: week after week, sales arrive, and the platform does what it does."""

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

from salesml_assets.config.settings import (
    CONFIG_VARIABLE,
    ClockSettings,
    ConfigurationError,
    LakeSettings,
    NotificationSettings,
    Settings,
    load_settings,
    setting_variables,
)
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT
from salesml_assets.resources.files import FileStore
from salesml_assets.runs.project import INSTANCE, WORKSPACE
from salesml_assets.simulation.accuracy import COLUMNS, Realised, first_model_forecasts, realised
from salesml_assets.simulation.plan import WEEK, Simulation, replayed_weeks
from salesml_assets.simulation.platform import DRIFT_RETRAIN, NEW_SALES, REFRESH, Platform
from salesml_assets.simulation.source import deliver_history, deliver_week, replay_settings, split_source
from salesml_assets.simulation.state import Folder, RunRecord, State, WeekRecord
from salesml_assets.spark.session import is_local

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


class ReplayError(RuntimeError):
    """The replay cannot go on."""


class Replay:
    """A simulation in its folder, new or to be gone on with.

    Args:
        simulation: What is replayed.
        settings: The settings of the real source, with those of the simulation laid over them.
        root: The simulation's folder.
        home: The project's folder.
        show: Told what is being done.

    Raises:
        ConfigurationError: The folder holds something else, or Spark's master is a cluster.
    """

    def __init__(
        self, simulation: Simulation, settings: Settings, root: Path, home: Path, show: Callable[[str], None]
    ) -> None:
        from dagster._core.workspace.load_target import WorkspaceFileTarget

        if not is_local(settings.spark.master):
            raise ConfigurationError(
                f"spark.master: {settings.spark.master!r} is a cluster, and a simulation lies in a folder of this "
                "machine: set it to local[*] in the simulation's settings"
            )
        self.simulation, self.real, self.folder, self.show = simulation, settings, Folder(root), show
        self.lake = Lakehouse(str(self.folder.lake))
        self.location = WorkspaceFileTarget([str(home / WORKSPACE)]).create_origins()[0]
        text = simulation.model_dump_json() + settings.model_dump_json()
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self._state = self.folder.load(self._fingerprint)

    @property
    def state(self) -> State:
        """How far it has come; there is one as soon as the source is split."""
        assert self._state is not None
        return self._state

    def run(self, spark: SparkSession) -> Iterator[State]:
        """Replays what is left; the state after the first training, and after each week.

        The process's settings become those of the simulation.

        Args:
            spark: The session for everything.

        Raises:
            ConfigurationError: The source has not so many weeks, or the settings do not work on it.
            ReplayError: The first training failed.
            KeyboardInterrupt: Somebody asked to stop; the same simulation goes on with the week that it was in.
        """
        if self._state is None:
            self._state = self._split(spark)
            self.folder.keep(self._state)
        self.folder.restore(self.state)
        for variable in setting_variables():  # they are in the settings already, and would win over the simulation's
            del os.environ[variable]
        os.environ[CONFIG_VARIABLE] = str(self.folder.settings)
        if self.state.first_model is None:
            self._train()
        yield self.state
        while len(self.state.weeks) < self.simulation.weeks:
            self._week(spark, len(self.state.weeks) + 1)
            yield self.state

    def _split(self, spark: SparkSession) -> State:
        from salesml_assets.quality.source import needed_steps, preflight

        self.show("looking at the source ...")
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
        from salesml_assets.forecasting.production import latest_version

        state = self.state
        with self._platform(_mondays(state)[0], "first training") as platform:
            trained = platform.train()
            model = latest_version(self.lake)
            if trained.failure or model is None:
                raise ReplayError(f"the first training failed: {trained.failure}")
            # As a daemon does that was there all the time: from here on it knows what is old.
            for name in (NEW_SALES, REFRESH):
                platform.tick(name)
        state.first_model = model.folder
        self.folder.keep(state)

    def _week(self, spark: SparkSession, week: int) -> None:
        from salesml_assets.forecasting.production import latest_version

        started, state = time.monotonic(), self.state
        monday = _mondays(state)[week - 1]
        settings = self._settings_on(monday + WEEK)
        rows = deliver_week(self.folder.weeks, self.folder.source, week, _mondays(state), self.simulation, settings)
        with self._platform(monday + WEEK, f"week {week} of {self.simulation.weeks}") as platform:
            runs = list(self._happened(platform))
            report = _first_report(platform.instance, runs)
        ours, first = self._errors(week, monday)
        model = latest_version(self.lake)
        assert model is not None
        assert state.first_model is not None
        if model.version > 1:
            self.show(f"week {week} of {self.simulation.weeks}: the first model's forecasts")
            files = FileStore.from_settings(settings)
            made = first_model_forecasts(spark, self.lake, files, state.first_model, settings)
            self.folder.first_model.mkdir(exist_ok=True)
            made.to_parquet(self.folder.first_model / f"{week}.parquet")
        spark.catalog.clearCache()  # tables that a run held in memory, and that end with its session elsewhere
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
        self.folder.keep(state)

    def _happened(self, platform: Platform) -> Iterator[RunRecord]:
        """What the daemon would start in a week, in its order."""
        yield from platform.until_quiet(NEW_SALES)
        yield from platform.until_quiet(REFRESH)
        if self.simulation.retrain.on_drift:
            yield from platform.until_quiet(DRIFT_RETRAIN)
        if self.simulation.retrain.weekly:
            yield from platform.scheduled()
        yield from platform.until_quiet(REFRESH)

    def _errors(self, week: int, monday: dt.date) -> tuple[Realised, Realised]:
        """Of the production model and of the first one, by their forecasts at the end of the week before."""
        state = self.state
        ours = self.lake.read_pandas("forecasts", COLUMNS, version=state.tables["forecasts"])
        file = self.folder.first_model / f"{week - 1}.parquet"
        error = realised(ours, self.lake, monday)
        if state.weeks and state.weeks[-1].version > 1:
            return error, realised(_read(file), self.lake, monday)
        return error, error

    def _settings_on(self, today: dt.date) -> Settings:
        """The settings of the simulation on that day, as its file has them."""
        state = self.state
        settings = replay_settings(self.real, state.columns, self.folder.source).model_copy(
            update={
                "clock": ClockSettings(today=today),
                "lake": LakeSettings(root=str(self.folder.lake)),
                "notifications": NotificationSettings(),  # nobody is told of what did not happen
            }
        )
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        self.folder.settings.write_text(text, encoding="utf-8")
        return load_settings()

    @contextmanager
    def _platform(self, today: dt.date, what: str) -> Iterator[Platform]:
        settings, state = self._settings_on(today), self.state
        (self.folder.root / INSTANCE).write_text(yaml.safe_dump(_instance_of(self.folder.root)), encoding="utf-8")
        with dg.DagsterInstance.from_config(str(self.folder.root)) as instance:
            yield Platform(settings, instance, self.location, state.cursors, lambda step: self.show(f"{what}: {step}"))


def _mondays(state: State) -> list[dt.date]:
    return [dt.date.fromisoformat(day) for day in state.mondays]


def _first_report(instance: dg.DagsterInstance, runs: list[RunRecord]) -> dict[str, Any]:
    """Metadata of the week's first drift report, which a retrain may have answered; empty if there is none."""
    ids = {run.run_id for run in runs}
    records = instance.fetch_materializations(dg.AssetKey(DRIFT_REPORT), limit=len(ids) + 1).records
    made = [record.asset_materialization for record in records if record.run_id in ids]
    first = made[-1] if made else None
    return {name: value.value for name, value in first.metadata.items()} if first else {}


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(file)


def _instance_of(root: Path) -> dict[str, Any]:
    """A Dagster instance below the folder."""
    storage = {"base_dir": str(root / "dagster")}
    return {
        "storage": {"sqlite": storage},
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": storage,
        },
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(root / "logs")},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
