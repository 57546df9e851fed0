"""The losses of an A/B test by another way than the product's: table by table, with pandas."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl

from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import CHALLENGER_FORECASTS, FORECASTS, SALES_SERIES


def expected_losses(lake: Lakehouse) -> pl.DataFrame:
    """Per day Σ|y - ŷ| of both models, from the versions of their tables, computed with pandas."""
    actual = lake.read_pandas(SALES_SERIES).query("not closed")[["unique_id", "ds", "y"]]

    def made(name: str, model: int) -> pd.DataFrame:
        tables: dict[Any, pd.DataFrame] = {}
        for commit in reversed(lake.history(name)):
            rows = lake.read_pandas(name, version=commit.version)
            rows = rows[rows["model_version"] == model]
            if len(rows):
                tables[rows["cutoff"].iloc[0]] = rows[["unique_id", "cutoff", "ds", "yhat"]]
        return pd.concat(tables.values())

    both = made(FORECASTS, 2).merge(made(CHALLENGER_FORECASTS, 1), on=["unique_id", "cutoff", "ds"])
    both = both.merge(actual, on=["unique_id", "ds"])
    both = both.assign(
        champion=(both["y"] - both["yhat_x"]).abs(), challenger=(both["y"] - both["yhat_y"]).abs(), volume=both["y"]
    )
    return pl.from_pandas(both.groupby("ds", as_index=False)[["champion", "challenger", "volume"]].sum())
