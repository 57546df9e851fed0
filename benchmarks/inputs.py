"""The inputs of the benchmark: the shipped sales, and generated series with trend and two seasons."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = dt.date(2019, 1, 1)
SERIES_AT_A_TIME = 1_000
REFERENCE_COLUMNS = ["produto", "categoria_valor", "quantidade", "valor_total", "data_venda"]


def generated_sales(series: int = 500, years: int = 5, seed: int = 42, start: int = 0) -> pd.DataFrame:
    """Daily sales of products with trend, weekly and yearly season and noise; one transaction per day.

    A product's level is log-normal, its yearly growth normal around 5 %, its weekdays differ by 30 %, its year
    is a wave of 10 to 50 % with a smaller half-year wave, and the noise is log-normal with 15 %. The best
    possible forecast therefore has a WAPE of about 0.12.

    Args:
        series: Number of products.
        years: Years of 365 days each, from 2019 on, and one more day (5 years: 1,826 days).
        seed: Seed of the generator.
        start: Number of the first product.

    Returns:
        The columns that the reference pipeline knows: `produto`, `categoria_valor`, `quantidade`, `valor_total`,
        `data_venda`; `series` × days rows.
    """
    random = np.random.default_rng(seed)
    days = np.arange(365 * years + 1)
    dates = np.datetime64(FIRST_DAY) + days
    weekday = (days + FIRST_DAY.weekday()) % 7
    year = 2 * np.pi * days / 365.25
    parts = []
    for number in range(start, start + series):
        level = np.exp(random.normal(4.0, 1.0))
        trend = np.clip(1 + random.normal(0.05, 0.1) * days / 365, 0.2, None)
        week = np.clip(1 + 0.3 * random.normal(size=7), 0.1, None)[weekday]
        season = (
            1
            + random.uniform(0.1, 0.5) * np.sin(year + random.uniform(0, 2 * np.pi))
            + 0.1 * np.sin(2 * year + random.uniform(0, 2 * np.pi))
        )
        value = level * trend * week * season * np.exp(random.normal(0, 0.15, len(days)))
        price = np.exp(random.normal(1.0, 0.5))
        parts.append(
            pd.DataFrame(
                {
                    "produto": f"product {number:04d}",
                    "categoria_valor": f"category {number % 10}",
                    "quantidade": np.round(value / price, 3),
                    "valor_total": np.round(value, 2),
                    "data_venda": dates,
                }
            )
        )
    sales = pd.concat(parts, ignore_index=True)
    sales["data_venda"] = sales["data_venda"].dt.date
    return sales[REFERENCE_COLUMNS]


def generated_file(path: Path, series: int, years: int, seed: int) -> Path:
    """Writes generated sales as a Parquet file that pandas, Polars and Spark read alike.

    More than `SERIES_AT_A_TIME` series are made and written in pieces, each with a seed of its own.
    """
    first = min(series, SERIES_AT_A_TIME)
    table = pa.Table.from_pandas(generated_sales(first, years, seed), preserve_index=False)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        for start in range(first, series, SERIES_AT_A_TIME):
            count = min(SERIES_AT_A_TIME, series - start)
            piece = generated_sales(count, years, seed + start, start)
            writer.write_table(pa.Table.from_pandas(piece, schema=table.schema, preserve_index=False))
    return path


def online_retail(source: Path, path: Path, best_sellers: int | None, exclude: str) -> tuple[Path, Path]:
    """The shipped invoice lines for both sides.

    Args:
        source: `data/online_retail.parquet`.
        path: Folder for the results.
        best_sellers: Only the lines of this many products with the highest revenue; None: all lines.
        exclude: Regular expression of product codes that are no products; not counted among best-sellers.

    Returns:
        The file as this project reads it (the original columns) and the same lines in the same order with the
        columns that the reference pipeline knows. The source has no category and no total: the category is
        constant, the total is quantity times price.
    """
    lines = pd.read_parquet(source)
    product = lines["StockCode"].str.strip().str.upper()
    total = lines["Quantity"] * lines["UnitPrice"]
    if best_sellers:
        goods = ~product.str.fullmatch(exclude)
        best = total[goods].groupby(product[goods]).sum().nlargest(best_sellers).index
        kept = product.isin(best)
        lines, product, total = lines[kept], product[kept], total[kept]
    for_reference = pd.DataFrame(
        {
            "produto": product,
            "categoria_valor": "all",
            "quantidade": lines["Quantity"].astype(float),
            "valor_total": total,
            "data_venda": lines["InvoiceDate"],
        }
    )
    own, reference = path / "sales.parquet", path / "reference_sales.parquet"
    lines.to_parquet(own, index=False, coerce_timestamps="us")
    for_reference[REFERENCE_COLUMNS].to_parquet(reference, index=False, coerce_timestamps="us")
    return own, reference


def series_file(sales: Path, path: Path) -> Path:
    """Writes generated sales as the project's table `sales_series` has them."""
    days = pd.read_parquet(sales)
    series = pd.DataFrame(
        {
            "unique_id": days["produto"],
            "product": days["produto"],
            "category": days["categoria_valor"],
            "ds": days["data_venda"],
            "y": days["valor_total"],
            "quantity": days["quantidade"],
            "revenue": days["valor_total"],
            "rows": 1,
            "closed": False,
        }
    )
    pq.write_table(pa.Table.from_pandas(series, preserve_index=False), path)
    return path
