"""Checks of the features and of the panel: nothing missing, nothing from the future."""

from collections.abc import Iterator

import dagster as dg

from salesml_assets.checks.base import (
    Finding,
    schema_finding,
    table_checks,
    unique_finding,
)
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake

LEAKAGE_SERIES = 50


def feature_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            "features",
            {
                "schema": "The features are there, in their types.",
                "complete": "One row for each row of the series.",
            },
            measure_features,
            settings,
            blocking=("schema", "complete"),
        ),
        table_checks(
            "panel",
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


def measure_features(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Columns and rows."""
    from salesml_assets.forecasting.features import CONTRACT_COLUMNS

    text = {"year_month": "string", "day_of_week": "integer"}
    expected = {name: text.get(name, "double") for name in CONTRACT_COLUMNS}
    yield schema_finding(tables, "features", expected | {"scale": "double"})
    rows, wanted = tables.tables.size("features").rows, tables.tables.size("sales_series").rows
    yield Finding(
        "complete", rows == wanted, {"features": rows, "series": wanted}, description=f"{wanted - rows:+,} rows missing"
    )


def measure_panel(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Keys, finite numbers, and the leakage test on a sample of series."""
    import functools
    import operator

    from pyspark.sql import functions as F

    from salesml_assets.forecasting.training.leakage import changed_features

    yield unique_finding(tables, "panel", ["kind", "unique_id", "origin", "horizon"])
    panel = tables.read("panel")
    names = [name for name in panel.columns if name.startswith("f_")]
    # Nought times what is missing or infinite is not nought, and neither is a sum with it.
    nought = functools.reduce(operator.add, [F.col(name) * 0.0 for name in names])
    rows = panel.where(nought.isNull() | F.isnan(nought)).count()
    yield Finding("finite", rows == 0, {"features": len(names), "bad rows": rows}, description=f"{rows:,} bad rows")
    result = changed_features(tables.read("features"), panel, settings, LEAKAGE_SERIES)
    yield Finding(
        "no_leakage",
        not result.changed and result.compared > 0,
        {
            "rows compared": result.compared,
            "cutoff": str(result.cutoff),
            "latest value used": str(result.latest_value),
            "changed": ", ".join(result.changed) or "none",
        },
        description=f"features that change when later values are cut off: {', '.join(result.changed)}",
    )
