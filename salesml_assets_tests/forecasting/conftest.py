"""Backtest predictions that several tests share."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.scan import Scan, scan
from salesml_assets_tests.forecasting.predictions import backtest_predictions, in_batches, polars_table


@pytest.fixture(scope="session")
def backtests() -> dict[str, pd.DataFrame]:
    """Predictions of four algorithms for 300 series, a tuning fold and three folds of 28 days."""
    return backtest_predictions()


@pytest.fixture(scope="session")
def tables(backtests: dict[str, pd.DataFrame]) -> dict[str, pl.DataFrame]:
    """The same in the types of the algorithms' tables."""
    return {name: polars_table(rows) for name, rows in backtests.items()}


@pytest.fixture(scope="session")
def predictions(tables: dict[str, pl.DataFrame]) -> dict[str, Batches]:
    """The same as sources of batches."""
    return {name: in_batches(rows) for name, rows in tables.items()}


@pytest.fixture(scope="session")
def scans(predictions: dict[str, Batches]) -> dict[str, Scan]:
    """Sums of each algorithm."""
    return {name: scan(batches) for name, batches in predictions.items()}
