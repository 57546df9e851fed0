"""Forecasts of the first model beside those of the production model, and what came of both."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import PRODUCTION_MODEL
from salesml_assets.resources.files import FileStore

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

COLUMNS = ["unique_id", "ds", "yhat"]


@dataclass(frozen=True)
class Realised:
    """Error of the forecasts of a week: Σ|y - ŷ| / Σ|y|, Σ(ŷ - y) / Σ|y|, and Σ|y|."""

    wape: float | None
    bias: float | None
    volume: float


def first_model_forecasts(
    spark: SparkSession, lake: Lakehouse, files: FileStore, folder: str, settings: Settings
) -> pd.DataFrame:
    """What the first model says now, from the same panel as the model in production: `unique_id`, `ds`, `yhat`.

    Args:
        spark: The session.
        lake: The tables.
        files: Where the model is.
        folder: The model's folder.
        settings: The settings.
    """
    import pandas as pd

    from salesml_assets.forecasting.production import forecast, load
    from salesml_assets.lake.spark_tables import read_table

    manifest = json.loads(files.read_text(PRODUCTION_MODEL, folder, "manifest.json"))
    fitted = load(manifest, files.path(PRODUCTION_MODEL, folder, "model"))
    intervals = pd.DataFrame(manifest["intervals"])
    rows = forecast(
        fitted, read_table(spark, lake, "panel"), intervals, settings, manifest["algorithm"], manifest["version"]
    )
    return rows.select(*COLUMNS).toPandas()


def realised(forecasts: pd.DataFrame, lake: Lakehouse, monday: dt.date) -> Realised:
    """The error over the days of a week and all series, on the trading days that are known.

    Args:
        forecasts: `unique_id`, `ds`, `yhat`, made before the week.
        lake: The tables, with the week's sales.
        monday: The week's first day.
    """
    sunday = monday + dt.timedelta(6)
    series = lake.read_pandas(
        "sales_series", ["unique_id", "ds", "y", "closed"], [("ds", ">=", monday), ("ds", "<=", sunday)]
    )
    actual = series[~series["closed"] & series["y"].notna()]
    rows = actual.merge(forecasts, on=["unique_id", "ds"])
    volume = float(rows["y"].abs().sum())
    if volume == 0:
        return Realised(None, None, 0.0)
    error = rows["yhat"] - rows["y"]
    return Realised(float(error.abs().sum() / volume), float(error.sum() / volume), volume)
