"""Totals as sums or reconciled, on several sets without Spark: `python -m benchmarks.hierarchy --sets cj_weekly`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from benchmarks.accuracy.backtests import engines_without_spark, training_panel
from benchmarks.accuracy.sets import SETS
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.hierarchy import Hierarchy, history, in_one_batch, level_accuracy, levels_of
from salesml_assets.forecasting.production import predictions_of
from salesml_assets.forecasting.reconciliation import reconciled_backtests
from salesml_assets.forecasting.training.backtest import backtest

SHOWN = ("wape", "rmsse", "bias", "coverage80", "coverage95")


def measure(name: str, algorithm: str, data: Path) -> pd.DataFrame:
    """One row for each level, with sums of the forecasts (`bottom_up`) and reconciled ones (`mint`)."""
    sales = SETS[name](data)
    forecast: dict[str, Any] = {**sales.forecast, "hierarchy": {"reconciliation": "mint"}}
    settings = Settings(forecast=forecast)
    training = training_panel(sales, settings)
    entry = ALGORITHMS[algorithm]
    result = backtest(entry, training, entry.candidates(settings.training), engines_without_spark())
    predictions = {algorithm: predictions_of(result, training)}
    last = sales.series.filter(pl.col("ds") == pl.col("ds").max())
    hierarchy = Hierarchy([last], levels_of(settings, sales.series.columns))
    numbers = settings.forecast.known_future.columns
    totals = history(hierarchy, in_one_batch(sales.series), settings, numbers)
    ways = {
        "bottom_up": predictions,
        "mint": reconciled_backtests(hierarchy, predictions, totals, settings),
    }
    found = pd.concat(level_accuracy(hierarchy, rows, totals, settings).assign(way=way) for way, rows in ways.items())
    found = found[found["metric"].isin(SHOWN)]
    table = found.pivot_table(index=["segment", "way"], columns="metric", values="value")
    return table[list(SHOWN)].round(4)


def main() -> None:
    """Prints a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=["cj_weekly", "cj_daily", "online_retail", "promotions"])
    parser.add_argument("--algorithm", default="ensemble")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with the two real files")
    arguments = parser.parse_args()
    for name in arguments.sets:
        print(name, measure(name, arguments.algorithm, arguments.data).to_string(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
