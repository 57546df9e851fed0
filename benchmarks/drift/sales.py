"""Two histories without events: a retailer's invoice lines, and generated daily series."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

REAL = Path(__file__).parents[2] / "data" / "online_retail.parquet"
NO_PRODUCT = r"^(POST|DOT|M|D|S|B|C2|CRUK|PADS|BANK CHARGES|AMAZONFEE|(DCGSS|GIFT).*)$"
SERIES, YEARS = 500, 5


@dataclass(frozen=True)
class Sales:
    """Sales rows: `series` and `week` (numbers), `weekday`, `quantity`, `price`, `u` (uniform, fixed per row), text.

    `first` is the first week that is evaluated; `texts` are the categorical features; `whole` says that units are
    whole; `category` whether the series have one.
    """

    name: str
    rows: pl.DataFrame
    weeks: int
    first: int
    texts: tuple[str, ...]
    whole: bool
    category: bool

    def changed(self, rows: pl.DataFrame) -> "Sales":
        return replace(self, rows=rows)


def online_retail() -> Sales:
    """51 whole weeks of invoice lines of about 3,800 products, without codes that are no products."""
    day = pl.col("InvoiceDate").dt.date()
    lines = pl.read_parquet(REAL).filter(pl.col("UnitPrice") > 0).unique(maintain_order=True)
    lines = lines.with_columns(
        product=pl.col("StockCode").str.strip_chars().str.to_uppercase(),
        monday=day.dt.truncate("1w"),
        weekday=day.dt.weekday().cast(pl.Int64) - 1,
    ).filter(
        ~pl.col("product").str.contains(NO_PRODUCT),
        pl.col("monday").is_between(pl.date(2010, 12, 6), pl.date(2011, 11, 28)),
    )
    rows = lines.select(
        series=pl.col("product").rank("dense").cast(pl.Int64) - 1,
        week=(pl.col("monday") - pl.date(2010, 12, 6)).dt.total_days() // 7,
        weekday="weekday",
        quantity=pl.col("Quantity").cast(pl.Float64),
        price="UnitPrice",
        country="Country",
        u=pl.Series(np.random.default_rng(1).random(lines.height)),
    )
    return Sales("online_retail", rows, weeks=52, first=28, texts=("country",), whole=True, category=False)


def generated(seed: int = 8) -> Sales:
    """500 daily series over 5 years: trend, weekly and yearly season, noise that carries over, shocks to all."""
    rng = np.random.default_rng(seed)
    weeks = YEARS * 52
    day = np.arange(weeks * 7)
    category = rng.integers(0, 10, SERIES)
    level = rng.lognormal(4.0, 1.0, SERIES)[:, None]
    trend = rng.normal(0, 0.08, SERIES)[:, None] * day / 364
    height, peak = rng.uniform(0.05, 0.3, SERIES), (rng.normal(330, 20, SERIES) + 120 * (category == 0))
    year = height[:, None] * np.cos(2 * np.pi * (day - peak[:, None]) / 364)
    weekday = rng.normal([0, -0.1, -0.05, 0, 0.2, 0.35, -0.2], 0.05, (SERIES, 7))[:, day % 7]
    noise = rng.normal(0, 0.25, (SERIES, len(day)))
    wave = carried_over(rng.normal(0, 0.04, (SERIES, weeks)), 0.6)
    common = carried_over(rng.normal(0, 0.03, (1, weeks)), 0.5) + rng.normal(0, 0.2, weeks) * (rng.random(weeks) < 0.08)
    by_category = carried_over(rng.normal(0, 0.03, (10, weeks)), 0.5)[category]
    amount = level * np.exp(trend + year + weekday + noise + np.repeat(wave + common + by_category, 7, axis=1))
    price = rng.lognormal(1.5, 0.6, SERIES)[:, None] * np.exp(
        np.cumsum(rng.normal(0, 0.05, (SERIES, weeks)) * (rng.random((SERIES, weeks)) < 1 / 26), axis=1)
    )
    rows = pl.DataFrame(
        {
            "series": np.repeat(np.arange(SERIES), len(day)),
            "week": np.tile(day // 7, SERIES),
            "weekday": np.tile(day % 7, SERIES),
            "quantity": (amount / np.repeat(price, 7, axis=1)).ravel(),
            "price": np.repeat(price, 7, axis=1).ravel(),
            "category": np.repeat(np.array([f"c{number}" for number in category]), len(day)),
            "u": rng.random(amount.size),
        }
    )
    return Sales("generated", rows, weeks, first=weeks - 130, texts=("category",), whole=False, category=True)


def carried_over(shocks: np.ndarray, rho: float) -> np.ndarray:
    """AR(1) along the last axis."""
    result = shocks.copy()
    for step in range(1, shocks.shape[-1]):
        result[..., step] += rho * result[..., step - 1]
    return result
