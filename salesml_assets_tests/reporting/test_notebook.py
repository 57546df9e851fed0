"""The notebook as it is shipped: every cell names what there is; it runs without Spark and Dagster."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.reporting.notebook import NOTEBOOK, Shown, Validation, Words, _execute, _settings_cell
from salesml_assets_tests.reporting.sample import bare_report, full_report

SOURCE = json.loads(files("salesml_assets.reporting").joinpath("notebooks", NOTEBOOK).read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in SOURCE["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
def test_every_cell_that_shows_the_report_has_something_to_show(report) -> None:
    class Known(Validation):
        data = report

    validation = Known(Settings())
    shown = [cell for cell in CELLS if cell.startswith("validation.") and ".series(" not in cell]
    assert len(shown) > 20
    for cell in shown:
        value = eval(cell, {"validation": validation})  # noqa: S307
        assert isinstance(value, (Shown, Words, pd.DataFrame)), cell
        if report.runs.empty:
            continue
        assert not (isinstance(value, Shown) and value.picture is None), cell
        assert not (isinstance(value, pd.DataFrame) and value.empty) or "change" in cell, cell
    for cell in CELLS:
        ast.parse(cell)


def test_the_notebook_has_no_output_and_is_the_one_in_the_folder_of_notebooks() -> None:
    assert not any(cell.get("outputs") for cell in SOURCE["cells"])
    assert json.loads((Path(__file__).parents[2] / "notebooks" / NOTEBOOK).read_text(encoding="utf-8")) == SOURCE


def test_the_kernel_leaves_nothing_in_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    cell = nbformat.v4.new_code_cell("import os, IPython; print(os.listdir()); print(IPython.paths.get_ipython_dir())")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    _execute(notebook)
    (printed,) = [output["text"] for output in notebook.cells[0]["outputs"]]
    listed, start_up_files = printed.splitlines()
    assert listed == "[]"
    assert "salesml-" in start_up_files


def test_the_settings_of_a_run_are_in_its_notebook() -> None:
    settings = Settings(lake={"root": "/tmp/it's a lake"}, forecast={"horizon": 7})
    names: dict[str, object] = {}
    exec(_settings_cell(settings), names)
    assert names["settings"] == settings


def test_reading_the_results_imports_neither_spark_nor_dagster() -> None:
    code = (
        "import sys, salesml_assets.reporting.notebook, salesml_assets.reporting.results;"
        "print([name for name in ('pyspark', 'dagster', 'nbclient') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
