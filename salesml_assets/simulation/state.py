"""The persistent state of a simulation. A simulation can be stopped at any moment: each week is atomic.

After each week Dagster's database is copied and the versions of all tables are recorded. A resumed simulation first
returns to the last of these checkpoints: an interrupted week is rolled back and replayed.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pydantic import BaseModel, Field

from salesml_assets.config.settings import ColumnSettings, ConfigurationError
from salesml_assets.lake.store import Lakehouse

LOG_ENTRY = re.compile(r"^\.?(\d{20})\.")


class RunRecord(BaseModel):
    """A run of a week: its job or its assets, its trigger, and its outcome."""

    run_id: str
    what: str
    asked_by: str
    reason: str = ""
    seconds: float
    failure: str | None = None


class WeekRecord(BaseModel):
    """The record of a replayed week.

    Attributes:
        monday: Its first day.
        rows: Rows delivered.
        events: Kinds of the active events.
        runs: All runs, in order.
        drifted: Kinds of drift in the week's drift report; None without a report.
        judged: First day of the week that the drift report evaluated.
        version: Version of the production model at the end of the week.
        algorithm: Its algorithm.
        wape: RealisedError WAPE of the forecasts for this week that were made before it.
        bias: Their bias.
        first_wape: WAPE of the first model, without retraining.
        first_bias: Its bias.
        volume: Sum of the absolute sales.
        seconds: Duration of replaying the week.
    """

    monday: str
    rows: int
    events: list[str]
    runs: list[RunRecord]
    drifted: list[str] | None = None
    judged: str | None = None
    version: int
    algorithm: str
    wape: float | None = None
    bias: float | None = None
    first_wape: float | None = None
    first_bias: float | None = None
    volume: float | None = None
    seconds: float

    @property
    def retrain(self) -> RunRecord | None:
        """The run of the retrain job, if there was one."""
        return next((run for run in self.runs if run.what == "retrain"), None)


class State(BaseModel):
    """The progress of a simulation.

    Attributes:
        settings: Hash of the settings and the simulation file, to detect changes.
        mondays: The replayed weeks.
        columns: The column mapping of the split source.
        first_model: SimulationFolder of the first model, once it is trained.
        cursors: Cursor of each sensor.
        tables: Version of each table of the lake.
        weeks: The replayed weeks so far.
    """

    settings: str
    mondays: list[str]
    columns: ColumnSettings
    first_model: str | None = None
    cursors: dict[str, str] = Field(default_factory=dict)
    tables: dict[str, int] = Field(default_factory=dict)
    weeks: list[WeekRecord] = Field(default_factory=list)


class SimulationFolder:
    """The folder of a simulation: its layout and its checkpoints."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.weeks, self.source, self.lake = root / "weeks", root / "source", root / "lake"
        self.storage, self.checkpoints = root / "dagster", root / "checkpoint"
        self.settings, self.state = root / "salesml.yaml", root / "state.json"
        self.first_model = root / "first_model"

    def load(self, settings: str) -> State | None:
        """The saved state; None for a new simulation.

        Raises:
            ConfigurationError: The folder contains something else.
        """
        if not self.state.is_file():
            begun = (self.weeks, self.source, self._lock)
            if self.root.exists() and any(file not in begun for file in self.root.iterdir()):
                raise ConfigurationError(f"{self.root} is not empty and contains no simulation: choose another folder")
            return None
        state = State.model_validate_json(self.state.read_text(encoding="utf-8"))
        if state.settings != settings:
            raise ConfigurationError(
                f"{self.root} contains a simulation with other settings: choose another folder, or delete this one"
            )
        return state

    def save_checkpoint(self, state: State) -> None:
        """Saves the state, the table versions and a copy of Dagster's database: the last step of a week."""
        state.tables = {name: Lakehouse(str(self.lake)).version(name) for name in self._tables()}
        fresh = self._checkpoint(state)
        shutil.rmtree(fresh, ignore_errors=True)
        if self.storage.exists():
            shutil.copytree(self.storage, fresh)
        new = self.state.with_name(f".{self.state.name}")
        new.write_text(state.model_dump_json(indent=1), encoding="utf-8")
        new.replace(self.state)
        for old in self.checkpoints.glob("*"):
            if old != fresh:
                shutil.rmtree(old)

    def restore_checkpoint(self, state: State) -> None:
        """Rolls back everything after the saved state."""
        shutil.rmtree(self.storage, ignore_errors=True)
        if self._checkpoint(state).exists():
            shutil.copytree(self._checkpoint(state), self.storage)
        for name in self._tables():
            if name in state.tables:
                _cut_back(self.lake / name / "_delta_log", state.tables[name])
            else:
                shutil.rmtree(self.lake / name)

    @property
    def _lock(self) -> Path:
        return self.root / ".salesml"

    def _checkpoint(self, state: State) -> Path:
        return self.checkpoints / f"{len(state.weeks)}-{'trained' if state.first_model else 'new'}"

    def _tables(self) -> list[str]:
        return sorted(log.parent.name for log in self.lake.glob("*/_delta_log"))


def _cut_back(log: Path, version: int) -> None:
    """Removes later versions from a Delta log; their data files are unreferenced from then on."""
    for file in log.iterdir():
        entry = LOG_ENTRY.match(file.name)
        if (entry and int(entry[1]) > version) or "_last_checkpoint" in file.name:
            file.unlink()
