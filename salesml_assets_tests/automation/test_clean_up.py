"""The weekly job that removes old files, on tables that were written without Java."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import dagster as dg
import pandas as pd
import polars as pl
import pytest
from deltalake import write_deltalake

from salesml_assets.automation.clean_up import CLEAN_UP_JOB
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.forecasting.model.bundle import BundleError
from salesml_assets.forecasting.versions import promote, roll_back
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import SERVED_PREDICTIONS
from salesml_assets.resources import spark as spark_module
from salesml_assets_tests.forecasting.small_models import HORIZON, Shop, bundle
from salesml_assets_tests.lake.aging import aged


def test_old_versions_go_and_past_forecasts_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    def no_java(settings: Settings) -> None:
        raise AssertionError("Java was started")

    monkeypatch.setattr(spark_module, "start_session", no_java)
    lake = Lakehouse(str(tmp_path / "lake"))
    for name in ("sales", "forecasts"):
        for rows in (1, 2, 3):
            write_deltalake(lake.path(name), pd.DataFrame({"number": range(rows)}), mode="overwrite")
            aged(lake, name, 20)
    (tmp_path / "lake" / "panel").mkdir()  # an interrupted first write
    for days in (500, 3, 2, 1):  # the prediction service appends
        at = dt.datetime.now(dt.UTC) - dt.timedelta(days)
        rows = pl.DataFrame({"at": [at], "test": [days]}, schema_overrides={"at": pl.Datetime("us", "UTC")})
        lake.append_arrow(rows.to_arrow(), SERVED_PREDICTIONS)
    settings = Settings(lake={"root": lake.root, "keep_days": 35})
    job = definitions(settings).get_job_def(CLEAN_UP_JOB)
    result = job.execute_in_process(instance=instance)

    assert result.success
    (step,) = [event for event in result.all_events if event.is_successful_output]
    removed = step.event_specific_data.metadata["by table"].value  # type: ignore[union-attr]
    assert removed == {"forecasts": 0, "sales": 1, SERVED_PREDICTIONS: 0}
    assert lake.size(SERVED_PREDICTIONS).files == 1
    assert sorted(lake.read_polars(SERVED_PREDICTIONS)["test"]) == [1, 2, 3]
    assert [len(lake.read_pandas("forecasts", version=version)) for version in (0, 1, 2)] == [1, 2, 3]
    assert [len(lake.read_pandas("sales", version=version)) for version in (1, 2)] == [2, 3]
    with pytest.raises(FileNotFoundError):
        lake.read_pandas("sales", version=0)


def test_replaced_models_and_old_reports_go(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shop = Shop(tmp_path / "lake")
    for version in (1, 2, 3):
        shop.train(bundle(version))  # in March 2024, each replaced a day later
        shop.files.write("<html>", "report", f"run-{version}", "report.html")
    long_ago = time.time() - 100 * 86400
    for file in (tmp_path / "lake" / "_files").rglob("*"):
        os.utime(file, (long_ago, long_ago))
    shop.files.write("<html>", "report", "run-4", "report.html")
    settings = Settings(lake={"root": shop.lake.root, "rollback_days": 90}, forecast={"horizon": HORIZON})
    result = definitions(settings).get_job_def(CLEAN_UP_JOB).execute_in_process(instance=instance)
    assert result.success
    assert sorted(shop.files.folders("production_model")) == ["2-run-2", "3-run-3"]
    # The reports of kept models stay with them.
    assert sorted(shop.files.folders("report")) == ["run-2", "run-3", "run-4"]
    roll_back(shop.lake, shop.files, settings, by="ana", reason="odd", now=dt.datetime.now(dt.UTC))
    with pytest.raises(BundleError):
        promote(shop.lake, shop.files, settings, version=1, by="ana", reason="", now=dt.datetime.now(dt.UTC))
