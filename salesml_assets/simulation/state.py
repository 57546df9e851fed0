"""What a simulation keeps, so that it can be stopped at any moment: a week is done as a whole, or not at all.

After each week Dagster's database is copied and the versions of all tables are noted. A simulation that goes on returns
to the last of these first: what a week that was broken off had begun is forgotten, and the week is done again.
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
    """A run of a week: its job or the assets that it made, what asked for it, and how it ended."""

    run_id: str
    what: str
    asked_by: str
    reason: str = ""
    seconds: float
    failure: str | None = None


class WeekRecord(BaseModel):
    """What happened in a week.

    Attributes:
        monday: Its first day.
        rows: Rows delivered.
        events: Kinds of the events in force.
        runs: All runs, in order.
        drifted: Kinds of drift that the week's drift report found; None: no report was made.
        judged: First day of the week that it judged.
        version: Version of the production model at the end of the week.
        algorithm: Its algorithm.
        wape: Realised WAPE of the forecasts for this week that were made before it.
        bias: Their bias.
        first_wape: WAPE that the first model would have had.
        first_bias: Its bias.
        volume: What was sold.
        seconds: How long the week took.
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
        """The run that trained a model, if there was one."""
        return next((run for run in self.runs if run.what == "retrain"), None)


class State(BaseModel):
    """How far a simulation has come.

    Attributes:
        settings: The settings in force, to see that they are still the same.
        mondays: The weeks that are replayed.
        columns: The column mapping of the split source.
        first_model: Folder of the first model, once it is trained.
        cursors: Cursor of each sensor.
        tables: Version of each table of the lake.
        weeks: What happened so far.
    """

    settings: str
    mondays: list[str]
    columns: ColumnSettings
    first_model: str | None = None
    cursors: dict[str, str] = Field(default_factory=dict)
    tables: dict[str, int] = Field(default_factory=dict)
    weeks: list[WeekRecord] = Field(default_factory=list)


class Folder:
    """The folder of a simulation and what lies where in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.weeks, self.source, self.lake = root / "weeks", root / "source", root / "lake"
        self.storage, self.kept = root / "dagster", root / "checkpoint"
        self.settings, self.state = root / "salesml.yaml", root / "state.json"
        self.first_model = root / "first_model"

    def load(self, settings: str) -> State | None:
        """The state that was kept; None for a new simulation.

        Raises:
            ConfigurationError: The folder holds something else.
        """
        if not self.state.is_file():
            begun = (self.weeks, self.source, self._lock)
            if self.root.exists() and any(file not in begun for file in self.root.iterdir()):
                raise ConfigurationError(f"{self.root} is not empty and holds no simulation: name another folder")
            return None
        state = State.model_validate_json(self.state.read_text(encoding="utf-8"))
        if state.settings != settings:
            raise ConfigurationError(
                f"{self.root} holds a simulation with other settings: name another folder, or delete this one"
            )
        return state

    def keep(self, state: State) -> None:
        """Keeps the state, with everything that it says: the last step of a week."""
        state.tables = {name: Lakehouse(str(self.lake)).version(name) for name in self._tables()}
        fresh = self._checkpoint(state)
        shutil.rmtree(fresh, ignore_errors=True)
        if self.storage.exists():
            shutil.copytree(self.storage, fresh)
        new = self.state.with_name(f".{self.state.name}")
        new.write_text(state.model_dump_json(indent=1), encoding="utf-8")
        new.replace(self.state)
        for old in self.kept.glob("*"):
            if old != fresh:
                shutil.rmtree(old)

    def restore(self, state: State) -> None:
        """Forgets all that happened after the state was kept."""
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
        return self.kept / f"{len(state.weeks)}-{'trained' if state.first_model else 'new'}"

    def _tables(self) -> list[str]:
        return sorted(log.parent.name for log in self.lake.glob("*/_delta_log"))


def _cut_back(log: Path, version: int) -> None:
    """Removes the versions of a Delta table that came later; their data files are no part of it any more."""
    for file in log.iterdir():
        entry = LOG_ENTRY.match(file.name)
        if (entry and int(entry[1]) > version) or "_last_checkpoint" in file.name:
            file.unlink()
