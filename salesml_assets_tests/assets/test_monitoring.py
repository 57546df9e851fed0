"""The monitoring assets with their checks and the sensor, without Java: two lakes on one instance of Dagster."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from salesml_assets.automation.drift_retrain import drift_sensor
from salesml_assets.config.settings import LakeSettings, Settings
from salesml_assets.definitions import definitions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY, FORECASTS, PRODUCTION_MODEL, SALES, SALES_SERIES
from salesml_assets.resources import spark as spark_module
from salesml_assets_tests.forecasting.small import small_sales
from salesml_assets_tests.forecasting.small_lake import small_series

SETTINGS = Settings(forecast={"horizon": 7})


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(settings: Settings) -> None:
        raise AssertionError("Java was started")

    monkeypatch.setattr(spark_module, "start_session", start)


class Shop:
    """A lake with sales of 28 weeks, a model that learned from 24 of them, and its forecasts of the 25th week."""

    def __init__(self, instance: dg.DagsterInstance, root: Path, factor: float) -> None:
        self.instance, self.lake = instance, Lakehouse(str(root))
        self.settings = SETTINGS.model_copy(update={"lake": LakeSettings(root=str(root))})
        series = small_series().filter(pl.col("unique_id") != "p7")  # new in the last week
        last = series["ds"].max()
        assert isinstance(last, dt.date)
        cutoff = last - dt.timedelta(28)
        moved = pl.when(pl.col("date") > cutoff).then(factor).otherwise(1.0)
        sold = pl.from_pandas(small_sales().query("product != 'p7'")).with_columns(pl.col("date").cast(pl.Date))
        sales = sold.with_columns(pl.col("quantity", "revenue") * moved)
        steps = (pl.col("ds") > cutoff) & (pl.col("ds") <= cutoff + dt.timedelta(7))
        forecasts = series.filter(steps).select("unique_id", "ds", yhat=pl.col("y") + 1.0)
        model = {"version": [1], "algorithm": "xgboost", "parameters": json.dumps({}), "path": "1-run"}
        for name, frame in {
            SALES: sales, SALES_SERIES: series,
            FORECASTS: forecasts.with_columns(model_version=1, cutoff=cutoff),
            PRODUCTION_MODEL: pl.DataFrame(model).with_columns(cutoff=pl.lit(cutoff)),
        }.items():  # fmt: skip
            self.lake.write_arrow(frame.to_arrow(), name, run_id="first")

    def evaluate(self) -> dict[str, bool]:
        """Runs the assets and their checks; which checks passed."""
        made = definitions(self.settings)
        selection = dg.AssetSelection.assets(FORECAST_ACCURACY, DRIFT_REPORT)
        job = dg.define_asset_job("monitor", selection)
        resolved = dg.Definitions.merge(made, dg.Definitions(jobs=[job])).resolve_job_def("monitor")
        result = resolved.execute_in_process(instance=self.instance)
        assert result.success
        return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}

    def tick(self) -> str:
        with dg.build_sensor_context(self.instance) as context:
            result = drift_sensor(self.settings).evaluate_tick(context)
        return "started" if result.run_requests else str(result.skip_message)


def test_what_one_lake_saw_is_not_known_to_the_other(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    moved, calm = Shop(instance, tmp_path / "moved", factor=4.0), Shop(instance, tmp_path / "calm", factor=1.0)
    assert "not been measured" in moved.tick()
    checks = moved.evaluate()
    assert not checks["no_target_drift"]
    assert moved.tick() == "started"
    assert "not been measured" in calm.tick()
    assert calm.evaluate()["no_target_drift"]
    assert "no drift" in calm.tick()
    assert moved.tick() == "started"

    report = moved.lake.read_polars(DRIFT_REPORT)
    week, learned_until = report.select("week", "learned_until").unique().row(0)
    assert week - learned_until == dt.timedelta(28)
    accuracy = moved.lake.read_polars(FORECAST_ACCURACY)
    assert accuracy["rows"].sum() == moved.lake.size(FORECASTS).rows - 7  # Sundays are closed
    assert accuracy["bias"].to_list() == pytest.approx((accuracy["rows"] / accuracy["volume"]).to_list())
