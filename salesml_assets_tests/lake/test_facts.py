"""The run behind a table, read from the Delta log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from salesml_assets.lake import facts
from salesml_assets.lake.facts import run_of_table
from salesml_assets.lake.maintenance import remove_old_files
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets_tests.lake.aging import aged

ROWS = pa.table({"x": [1]})


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path / "lake"))


def test_the_run_is_that_of_the_newest_write(lake: Lakehouse) -> None:
    lake.write_arrow(ROWS, "sales", run_id="first")
    lake.write_arrow(ROWS.slice(0, 0), "sales", run_id="second")  # a table without rows has a run, too
    assert run_of_table(lake, "sales") == "second"


def test_removed_files_do_not_hide_the_run(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "LATEST_COMMITS", 1)
    for run in ("first", "second"):
        lake.write_arrow(ROWS, "sales", run_id=run)
    aged(lake, "sales", 30)
    assert remove_old_files(lake, "sales", 1)
    assert lake.history("sales", 1)[0].run_id is None
    assert run_of_table(lake, "sales") == "second"


def test_rows_that_no_run_wrote_have_none(lake: Lakehouse) -> None:
    lake.write_arrow(ROWS, "sales", run_id="first")
    lake.write_arrow(ROWS, "sales")
    with pytest.raises(LakeError, match="materialize the asset 'sales' again"):
        run_of_table(lake, "sales")


def test_a_table_made_in_the_place_of_another_has_its_own_run(lake: Lakehouse) -> None:
    lake.write_arrow(ROWS, "sales", run_id="first")
    shutil.rmtree(lake.path("sales"))
    with pytest.raises(LakeError, match="no table 'sales'"):
        run_of_table(lake, "sales")
    lake.write_arrow(ROWS, "sales", run_id="second")
    assert run_of_table(lake, "sales") == "second"
