"""Accuracy in percent, error in money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from salesml_assets.forecasting.business import average_prices, business_reading, valued_sums
from salesml_assets.forecasting.errors import daily_sums

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def test_prices_are_revenue_over_quantity(spark: SparkSession) -> None:
    rows = [("a", 2.0, 6.0), ("a", 3.0, 4.0), ("b", 1.0, 10.0), ("free", 4.0, 0.0), ("back", -1.0, -5.0)]
    prices = average_prices(spark.createDataFrame(rows, "unique_id string, quantity double, revenue double"))
    found = {row["unique_id"]: row["price"] for row in prices.collect()}
    # What has no price of its own has that of all: 15 / 9.
    assert found == {"a": 2.0, "b": 10.0, "free": pytest.approx(15 / 9), "back": pytest.approx(15 / 9)}


def test_revenue_is_money_already(predictions: DataFrame, backtests: dict[str, pd.DataFrame]) -> None:
    found = business_reading(daily_sums(predictions), "xgboost", "seasonal_naive", is_revenue=True)
    error = {name: (rows["y"] - rows["yhat"]).abs()[rows["fold"] >= 1].sum() for name, rows in backtests.items()}
    sold = backtests["xgboost"].query("fold >= 1")["y"].sum()
    assert found.is_money
    assert found.accuracy == pytest.approx(100 * (1 - error["xgboost"] / sold))
    assert found.error_reduction == pytest.approx(100 * (1 - error["xgboost"] / error["seasonal_naive"]))
    assert found.error_value == pytest.approx(error["xgboost"] / 3)
    assert found.saved == pytest.approx((error["seasonal_naive"] - error["xgboost"]) / 3)
    assert found.sold == pytest.approx(sold / 3)


def test_units_are_valued_at_each_series_price(spark: SparkSession, predictions: DataFrame) -> None:
    sums = daily_sums(predictions)
    in_units = business_reading(sums, "xgboost", "seasonal_naive", is_revenue=False)
    assert not in_units.is_money
    prices = predictions.select("unique_id").distinct().selectExpr("unique_id", "2.5 as price")
    valued = business_reading(sums, "xgboost", "seasonal_naive", False, valued_sums(predictions, prices))
    assert valued.is_money
    assert (valued.accuracy, valued.error_reduction) == (in_units.accuracy, in_units.error_reduction)
    for name in ("error_value", "saved", "sold"):
        assert getattr(valued, name) == pytest.approx(2.5 * getattr(in_units, name))


def test_a_baseline_against_itself_saves_nothing(predictions: DataFrame) -> None:
    found = business_reading(daily_sums(predictions), "seasonal_naive", "seasonal_naive", is_revenue=True)
    assert (found.saved, found.error_reduction) == (0.0, 0.0)
