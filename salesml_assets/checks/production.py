"""Checks of the production model and of its forecasts."""

from collections.abc import Iterator

import dagster as dg

from salesml_assets.checks.base import WARN, Finding, table_checks, unique_finding
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake


def production_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            "production_model",
            {"versions": "Versions count up by one, and the newest one was made from the latest data."},
            measure_production_model,
            settings,
            blocking=("versions",),
        ),
        table_checks(
            "forecasts",
            {
                "unique_keys": "One row per series and step.",
                "complete": "Every series has a forecast for every step of the horizon.",
                "ordered_intervals": "Bounds stand in order around the forecast, none negative where sales cannot be.",
                "plausible": "The total forecast is of the size of recent sales.",
            },
            measure_forecasts,
            settings,
            blocking=("unique_keys", "complete", "ordered_intervals"),
        ),
    ]


def measure_production_model(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Numbering and currency of the versions."""
    from pyspark.sql import functions as F

    versions = tables.read_pandas("production_model").sort_values("version")
    numbers = versions["version"].tolist()
    newest = versions.iloc[-1]
    (last,) = tables.read("sales_series").agg(F.max("ds")).first()  # type: ignore[misc]
    in_order = numbers == list(range(1, len(numbers) + 1))
    yield Finding(
        "versions",
        in_order and str(newest["cutoff"])[:10] == str(last),
        {
            "version": int(newest["version"]),
            "algorithm": newest["algorithm"],
            "learned up to": str(newest["cutoff"])[:10],
            "last step of the data": str(last),
        },
        description=f"versions {numbers[-3:]}, the newest learned up to {newest['cutoff']}, the data end on {last}",
    )


def measure_forecasts(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Keys, completeness, order of the bounds, size."""
    from pyspark.sql import functions as F

    yield unique_finding(tables, "forecasts", ["unique_id", "ds"])
    forecasts, series = tables.read("forecasts"), tables.read("sales_series")
    horizon = settings.forecast.horizon
    rows, bad, low, fallback, total = forecasts.agg(
        F.count(F.lit(1)),
        F.count_if(~F.expr("lo95 <= lo80 and lo80 <= yhat and yhat <= hi80 and hi80 <= hi95")),
        F.count_if(F.col("lo95") < 0),
        F.count_if(F.col("model").contains("short series")),
        F.sum("yhat"),
    ).first()  # type: ignore[misc]
    wanted = series.select("unique_id").distinct().count() * horizon
    yield Finding(
        "complete",
        rows == wanted,
        {"rows": rows, "series times horizon": wanted, "rows of the fallback": fallback},
        description=f"{rows:,} rows instead of {wanted:,}",
    )
    below = low if settings.forecast.non_negative else 0
    yield Finding(
        "ordered_intervals",
        bad == 0 and below == 0,
        {"rows out of order": bad, "negative": low},
        description=f"{bad:,} rows have bounds out of order, {below:,} are negative",
    )
    last_steps = series.select("ds").distinct().orderBy(F.desc("ds")).limit(horizon)
    (recent,) = series.join(F.broadcast(last_steps), "ds", "left_semi").agg(F.sum("y")).first()  # type: ignore[misc]
    ratio = total / recent if recent else float("inf")
    yield Finding(
        "plausible",
        1 / 3 <= ratio <= 3,
        {"total forecast": total, "same number of steps before": recent or 0.0, "ratio": min(ratio, 1e9)},
        WARN,
        f"the total forecast is {ratio:.2f} times the sales of as many steps before",
    )
