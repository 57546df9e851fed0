"""Realised error of the production model's forecasts, and forecasts of the first model for comparison."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import PANEL, PRODUCTION_MODEL, SALES_SERIES
from salesml_assets.resources.files import FileStore

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["unique_id", "ds", "yhat"]


@dataclass(frozen=True)
class RealisedError:
    """Error of the forecasts of a week: Σ|y - ŷ| / Σ|y|, Σ(ŷ - y) / Σ|y|, and Σ|y|."""

    wape: float | None
    bias: float | None
    volume: float


def first_model_forecasts(lake: Lakehouse, files: FileStore, folder: str) -> pd.DataFrame:
    """Forecasts of the first model from the panel of the production model: `unique_id`, `ds`, `yhat`.

    Args:
        lake: The tables.
        files: The file store with the model.
        folder: The model's folder.
    """
    import polars as pl
    import pyarrow.compute as pc

    from salesml_assets.forecasting.model.bundle import read_bundle
    from salesml_assets.forecasting.model.predict import forecast
    from salesml_assets.forecasting.panel import FUTURE

    bundle = read_bundle(partial(files.read, PRODUCTION_MODEL, folder), folder)
    rows = lake.batches(PANEL, filters=pc.field("kind") == FUTURE)
    # Through Arrow: days stay days, as in the tables that they are joined with.
    return pl.concat([forecast(bundle, batch).select(COLUMNS) for batch in rows]).to_arrow().to_pandas()


def realised_error(forecasts: pd.DataFrame, lake: Lakehouse, monday: dt.date) -> RealisedError:
    """The error over the known trading days of a week, all series together.

    Args:
        forecasts: `unique_id`, `ds`, `yhat`, from an origin before the week.
        lake: The tables, including the week's sales.
        monday: The week's first day.
    """
    sunday = monday + dt.timedelta(6)
    series = lake.read_pandas(
        SALES_SERIES, ["unique_id", "ds", "y", "closed"], [("ds", ">=", monday), ("ds", "<=", sunday)]
    )
    actual = series[~series["closed"] & series["y"].notna()]
    rows = actual.merge(forecasts, on=["unique_id", "ds"])
    volume = float(rows["y"].abs().sum())
    if volume == 0:
        return RealisedError(None, None, 0.0)
    error = rows["yhat"] - rows["y"]
    return RealisedError(float(error.abs().sum() / volume), float(error.sum() / volume), volume)
