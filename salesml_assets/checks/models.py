"""Checks of each algorithm's backtest."""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import polars as pl
import pyarrow.compute as pc

from salesml_assets.checks.base import Finding, table_checks
from salesml_assets.config.settings import Settings
from salesml_assets.lake.aggregate import added_up
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import PANEL


def model_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of each algorithm that takes part."""
    return [checks_of(name, settings) for name in settings.training.algorithms]


def checks_of(algorithm: str, settings: Settings) -> dg.AssetChecksDefinition:
    """The checks of one algorithm."""
    return table_checks(
        algorithm,
        {
            "same_rows": "Every row of the backtest is predicted, as for every other algorithm.",
            "finite": "Every prediction is a finite number, not negative where the target cannot be.",
        },
        partial(measure_backtest, algorithm),
        settings,
        blocking=("same_rows", "finite"),
    )


def measure_backtest(algorithm: str, lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Rows and values of the predictions."""
    yhat = pl.col("yhat")
    counts = {
        "rows": pl.len(),
        "bad": (~yhat.is_finite().fill_null(False)).sum(),
        "negative": (yhat < 0).sum(),
        "late": (pl.col("ds") <= pl.col("origin")).sum(),
    }
    rows, bad, negative, late = added_up(lake.batches(algorithm, ["yhat", "ds", "origin"]), counts).values()
    wanted = sum(batch.height for batch in lake.batches(PANEL, ["kind"], pc.field("kind") == "score"))
    yield Finding(
        "same_rows",
        rows == wanted and late == 0,
        {"predictions": rows, "rows of the panel": wanted, "targets not after their origin": late},
        description=f"{rows:,} predictions for {wanted:,} rows of the panel",
    )
    below = negative if settings.forecast.non_negative else 0
    yield Finding(
        "finite",
        bad == 0 and below == 0,
        {"missing, infinite or not a number": bad, "negative": negative},
        description=f"{bad:,} predictions are no finite numbers, {below:,} negative",
    )
