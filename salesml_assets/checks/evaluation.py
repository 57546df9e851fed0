"""Checks of the comparison."""

from collections.abc import Iterator

import dagster as dg

from salesml_assets.checks.base import WARN, Finding, table_checks
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse

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
        )
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
