"""Checks of the features and of the panel: nothing missing, nothing from the future."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from salesml_assets.checks.base import (
    Finding,
    schema_finding,
    table_checks,
    unique_finding,
)
from salesml_assets.config.settings import Settings
from salesml_assets.lake.aggregate import added_up
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FEATURES, PANEL, POOLED_CALENDAR, SALES_SERIES

LEAKAGE_SERIES = 50


def feature_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            FEATURES,
            {
                "schema": "The features are there, in their types.",
                "complete": "One row for each row of the series.",
            },
            measure_features,
            settings,
            blocking=("schema", "complete"),
        ),
        table_checks(
            POOLED_CALENDAR,
            {"finite": "Every coefficient and every ratio is a number."},
            measure_pooled_calendar,
            settings,
            blocking=("finite",),
        ),
        table_checks(
            PANEL,
            {
                "unique_keys": "One row per kind, series, origin and horizon.",
                "finite": "No feature is missing, infinite or not a number.",
                "no_leakage": "Features of the backtest's origins are the same when all later values are cut off.",
            },
            measure_panel,
            settings,
            blocking=("unique_keys", "finite", "no_leakage"),
        ),
    ]


def measure_features(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Columns and rows."""
    from salesml_assets.forecasting.features import CONTRACT_COLUMNS

    text = {"year_month": "string", "day_of_week": "integer"}
    expected = {name: text.get(name, "double") for name in CONTRACT_COLUMNS}
    yield schema_finding(lake, FEATURES, expected | {"scale": "double"})
    rows, wanted = lake.size(FEATURES).rows, lake.size(SALES_SERIES).rows
    yield Finding(
        "complete", rows == wanted, {"features": rows, "series": wanted}, description=f"{wanted - rows:+,} rows missing"
    )


def measure_pooled_calendar(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Finite numbers."""
    finite = pl.col("linear").is_finite().fill_null(False) & pl.col("log").is_finite().fill_null(True)
    bad = added_up(lake.batches(POOLED_CALENDAR, ["linear", "log"]), {"bad": (~finite).sum()})["bad"]
    yield Finding("finite", bad == 0, {"bad rows": bad}, description=f"{bad:,} bad rows")


def measure_panel(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Keys, finite numbers, and the leakage test on a sample of series."""
    from salesml_assets.forecasting.leakage import changed_features

    yield unique_finding(lake, PANEL, ["kind", "unique_id", "origin", "horizon"])
    names = [name for name in lake.columns(PANEL) if name.startswith("f_")]
    finite = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in names)
    rows = added_up(lake.batches(PANEL, names), {"bad": (~finite).sum()})["bad"]
    yield Finding("finite", rows == 0, {"features": len(names), "bad rows": rows}, description=f"{rows:,} bad rows")
    result = changed_features(lake, settings, LEAKAGE_SERIES)
    yield Finding(
        "no_leakage",
        not result.changed,  # where no series was long enough at the origin, nothing can have leaked
        {
            "rows compared": result.compared,
            "cutoff": str(result.cutoff),
            "latest value used": str(result.latest_value),
            "changed": ", ".join(result.changed) or "none",
        },
        description=f"features that change when later values are cut off: {', '.join(result.changed)}",
    )
