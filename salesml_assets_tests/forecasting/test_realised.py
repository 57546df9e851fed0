"""Past forecasts and what came of them, from the versions of a real table."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.realised import forecast_accuracy, past_forecasts
from salesml_assets.lake.spark_tables import write_table
from salesml_assets.lake.store import Lakehouse

SETTINGS = Settings(forecast={"horizon": 7})
FIRST = dt.date(2024, 1, 1)
CLOSED = FIRST + dt.timedelta(20)


def made(origin: int, version: int, yhat: float) -> pd.DataFrame:
    cutoff = FIRST + dt.timedelta(origin)
    steps = [cutoff + dt.timedelta(step) for step in range(1, 8)]
    return pd.DataFrame({"unique_id": "a", "ds": steps, "yhat": yhat, "model_version": version, "cutoff": cutoff})


@pytest.fixture
def series(spark: SparkSession):
    days = [FIRST + dt.timedelta(day) for day in range(24)]
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": [float(day) for day in range(24)]})
    return spark.createDataFrame(frame.assign(closed=frame["ds"] == CLOSED))


def test_each_forecast_meets_its_actual_and_the_naive_one(spark: SparkSession, series, tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path / "lake"))
    assert past_forecasts(spark, lake, series, SETTINGS).count() == 0
    # The second run of version 1 replaces the first; the last forecast lies in the future but for three days.
    for frame in (made(6, 1, 99.0), made(6, 1, 8.0), made(13, 2, 20.0), made(20, 2, 20.0)):
        write_table(spark.createDataFrame(frame), lake, "forecasts")
    past = past_forecasts(spark, lake, series, SETTINGS)
    rows = past.orderBy("origin", "ds").toPandas()
    assert rows["y"].tolist() == [*range(7, 14), *range(14, 20), 21, 22, 23]  # day 20 was closed
    assert rows["yhat"].tolist() == [8.0] * 7 + [20.0] * 9
    assert rows["horizon"].tolist() == [*range(1, 8), *range(1, 7), 1, 2, 3]

    found = forecast_accuracy(past, series, SETTINGS).orderBy("week", "model_version").toPandas()
    assert found["model_version"].tolist() == [1, 2, 2]
    assert found["week"].tolist() == [FIRST + dt.timedelta(7 * week) for week in (1, 2, 3)]
    assert found["rows"].tolist() == [7, 6, 3]
    assert set(found["horizon_bucket"]) == {"1-7"}
    assert found["wape"].tolist() == pytest.approx([16 / 70, 21 / 99, 6 / 66])
    assert found["bias"].tolist() == pytest.approx([(56 - 70) / 70, 21 / 99, -6 / 66])
    assert found["baseline_wape"].tolist() == pytest.approx([49 / 70, 42 / 99, 21 / 66])
