"""Small histories of weekly sums for the tests of drift."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salesml_assets.drift.inputs import DriftInputs

FIRST = pd.Timestamp("2024-01-01")
SERIES, WEEKS = 60, 40


def week(number: int) -> pd.Timestamp:
    return FIRST + pd.Timedelta(7 * number, "D")


def weekly_sales(seed: int = 0, series: int = SERIES, weeks: int = WEEKS, shock: float = 0.1) -> pd.DataFrame:
    """Sums with noise of each series and shocks to all; rows, price and quantity move independently."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(4, 0.7, series)[:, None]
    rows = rng.poisson(100 * np.exp(rng.normal(0, shock, weeks)), (series, weeks)) + 1
    log_price = rng.normal(1, 0.5, series)[:, None] + rng.normal(0, 0.02, (series, weeks))
    log_quantity = rng.normal(0, 0.1, (series, weeks))
    y = level * rows * np.exp(log_price + log_quantity)
    names = [f"s{number:03d}" for number in range(series)]
    return pd.DataFrame(
        {
            "unique_id": np.repeat(names, weeks),
            "week": np.tile([week(number) for number in range(weeks)], series),
            "category": np.repeat([f"c{number % 3}" for number in range(series)], weeks),
            "y": y.ravel(),
            "rows": rows.ravel(),
            "log_price": (rows * log_price).ravel(),
            "log_quantity": (rows * log_quantity).ravel(),
        }
    )


def trading_days(weeks: int = WEEKS) -> pd.DataFrame:
    return pd.DataFrame({"week": [week(number) for number in range(weeks)], "days": 6})


def weekly_predictions(weekly: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Forecasts that miss by a fifth or so."""
    rng = np.random.default_rng(seed)
    yhat = weekly.groupby("unique_id")["y"].transform("mean") * np.exp(rng.normal(0, 0.1, len(weekly)))
    return weekly[["unique_id", "week", "y"]].assign(yhat=yhat, error=(weekly["y"] - yhat).abs())


def features(seed: int = 0, weeks: int = WEEKS, rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "week": np.repeat([week(number) for number in range(weeks)], rows),
            "size": rng.lognormal(0, 1, weeks * rows),
            "channel": rng.choice(["shop", "web", "phone"], weeks * rows, p=[0.5, 0.3, 0.2]),
        }
    )


def inputs(weekly: pd.DataFrame, weeks: int = WEEKS, age: int = 2, extra: bool = False, seed: int = 0) -> DriftInputs:
    return DriftInputs(
        weekly=weekly,
        days=trading_days(weeks),
        trained_until=week(weeks - 1 - age),
        judged=week(weeks - 1),
        features=features(seed, weeks) if extra else None,
        predictions=weekly_predictions(weekly, seed) if extra else None,
    )


def late(weekly: pd.DataFrame, weeks: int = WEEKS, last: int = 2) -> pd.Series[bool]:
    return weekly["week"] >= week(weeks - last)


def third(weekly: pd.DataFrame) -> pd.Series[bool]:
    """Every third series, of all categories."""
    return (weekly["unique_id"].str[1:].astype(int) // 3) % 3 == 0
