"""Checks of the comparison."""

from collections.abc import Iterator

import dagster as dg
import polars as pl
import pyarrow.compute as pc

from salesml_assets.checks.base import WARN, Finding, table_checks
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import EXPLANATIONS, FORECASTS

MAX_DIFFERENCE = 1e-6  # relative, of sums of shares from forecasts
LEVELS = {"coverage80": 0.80, "coverage95": 0.95}


def evaluation_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            "model_comparison",
            {
                "metrics_finite": "Every total of every algorithm is a finite number.",
                "beats_baseline": "The best algorithm has a lower WAPE than the seasonal naive.",
                "interval_coverage": "Measured coverage of the best algorithm's intervals is near the nominal one.",
            },
            measure_comparison,
            settings,
            blocking=("metrics_finite",),
        ),
        table_checks(
            EXPLANATIONS,
            {"adds_up": "The shares of each explained forecast add up to the forecast that is published."},
            measure_explanations,
            settings,
        ),
    ]


def measure_comparison(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Totals, baseline, coverage."""
    metrics = lake.read_pandas("model_comparison")
    total = metrics[metrics["dimension"] == "total"].pivot_table(index="algorithm", columns="metric", values="value")
    required = ["wape", "rmse", "mae", "bias"]
    values: dict[str, dict[str, float]] = total.to_dict("index")  # type: ignore[assignment]
    missing = [
        f"{algorithm}.{metric}"
        for algorithm in settings.training.algorithms
        for metric in required
        if not abs(values.get(algorithm, {}).get(metric, float("inf"))) < float("inf")
    ]
    yield Finding(
        "metrics_finite",
        not missing,
        {"algorithms": len(total), "missing": ", ".join(missing) or "none"},
        description=f"undefined: {', '.join(missing)}",
    )
    best = str(total["wape"].idxmin())
    naive = float(total["wape"].get("seasonal_naive", float("inf")))
    wape = float(total["wape"].min())
    yield Finding(
        "beats_baseline",
        best != "seasonal_naive" and wape < naive,
        {"best": best, "WAPE": wape, "WAPE of the seasonal naive": naive if naive < float("inf") else "not compared"},
        WARN,
        "no algorithm is better than the seasonal naive",
    )
    measured = {name: values[best][name] for name in LEVELS if name in values[best]}
    off = {
        name: value
        for name, value in measured.items()
        if abs(value - LEVELS[name]) > settings.checks.coverage_tolerance
    }
    yield Finding(
        "interval_coverage",
        len(measured) == len(LEVELS) and not off,
        {"algorithm": best, **measured, "tolerance": settings.checks.coverage_tolerance},
        WARN,
        f"coverage is off: {off}",
    )


def measure_explanations(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Sums of shares against the table of forecasts."""
    local = lake.read_polars(EXPLANATIONS, ["unique_id", "ds", "amount"], pc.field("kind") == "local")
    sums = local.group_by("unique_id", "ds").agg(pl.col("amount").sum())
    names = pc.field("unique_id").isin(sums["unique_id"].unique().to_list())
    made = lake.read_polars(FORECASTS, ["unique_id", "ds", "yhat"], names)
    both = sums.join(made, on=["unique_id", "ds"], how="full", coalesce=True)
    off = (pl.col("amount") - pl.col("yhat")).abs() / pl.col("yhat").abs().clip(lower_bound=1.0)
    distances = both.select(off.fill_null(float("inf")))["amount"].to_list()
    largest = max(distances, default=0.0)
    yield Finding(
        "adds_up",
        largest <= MAX_DIFFERENCE,
        {"forecasts": len(distances), "largest difference": largest if largest < float("inf") else "not forecast"},
        description="the explanations are not those of the published forecasts: materialize `explanations` again",
    )
