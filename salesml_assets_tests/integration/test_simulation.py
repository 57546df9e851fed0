"""A short replay as its user runs it: killed in the middle, gone on with, and the same as if nothing had happened."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_WEEK_TAG
from salesml_assets_tests.conftest import QUICK_JAVA
from salesml_assets_tests.forecasting.small import START, small_sales

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from salesml_assets.cli import main; main()", "simulate", "plan.yaml", "out"]
WEEKS, DAYS = 2, 40 * 7
SETTINGS: dict[str, Any] = {
    "sales": {
        "path": "sales.parquet",
        "first_month": f"{START:%Y-%m}",
        "columns": {"date": "date", "product": "product", "category": "category", "quantity": "quantity",
                    "revenue": "quantity * 2"},
    },
    "forecast": {"horizon": 7},
    "spark": {"driver_memory": "2g", "shuffle_partitions": 2, "config": QUICK_JAVA},
}  # fmt: skip
PLAN: dict[str, Any] = {
    "weeks": WEEKS,
    "events": [{"kind": "level_shift", "week": 1, "size": 1.5, "share": 0.4}],
    "settings": {"training": {"algorithms": ["seasonal_naive", "moving_average"], "max_rows": 2_000}},
}
REFRESHED = (
    "drift_report, explanations, features, forecast_accuracy, forecasts, hierarchy_forecasts, panel, pooled_calendar, "
    "report, sales_series"
)


@dataclass(frozen=True)
class Place:
    """A folder with a project, its sales, and a simulation of them."""

    home: Path

    @property
    def out(self) -> Path:
        return self.home / "out"

    def start(self) -> subprocess.Popen[str]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SALESML_", "DAGSTER_"))
        }
        environment |= {"PYTHONPATH": str(ROOT), "SALESML_DRIFT__ALPHA": "0.05"}
        return subprocess.Popen(
            COMMAND, cwd=self.home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, table: str, version: int, process: subprocess.Popen[str]) -> None:
        """Waits until a running simulation has written a version of a table."""
        entry = self.out / "lake" / table / "_delta_log" / f"{version:020}.json"
        while not entry.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)

    def state(self) -> dict[str, Any]:
        file = self.out / "state.json"
        known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"weeks": [], "first_model": None}
        return known


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("simulation")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, home)
    (home / "salesml.yaml").write_text(yaml.safe_dump(SETTINGS))
    (home / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    rows = small_sales(days=DAYS + 2).drop(columns=["unit_price", "revenue"])
    rows.assign(line=range(len(rows))).to_parquet(home / "sales.parquet", index=False)  # no row is a copy of another
    return Place(home)


@pytest.fixture(scope="module")
def killed_and_gone_on_with(place: Place) -> str:
    """Stopped by Ctrl-C during the training, killed in the first week's refresh, and gone on with to the end."""
    process = place.start()
    place.wait_for("raw_sales", 0, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted; the same command resumes" in err
    process = place.start()
    place.wait_for("features", 1, process)
    assert place.state()["first_model"]
    assert place.state()["weeks"] == []
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = place.start()
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_done_twice(place: Place, killed_and_gone_on_with: str) -> None:
    weeks = place.state()["weeks"]
    asked = [[(run["what"], run["asked_by"], run["failure"]) for run in week["runs"]] for week in weeks]
    ordinary = [("load_sales", "new_sales", None), (REFRESHED, "refresh", None)]
    assert [runs[:2] for runs in asked] == [ordinary] * WEEKS
    with dg.DagsterInstance.from_config(str(place.out)) as instance:
        runs = instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert len(runs) == 1 + sum(len(week["runs"]) for week in weeks)
    lake = Lakehouse(str(place.out / "lake"))
    sold = small_sales(days=DAYS + 2)
    sold = sold[sold["date"] < START + dt.timedelta(DAYS)]  # two days are no week
    assert lake.size("raw_sales").rows == len(sold)
    assert lake.version("raw_sales") == sum(
        run["what"] in ("load_sales", "retrain") for w in weeks for run in w["runs"]
    )
    assert lake.read_pandas("sales_series")["ds"].max() == START + dt.timedelta(DAYS - 2)


@pytest.mark.slow
def test_the_event_is_seen_and_answered_once(place: Place, killed_and_gone_on_with: str) -> None:
    weeks = place.state()["weeks"]
    assert any(week["drifted"] for week in weeks)
    retrains = [run for week in weeks for run in week["runs"] if run["what"] == "retrain"]
    assert [run["asked_by"] for run in retrains] == ["drift_retrain"]
    with dg.DagsterInstance.from_config(str(place.out)) as instance:
        run = instance.get_run_by_id(retrains[0]["run_id"])
    assert run is not None
    assert run.tags[DRIFT_WEEK_TAG] in {week["judged"] for week in weeks}
    assert weeks[-1]["version"] == 2


@pytest.mark.slow
def test_the_errors_are_those_of_the_forecasts_made_before(place: Place, killed_and_gone_on_with: str) -> None:
    lake, week = Lakehouse(str(place.out / "lake")), place.state()["weeks"][0]
    monday = pd.Timestamp(week["monday"])
    forecasts = lake.read_pandas("forecasts", version=0)
    series = lake.read_pandas("sales_series").query("not closed")
    rows = forecasts.merge(series, on=["unique_id", "ds"])
    rows = rows[pd.to_datetime(rows["ds"]) < monday + pd.Timedelta(7, "D")]
    assert week["wape"] == pytest.approx((rows["y"] - rows["yhat"]).abs().sum() / rows["y"].sum())
    assert week["wape"] == week["first_wape"]


@pytest.mark.slow
def test_the_report_tells_it(place: Place, killed_and_gone_on_with: str) -> None:
    page = (place.out / "report.html").read_text(encoding="utf-8")
    told = json.loads((place.out / "report.json").read_text())
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "level shift of +150% on 40% of the volume" in page
    assert told["events"][0]["week"] == 1
    assert told["weeks"] == place.state()["weeks"]
    assert str(place.out / "report.html") in killed_and_gone_on_with


@pytest.mark.slow
def test_a_finished_simulation_only_shows_its_report_and_another_one_is_refused(
    place: Place, killed_and_gone_on_with: str
) -> None:
    before = place.state()
    again = place.start()
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert "Report:" in out
    assert place.state() == before
    plan = place.home / "plan.yaml"
    old = plan.read_text()
    plan.write_text(yaml.safe_dump(PLAN | {"seed": 5}))
    other = place.start()
    _, err = other.communicate()
    plan.write_text(old)
    assert other.returncode == 2
    assert "contains a simulation with other settings" in err
