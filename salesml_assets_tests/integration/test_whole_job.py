"""The whole graph as its user runs it: the command, a settings file, sales under the names that teams have."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from salesml_assets.config.settings import Settings
from salesml_assets.lake.export import FORECAST_COLUMNS
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.conftest import QUICK_JAVA
from salesml_assets_tests.forecasting.small import DAYS, START, small_sales

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from salesml_assets.cli import main; main()"]
HORIZON = 7
NAMES = {
    "product": "produto", "category": "categoria_valor", "quantity": "quantidade", "revenue": "valor_total",
    "date": "data_venda",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "sales": {"path": "vendas_detalhadas.parquet", "first_month": f"{START:%Y-%m}"},
    "forecast": {"horizon": HORIZON},
    "training": {
        "max_rows": 2_000,
        "tree_rows": 1_000,
        "grids": {
            "random_forest": {"numTrees": [5], "maxDepth": [4]},
            "gradient_boosting": {"maxIter": [5], "maxDepth": [3]},
            "xgboost": {"objective": ["reg:tweedie"], "n_estimators": [30]},
        },
    },
    "clock": {"today": START + dt.timedelta(DAYS)},
    "spark": {"driver_memory": "2g", "shuffle_partitions": 2, "config": QUICK_JAVA},
}


@dataclass(frozen=True)
class Project:
    """A folder with settings, sales and the state of Dagster and lake."""

    home: Path

    def salesml(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SALESML_", "DAGSTER_"))
        }
        environment |= {"PYTHONPATH": str(ROOT), **variables}
        return subprocess.run(
            [*COMMAND, *arguments], cwd=self.home, env=environment, capture_output=True, text=True, check=False
        )

    def deliver(self, sales: pd.DataFrame) -> None:
        """Writes the source: the sales, one copy of a row and one row without a product."""
        rows = sales.rename(columns=NAMES)[list(NAMES.values())]
        defects = pd.concat([rows.head(1), rows.tail(1).assign(produto=None)])
        pd.concat([rows, defects]).to_parquet(self.home / "vendas_detalhadas.parquet", index=False)

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(str(self.home / ".salesml" / "lake"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = tmp_path_factory.mktemp("whole_job")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, home)
    Settings(**SETTINGS)
    (home / "salesml.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(SETTINGS, default=str))))
    made = Project(home)
    made.deliver(small_sales().drop_duplicates(list(NAMES)))
    return made


@pytest.fixture(scope="module")
def first(project: Project) -> subprocess.CompletedProcess[str]:
    return project.salesml("run", "--summary", "summary.json")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_asset_is_made_and_every_blocking_check_holds(
    project: Project, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.home)  # where dagster.yaml has its storage
    assert first.returncode == 0, first.stdout + first.stderr
    assert "✗" not in first.stdout
    assert "rank" not in first.stdout + first.stderr
    summary = json.loads((project.home / "summary.json").read_text())
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        made = {key.to_user_string() for key in instance.all_asset_keys()}
        assert made == set(summary["assets"])
        run = instance.get_run_by_id(summary["run_id"])
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
    report = next(line for line in first.stdout.splitlines() if line.startswith("Report: "))
    page = Path(report.removeprefix("Report: ")).read_text(encoding="utf-8")
    assert page.count("<svg") + page.count("data:image/png") >= 6
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_the_run_leaves_an_executed_notebook_and_explanations_that_add_up(project: Project, first: Any) -> None:
    (page,) = (project.home / ".salesml" / "lake").glob("_files/validation_notebook/*/model_validation.html")
    assert page.read_text(encoding="utf-8").count("data:image/png") >= 10
    table = project.lake.read_pandas("explanations")
    local = table[table["kind"] == "local"]
    sums = local.groupby(["unique_id", "ds"])["amount"].sum()
    published = project.lake.read_pandas("forecasts").set_index(["unique_id", "ds"])["yhat"]
    assert len(sums)
    assert (sums - published.loc[sums.index]).abs().max() < 1e-6
    changes = project.lake.read_pandas("model_comparison", filters=[("metric", "=", "change")])
    assert changes["value"].notna().all()


@pytest.mark.slow
def test_rows_are_conserved_and_forecasts_complete(project: Project, first: Any) -> None:
    lake, sales = project.lake, small_sales().drop_duplicates(list(NAMES))
    assert lake.size("sales").rows == len(sales)
    quarantined = lake.read_pandas("quarantined_sales")
    assert sorted(reason for reasons in quarantined["_reasons"] for reason in reasons) == [
        "exact_duplicate", "missing_product",
    ]  # fmt: skip
    series = lake.read_pandas("sales_series")
    assert series["y"].sum() == pytest.approx(sales["revenue"].sum())
    forecasts = lake.read_pandas("forecasts")
    last = series["ds"].max()
    spans = forecasts.groupby("unique_id")["ds"].agg(["count", "min"])
    assert (spans == [HORIZON, last + dt.timedelta(1)]).all(axis=None)
    sundays = forecasts[pd.to_datetime(forecasts["ds"]).dt.day_of_week == 6]
    assert (sundays[["yhat", "lo95", "hi95"]] == 0).all(axis=None)
    assert forecasts.loc[forecasts["unique_id"] == "p7", "model"].str.contains("short series").all()
    answer = project.salesml("export", "forecasts", "out.csv")
    assert answer.returncode == 0, answer.stderr
    totals = lake.read_pandas("hierarchy_forecasts")
    assert set(totals["level"]) == {"total", "category"}
    wanted = forecasts.merge(series[["unique_id", "category"]].drop_duplicates(), on="unique_id")
    for level, keys in (("total", ["ds"]), ("category", ["category", "ds"])):
        sums = totals[totals["level"] == level].set_index(keys)["yhat"].sort_index()
        assert sums.to_numpy() == pytest.approx(wanted.groupby(keys)["yhat"].sum().sort_index().to_numpy(), rel=1e-6)
    exported = pd.read_csv(project.home / "out.csv")
    without_costs = [name for name in FORECAST_COLUMNS if name != "order_quantity"]
    assert list(exported) == ["unique_id", "product", *without_costs]
    assert len(exported) == len(forecasts)


@pytest.mark.slow
def test_the_comparison_is_honest_about_every_algorithm(project: Project, first: Any) -> None:
    (file,) = (project.home / ".salesml" / "lake" / "_files" / "model_comparison").rglob("model_comparison.json")
    comparison = json.loads(file.read_text())
    backtest = project.lake.read_pandas("xgboost", ["fold", "origin", "ds", "y", "yhat"])
    assert (backtest["ds"] > backtest["origin"]).all()
    scored = backtest[backtest["fold"] >= 1]
    error = scored["yhat"] - scored["y"]
    entry = comparison["xgboost"]
    assert entry["wape"] == pytest.approx(error.abs().sum() / scored["y"].abs().sum())
    assert entry["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert entry["mae"] == pytest.approx(error.abs().mean())
    assert entry["r2"] == pytest.approx(1 - (error**2).sum() / ((scored["y"] - scored["y"].mean()) ** 2).sum())
    assert entry["best_params"]["objective"] == "reg:tweedie"
    assert set(comparison) == {*Settings().training.algorithms, "_decision", "_folds"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_rows_in_another_order_and_another_java_change_nothing_but_versions(
    project: Project, first: Any
) -> None:
    lake = project.lake
    before = {name: lake.read_pandas(name) for name in ("model_comparison", "forecasts")}
    project.deliver(small_sales().drop_duplicates(list(NAMES)).sample(frac=1.0, random_state=5))
    winner = lake.read_pandas("production_model")["algorithm"].iloc[-1]
    fewer = sorted({"seasonal_naive", "linear_regression", "xgboost", winner})  # else its recipe is one more name
    changed = {"SALESML_JAVA": "bundled", "SALESML_TRAINING__ALGORITHMS": json.dumps(fewer)}
    again = project.salesml("run", "--select", "*forecasts", **changed)
    assert again.returncode == 0, again.stdout + again.stderr
    keys = {"model_comparison": ["algorithm", "dimension", "segment", "metric"], "forecasts": ["unique_id", "ds"]}
    before["model_comparison"] = before["model_comparison"].query("algorithm in @fewer")
    for name, key in keys.items():
        left, right = (frame.sort_values(key, ignore_index=True) for frame in (before[name], lake.read_pandas(name)))
        pd.testing.assert_frame_equal(left.drop(columns="model_version", errors="ignore"),
                                      right.drop(columns="model_version", errors="ignore"))  # fmt: skip
    assert lake.read_pandas("production_model")["version"].tolist() == [1, 2]
    assert "stays in production" in again.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_new_month_loads_alone_and_twice_changes_nothing(project: Project, first: Any) -> None:
    more = small_sales(days=DAYS + 7)
    project.deliver(more.drop_duplicates(list(NAMES)))
    month = f"{START + dt.timedelta(DAYS):%Y-%m}"
    today = f"{START + dt.timedelta(DAYS + 7):%Y-%m-%d}"
    counts = []
    for _ in range(2):
        answer = project.salesml(
            "run", "--since", month, "--select", "raw_sales,sales,sales_series", SALESML_CLOCK__TODAY=today
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        counts.append(
            [project.lake.size(name).rows for name in ("raw_sales", "sales", "quarantined_sales", "sales_series")]
        )
    assert counts[0] == counts[1]
    assert counts[0][0] == counts[0][1] + counts[0][2]
    assert project.lake.read_pandas("sales_series")["ds"].max() == START + dt.timedelta(DAYS + 5)  # a Saturday
