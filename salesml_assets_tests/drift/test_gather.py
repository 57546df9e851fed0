"""What Spark aggregates for drift, against the same sums in pandas."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.drift import gather
from salesml_assets.drift.evaluate import evaluate
from salesml_assets.drift.gather import Weeks, drift_inputs
from salesml_assets.drift.inputs import DriftInputs
from salesml_assets_tests.forecasting.small import DAYS, START, small_sales

LAST = START + dt.timedelta(DAYS - 2)  # a Saturday, the last day with sales
SETTINGS = Settings(forecast={"horizon": 7})


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Two forecasts of the same days, of which the later one counts."""
    days = pd.date_range(LAST - dt.timedelta(13), LAST).date
    older = pd.DataFrame({"unique_id": "p1", "origin": days[0] - dt.timedelta(7), "ds": days, "y": 2.0, "yhat": 9.0})
    newer = older.tail(7).assign(origin=days[6], yhat=3.0)
    return pd.concat([older, newer]).astype({"unique_id": "object"})


@pytest.fixture(scope="module")
def inputs(spark: SparkSession, predictions: pd.DataFrame) -> DriftInputs:
    return drift_inputs(
        spark.createDataFrame(small_sales()), spark.createDataFrame(predictions), SETTINGS, LAST, LAST - dt.timedelta(8)
    )


def test_weeks_end_with_the_last_day(inputs: DriftInputs) -> None:
    assert inputs.judged == pd.Timestamp(LAST - dt.timedelta(6))
    assert inputs.trained_until == inputs.judged - pd.Timedelta(14, "D")  # eight days before: two weeks are not whole
    assert (inputs.weekly["week"].dt.day_of_week == inputs.judged.day_of_week).all()
    assert Weeks(LAST).trained_until(LAST) == Weeks(LAST).judged


def test_weekly_sums_are_those_of_pandas(inputs: DriftInputs) -> None:
    sales = small_sales()
    week = pd.to_datetime(sales["date"]).map(lambda day: day - pd.Timedelta((day.date() - LAST).days % 7 - 1, "D"))
    week = week.where(
        pd.to_datetime(sales["date"]).dt.day_of_week != LAST.weekday(),
        pd.to_datetime(sales["date"]) - pd.Timedelta(6, "D"),
    )
    expected = (
        sales.assign(week=week, log_price=np.log(2.0), log_quantity=np.log(sales["quantity"]))
        .groupby(["week", "product"])
        .agg(
            y=("revenue", "sum"),
            rows=("revenue", "size"),
            log_price=("log_price", "sum"),
            log_quantity=("log_quantity", "sum"),
        )
        .reset_index()
    )
    found = inputs.weekly
    assert found["unique_id"].tolist() == expected["product"].tolist()
    assert (found["week"] == expected["week"]).all()
    for name in ("y", "rows", "log_price", "log_quantity"):
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy())
    assert found.groupby("unique_id")["category"].first().tolist() == ["a", "b"] * 4
    assert set(inputs.days["days"].tail(-1)) == {6}  # closed on Sundays


def test_the_forecast_of_the_latest_origin_counts(inputs: DriftInputs) -> None:
    assert inputs.predictions is not None
    assert inputs.predictions["yhat"].tolist() == [63.0, 21.0]
    assert inputs.predictions["error"].tolist() == [49.0, 7.0]


def test_the_sample_is_about_as_large_every_week_and_the_same_again(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "ROWS_PER_WEEK", 40)
    sales = spark.createDataFrame(small_sales())
    drawn = [drift_inputs(sales.repartition(n), None, SETTINGS, LAST, LAST).features for n in (1, 3)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    counts = drawn[0]["week"].value_counts()
    assert counts.mean() == pytest.approx(40, rel=0.15)
    assert counts.max() < 75
    keys = list(drawn[0].columns)
    pd.testing.assert_frame_equal(
        drawn[0].sort_values(keys, ignore_index=True), drawn[1].sort_values(keys, ignore_index=True)
    )


def test_only_the_product_that_is_new_is_noticed(inputs: DriftInputs) -> None:
    table = evaluate(inputs)
    assert {"input", "target", "prediction", "mix", "series", "error"} == set(table["kind"])
    drifted = table[table["drifted"]]
    assert set(drifted["kind"]) == {"mix", "series"}, drifted["detail"].tolist()
