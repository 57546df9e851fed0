"""Runs this project on an input of the benchmark, in a lake and with a Dagster state of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import measure
from benchmarks.environment import ROOT

SALESML = ROOT / ".venv" / "bin" / "salesml"


@dataclass(frozen=True)
class ProjectRun:
    """What a run of this project took and where its tables lie.

    Attributes:
        measured: Wall time and memory, process start to process end.
        summary: What `salesml run --summary` wrote.
        lake: Root of the tables.
        settings: What it ran with.
    """

    measured: measure.Measured
    summary: dict[str, Any]
    lake: Path
    settings: dict[str, Any]

    @property
    def best(self) -> str:
        """The learned or naive algorithm with the lowest WAPE over all folds."""
        from benchmarks.scores import read_table

        table = read_table(self.lake, "model_comparison", ["algorithm", "dimension", "metric", "value"])
        total = table[(table["dimension"] == "total") & (table["metric"] == "wape")]
        return str(total.loc[total["value"].idxmin(), "algorithm"])


def shipped_settings(sales: Path) -> dict[str, Any]:
    """The settings that come with the project, for another file with the same columns."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "salesml.yaml").read_text())
    settings["sales"]["path"] = str(sales)
    return settings


def generated_settings(sales: Path, horizon: int = 28) -> dict[str, Any]:
    """Settings for the generated sales: the default column names; each day is one transaction."""
    return {
        "sales": {"path": str(sales), "first_month": "2019-01"},
        "forecast": {"target": "revenue", "series": ["product"], "frequency": "D", "horizon": horizon},
    }


def run(settings: dict[str, Any], folder: Path, limit: float | None = None) -> ProjectRun:
    """Runs the whole graph as a user would.

    Args:
        settings: The settings, without the lake.
        folder: Empty folder for settings, lake, Dagster's state and log.
        limit: Seconds after which the run is ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lake, summary = folder / "lake", folder / "summary.json"
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, folder)
    file = folder / "salesml.yaml"
    file.write_text(yaml.safe_dump(settings | {"lake": {"root": str(lake)}}, sort_keys=False))
    measured = measure.run(
        [SALESML, "run", "--summary", summary],
        folder / "run.log",
        {"SALESML_CONFIG": str(file), "DAGSTER_HOME": str(folder)},
        folder,
        limit,
    )
    measured.require_success("this project")
    return ProjectRun(measured, json.loads(summary.read_text()), lake, settings)
