"""Checks of each algorithm's backtest."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from salesml_assets.checks.base import Finding, table_checks
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake


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


def measure_backtest(algorithm: str, tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Rows and values of the predictions."""
    from pyspark.sql import functions as F

    predictions = tables.read(algorithm)
    yhat = F.col("yhat")
    rows, bad, negative, late = predictions.agg(
        F.count(F.lit(1)),
        F.count_if(yhat.isNull() | F.isnan(yhat) | (F.abs(yhat) == float("inf"))),
        F.count_if(yhat < 0),
        F.count_if(F.col("ds") <= F.col("origin")),
    ).first()  # type: ignore[misc]
    wanted = tables.read("panel").where("kind = 'score'").count()
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
