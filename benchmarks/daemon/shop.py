"""A generated shop: daily sales of 40 products with trend, weekly and yearly season, under the default column names."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl

START = dt.date(2022, 9, 5)  # a Monday
PRODUCTS = 40
WEEK = 7


def sales(weeks: int, seed: int = 11) -> pl.DataFrame:
    """Rows of all products and days: `produto`, `categoria_valor`, `quantidade`, `valor_total`, `data_venda`."""
    rng = np.random.default_rng(seed)
    day = np.arange(weeks * WEEK)
    level = rng.lognormal(3.5, 0.6, PRODUCTS)[:, None]
    year = rng.uniform(0.05, 0.2, PRODUCTS)[:, None] * np.cos(2 * np.pi * (day - rng.normal(330, 20)) / 364)
    weekday = rng.normal([0, -0.1, -0.05, 0, 0.2, 0.35, -0.2], 0.05, (PRODUCTS, WEEK))[:, day % WEEK]
    noise = rng.normal(0, 0.2, (PRODUCTS, len(day)))
    common = np.repeat(rng.normal(0, 0.03, weeks), WEEK)
    quantity = np.maximum(1, np.round(level * np.exp(year + weekday + noise + common + 0.05 * day / 364)))
    price = np.round(rng.lognormal(1.5, 0.6, PRODUCTS), 2)[:, None]
    return pl.DataFrame(
        {
            "produto": np.repeat([f"P{number:02d}" for number in range(PRODUCTS)], len(day)),
            "categoria_valor": np.repeat([f"C{number % 5}" for number in range(PRODUCTS)], len(day)),
            "quantidade": quantity.ravel(),
            "valor_total": np.round(quantity * price, 2).ravel(),
            "data_venda": [START + dt.timedelta(int(number)) for number in np.tile(day, PRODUCTS)],
        }
    )


def weeks_of(rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows of each week, with its number from 0."""
    number = (pl.col("data_venda") - START).dt.total_days() // WEEK
    for key, part in rows.with_columns(_week=number).sort("_week").group_by("_week", maintain_order=True):
        yield int(str(key[0])), part.drop("_week")
