"""Checkpoints of a simulation: saving, and rolling back what came later."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake

from salesml_assets.config.settings import ColumnSettings, ConfigurationError
from salesml_assets.lake.store import Lakehouse
from salesml_assets.simulation.state import SimulationFolder, State


@pytest.fixture
def folder(tmp_path: Path) -> SimulationFolder:
    made = SimulationFolder(tmp_path / "out")
    made.root.mkdir()
    return made


def new_state() -> State:
    return State(settings="a", mondays=["2024-01-01"], columns=ColumnSettings())


def write(folder: SimulationFolder, table: str, value: int) -> None:
    write_deltalake(str(folder.lake / table), pd.DataFrame({"value": [value]}), mode="overwrite")


def read(folder: SimulationFolder, table: str) -> list[int]:
    return Lakehouse(str(folder.lake)).read_pandas(table)["value"].to_list()


def test_what_came_after_the_kept_state_is_forgotten(folder: SimulationFolder) -> None:
    folder.storage.mkdir()
    (folder.storage / "runs.db").write_text("old")
    write(folder, "sales", 1)
    write(folder, "sales", 2)
    state = new_state()
    folder.save_checkpoint(state)
    assert state.tables == {"sales": 1}
    (folder.storage / "runs.db").write_text("new")
    (folder.storage / "other.db").write_text("new")
    write(folder, "sales", 3)
    DeltaTable(str(folder.lake / "sales")).create_checkpoint()
    write(folder, "sales", 4)
    write(folder, "forecasts", 1)
    folder.restore_checkpoint(state)
    assert (folder.storage / "runs.db").read_text() == "old"
    assert not (folder.storage / "other.db").exists()
    assert read(folder, "sales") == [2]
    assert not Lakehouse(str(folder.lake)).exists("forecasts")
    write(folder, "sales", 5)
    assert (read(folder, "sales"), Lakehouse(str(folder.lake)).version("sales")) == ([5], 2)


def test_only_the_last_state_is_kept(folder: SimulationFolder) -> None:
    folder.storage.mkdir()
    state = new_state()
    folder.save_checkpoint(state)
    state.first_model = "1-abc"
    folder.save_checkpoint(state)
    folder.save_checkpoint(state)
    assert [file.name for file in folder.checkpoints.iterdir()] == ["0-trained"]
    assert folder.load("a") == state


def test_a_state_that_was_not_kept_to_its_end_is_not_there(folder: SimulationFolder) -> None:
    state = new_state()
    folder.storage.mkdir()
    folder.save_checkpoint(state)
    (folder.checkpoints / "0-trained").mkdir()  # killed between the copy and the state
    (folder.root / ".state.json").write_text("{")
    loaded = folder.load("a")
    assert loaded == state
    folder.restore_checkpoint(state)
    assert folder.storage.exists()


def test_another_simulation_and_a_folder_of_something_else_are_refused(folder: SimulationFolder) -> None:
    assert folder.load("a") is None
    folder.save_checkpoint(new_state())
    with pytest.raises(ConfigurationError, match="other settings"):
        folder.load("b")
    folder.state.unlink()
    (folder.root / "thesis.txt").write_text("")
    with pytest.raises(ConfigurationError, match="not empty"):
        folder.load("a")
