"""The sales of the stack's tests: some of the shipped ones, delivered week by week, and the settings for them."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import polars as pl
import yaml

from salesml_assets_tests.stack.compose import ROOT

PRODUCTS = 60
FIRST = dt.date(2011, 10, 30)  # the last day of the first delivery, a Sunday
DRIFTED = dt.date(2011, 11, 20)  # the last day of the delivery in which most products sell far more
FACTOR = 6


def sales() -> pl.DataFrame:
    """The rows of the products with most rows."""
    rows = pl.read_parquet(ROOT / "data" / "online_retail.parquet")
    products = rows["StockCode"].value_counts(sort=True).head(PRODUCTS)["StockCode"]
    return rows.filter(pl.col("StockCode").is_in(products.to_list()))


def between(rows: pl.DataFrame, first: dt.date | None, last: dt.date) -> pl.DataFrame:
    """The rows of some days, both ends included."""
    day = pl.col("InvoiceDate").cast(pl.Date)
    return rows.filter((day <= last) & (day >= first if first else pl.lit(True)))


def drifted(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows with far larger quantities."""
    return rows.with_columns(pl.when(pl.col("Quantity") > 0).then(pl.col("Quantity") * FACTOR).otherwise("Quantity"))


def parquet(rows: pl.DataFrame) -> bytes:
    """A file of the rows."""
    stream = io.BytesIO()
    rows.write_parquet(stream)
    return stream.getvalue()


def settings() -> str:
    """The project's settings, with lean algorithms: a baseline, one learner of MLlib, and small boosted trees."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "salesml.yaml").read_text(encoding="utf-8"))
    values["forecast"] |= {"horizon": 14}
    values["training"] = {
        "algorithms": ["seasonal_naive", "random_forest", "xgboost"],
        "grids": {
            "random_forest": {"numTrees": [5], "maxDepth": [5]},
            "xgboost": {"objective": ["reg:squarederror"], "n_estimators": [40]},
        },
        "max_rows": 5_000,
        "tree_rows": 2_000,
    }
    values["clock"] = {"today": "2011-12-10"}
    values["automation"] = {"retry_minutes": 0.1}
    # No month of the past is delivered late, and only the drift that is injected is to start a retrain.
    values["drift"] = {"cool_down_weeks": 2}
    return yaml.safe_dump(values)
