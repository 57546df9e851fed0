"""The whole graph, from a file to forecasts, through Dagster's own instance."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from salesml_assets.automation.jobs import JOB, partition_range_tags
from salesml_assets.config import Settings
from salesml_assets.definitions import definitions
from salesml_assets.lakehouse import Lakehouse
from salesml_assets_tests.forecasting.small import small_sales

pytestmark = pytest.mark.slow
BAD_ROWS = 5


def settings_of(folder: Path) -> Settings:
    return Settings(
        sales={
            "path": str(folder / "sales.csv"),
            "format": "csv",
            "first_month": "2023-01",
            "columns": {
                "date": "date", "product": "product", "category": "category", "quantity": "quantity",
                "unit_price": "unit_price", "revenue": "revenue", "order_id": "order_id",
            },
        },
        forecast={"horizon": 7},
        training={
            "algorithms": ["seasonal_naive", "moving_average", "linear_regression", "xgboost"],
            "max_rows": 2_000,
            "grids": {"xgboost": {"objective": ["reg:tweedie"], "n_estimators": [20]}},
        },
        lake={"root": str(folder / "lake")},
        clock={"today": "2023-07-17"},
    )  # fmt: skip


def write_sales(folder: Path) -> int:
    """The small shop as a CSV file with five bad rows; returns the number of all rows."""
    frame = small_sales().astype({"date": str})
    frame["order_id"] = range(len(frame))
    bad = frame.head(BAD_ROWS).copy()
    bad["order_id"] += 1_000_000
    bad["unit_price"] = bad["unit_price"].astype(object)
    bad.loc[bad.index[0], "date"] = "not a day"
    bad.loc[bad.index[1], "date"] = "2031-01-01"
    bad.loc[bad.index[2], "unit_price"] = "-1"
    bad.loc[bad.index[3], "unit_price"] = "cheap"
    bad.loc[bad.index[4], "product"] = None
    everything = pd.concat([frame, bad])
    everything.to_csv(folder / "sales.csv", index=False)
    return len(everything)


def execute(settings: Settings, instance: dg.DagsterInstance, since: str | None = None) -> dg.ExecuteInProcessResult:
    job = definitions(settings).get_job_def(JOB)
    return job.execute_in_process(instance=instance, tags=partition_range_tags(settings, since))


def test_from_a_file_to_forecasts_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = write_sales(tmp_path)
    settings = settings_of(tmp_path)
    monkeypatch.setattr("salesml_assets.resources.spark.load_settings", lambda: settings)
    tables = Lakehouse(settings.lake.root)
    with dg.instance_for_test() as instance:
        first = execute(settings, instance)
        assert first.success
        checks = {check.check_name: check for check in first.get_asset_check_evaluations()}
        assert all(check.passed for check in checks.values() if check.severity == dg.AssetCheckSeverity.ERROR)

        assert tables.size("sales").rows + tables.size("quarantined_sales").rows == delivered
        assert tables.size("quarantined_sales").rows == BAD_ROWS
        forecasts = tables.read_pandas("forecasts").sort_values(["unique_id", "ds"], ignore_index=True)
        assert len(forecasts) == 8 * 7
        assert forecasts["ds"].min() == dt.date(2023, 7, 17)
        report = next(Path(settings.lake.root, "_files", "report").rglob("report.html"))
        assert "Seasonal naive" in report.read_text(encoding="utf-8")
        months = instance.get_materialized_partitions(dg.AssetKey("sales"))
        assert {month[:7] for month in months} == {f"2023-0{number}" for number in range(1, 8)}

        # The last months once more: the same rows, the same forecasts, the next version of the model.
        versions = {name: tables.version(name) for name in ("sales", "forecasts")}
        sales = tables.read_pandas("sales")
        assert execute(settings, instance, since="2023-06").success
        assert {name: tables.version(name) for name in versions} == {name: v + 1 for name, v in versions.items()}
        order = ["date", "order_id"]
        pd.testing.assert_frame_equal(
            tables.read_pandas("sales").sort_values(order, ignore_index=True).drop(columns="flags"),
            sales.sort_values(order, ignore_index=True).drop(columns="flags"),
        )
        again = tables.read_pandas("forecasts").sort_values(["unique_id", "ds"], ignore_index=True)
        pd.testing.assert_frame_equal(again.drop(columns="model_version"), forecasts.drop(columns="model_version"))
        assert tables.read_pandas("production_model")["version"].tolist() == [1, 2]
