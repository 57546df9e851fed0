"""Backtest predictions that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from salesml_assets_tests.forecasting.predictions import SCHEMA, backtest_predictions, spark_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="session")
def backtests() -> dict[str, pd.DataFrame]:
    """Predictions of four algorithms for 300 series, a tuning fold and three folds of 28 days."""
    return backtest_predictions()


@pytest.fixture(scope="session")
def spark_backtests(spark: SparkSession, backtests: dict[str, pd.DataFrame]) -> dict[str, DataFrame]:
    """The same as Spark tables."""
    return {name: spark_table(spark, rows, SCHEMA).cache() for name, rows in backtests.items()}


@pytest.fixture(scope="session")
def predictions(spark: SparkSession, backtests: dict[str, pd.DataFrame]) -> DataFrame:
    """All of them in one Spark table, with `algorithm`."""
    tagged = [rows.assign(algorithm=name) for name, rows in backtests.items()]
    return spark_table(spark, pd.concat(tagged), f"{SCHEMA}, algorithm string").cache()
