"""Checks of the production model and of its forecasts."""

import itertools
from collections.abc import Iterable, Iterator
from functools import partial

import dagster as dg
import polars as pl
import pyarrow.compute as pc

from salesml_assets.checks.base import WARN, Finding, table_checks, unique_finding
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.hierarchy import SERIES
from salesml_assets.forecasting.intervals import BOUNDS, LEVELS, ORDER_QUANTITY
from salesml_assets.forecasting.versions import all_versions
from salesml_assets.lake.aggregate import Partial, added_up, latest_day
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FORECASTS, HIERARCHY_FORECASTS, PRODUCTION_MODEL, SALES_SERIES, SHORT_SERIES

OF_FORECASTS = {
    "unique_keys": "One row per series and step.",
    "complete": "Every series has a forecast for every step of the horizon.",
    "ordered_intervals": "Bounds and order quantity stand in order around the forecast, none negative where sales "
    "cannot be.",
    "plausible": "The total forecast is of the size of recent sales.",
}
BLOCKING = ("unique_keys", "complete", "ordered_intervals")
OF_TOTALS = {
    "sums_agree": "The totals of each level add up to the forecasts of the series, step by step.",
    "ordered_intervals": "Bounds stand in order around the forecast, none negative where sales cannot be.",
}
MAX_DIFFERENCE = 1e-6  # relative, of sums in another order
BOUNDS_IN_ORDER = ("lo95", "lo80", "yhat", "hi80", "hi95")


def production_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            PRODUCTION_MODEL,
            {"versions": "Versions count up by one; the newest learned from the latest data, or is an earlier choice."},
            measure_production_model,
            settings,
            blocking=("versions",),
        ),
        table_checks(FORECASTS, OF_FORECASTS, partial(measure_forecasts, table=FORECASTS), settings, BLOCKING),
        *(
            [table_checks(HIERARCHY_FORECASTS, OF_TOTALS, measure_totals, settings, tuple(OF_TOTALS))]
            if settings.has_totals
            else []
        ),
    ]


def measure_production_model(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Numbering and currency of the versions."""
    versions = all_versions(lake)
    numbers = [version.version for version in versions]
    newest = versions[-1]
    last = latest_day(lake.batches(SALES_SERIES, ["ds"]), "ds")
    in_order = numbers == list(range(1, len(numbers) + 1))
    # What was put into production by hand or by an A/B test learned from older data, which is what was wanted.
    current = newest.cutoff <= last if newest.repeats and last else newest.cutoff == last
    yield Finding(
        "versions",
        in_order and current,
        {
            "version": newest.version,
            "algorithm": newest.algorithm,
            "origin": newest.origin,
            "learned up to": str(newest.cutoff),
            "last step of the data": str(last),
        },
        description=f"versions {numbers[-3:]}, the newest learned up to {newest.cutoff}, the data end on {last}",
    )


def measure_forecasts(lake: Lakehouse, settings: Settings, *, table: str) -> Iterator[Finding]:
    """Keys, completeness, order of the bounds, size."""
    yield unique_finding(lake, table, ["unique_id", "ds"])
    horizon = settings.forecast.horizon
    pairs = [*itertools.pairwise(BOUNDS_IN_ORDER), *_around_order(lake, table, settings)]
    counts = {
        "rows": pl.len(),
        "bad": (~_in_order(pairs)).sum(),
        "low": (pl.col("lo95") < 0).sum(),
        "fallback": pl.col("model").is_in(SHORT_SERIES).sum(),
        "total": pl.col("yhat").sum(),
    }
    columns = [*dict.fromkeys(name for pair in pairs for name in pair), "model"]
    found = added_up(lake.batches(table, columns), counts)
    rows, bad, low, fallback, total = found.values()
    series, steps = _series_and_steps(lake)
    wanted = series * horizon
    yield Finding(
        "complete",
        rows == wanted,
        {"rows": rows, "series times horizon": wanted, "rows of the fallback": fallback},
        description=f"{rows:,} rows instead of {wanted:,}",
    )
    yield _ordered(bad, low, settings)
    recent = steps.tail(horizon)["y"].sum()
    ratio = total / recent if recent else float("inf")
    yield Finding(
        "plausible",
        1 / 3 <= ratio <= 3,
        {"total forecast": total, "same number of steps before": recent, "ratio": min(ratio, 1e9)},
        WARN,
        f"the total forecast is {ratio:.2f} times the sales of as many steps before",
    )


def _in_order(pairs: Iterable[tuple[str, str]]) -> pl.Expr:
    """Whether the values of each pair of a row stand in order; a missing one does not."""
    return pl.all_horizontal(pl.col(low) <= pl.col(high) for low, high in pairs).fill_null(False)


def _ordered(bad: int, low: int, settings: Settings) -> Finding:
    below = low if settings.forecast.non_negative else 0
    return Finding(
        "ordered_intervals",
        bad == 0 and below == 0,
        {"rows out of order": bad, "negative": low},
        description=f"{bad:,} rows have bounds out of order, {below:,} are negative",
    )


def measure_totals(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Sums of every level against the forecasts of the series, and the order of the bounds."""
    steps = Partial(
        lambda rows: rows.group_by("ds").agg(pl.col("yhat").sum()),
        pl.DataFrame(schema={"ds": pl.Date, "yhat": pl.Float64}),
    )
    is_series, is_reconciled = pc.field("level") == SERIES, settings.forecast.hierarchy.reconciliation == "mint"
    source, condition = (HIERARCHY_FORECASTS, is_series) if is_reconciled else (FORECASTS, None)
    for batch in lake.batches(source, ["ds", "yhat"], condition):
        steps.add(batch.group_by("ds").agg(pl.col("yhat").sum()))
    totals = lake.read_polars(HIERARCHY_FORECASTS, ["level", "ds", *BOUNDS_IN_ORDER], ~is_series)
    of_levels = totals.group_by("level", "ds").agg(pl.col("yhat").sum().alias("total"))
    wanted = totals.select("level").unique().join(steps.total(), how="cross")
    both = wanted.join(of_levels, on=["level", "ds"], how="full", coalesce=True)
    off = ((pl.col("total") - pl.col("yhat")).abs() / pl.col("yhat").abs().clip(lower_bound=1.0)).fill_null(
        float("inf")
    )
    largest = float(both.select(off.max()).item() or 0.0)
    yield Finding(
        "sums_agree",
        both.height > 0 and largest <= MAX_DIFFERENCE,
        {
            "levels": ", ".join(sorted(totals["level"].unique())),
            "sums": both.height,
            "largest difference": largest if largest < float("inf") else "a step is missing",
        },
        description="totals differ from the forecasts of the series",
    )
    bad, low = totals.select(bad=~_in_order(itertools.pairwise(BOUNDS_IN_ORDER)), low=pl.col("lo95") < 0).sum().row(0)
    yield _ordered(bad, low, settings)


def _around_order(lake: Lakehouse, table: str, settings: Settings) -> list[tuple[str, str]]:
    """Which bounds the quantity to order has to respect: by its service level, where costs are set."""
    level = settings.orders.service_level
    if level is None or ORDER_QUANTITY not in lake.columns(table):
        return []
    pairs = []
    for nominal, low, high in zip(LEVELS, BOUNDS[::2], BOUNDS[1::2], strict=True):
        pairs += [(low, ORDER_QUANTITY)] if level >= (1 - nominal) / 2 else []
        pairs += [(ORDER_QUANTITY, high)] if level <= (1 + nominal) / 2 else []
    return pairs


def _series_and_steps(lake: Lakehouse) -> tuple[int, pl.DataFrame]:
    """The number of series, and per step of the data, in their order, the sum `y` of all series."""
    names = Partial(lambda rows: rows.unique(), pl.DataFrame(schema={"unique_id": pl.String}))
    steps = Partial(
        lambda rows: rows.group_by("ds").agg(pl.col("y").sum()), pl.DataFrame(schema={"ds": pl.Date, "y": pl.Float64})
    )
    for batch in lake.batches(SALES_SERIES, ["unique_id", "ds", "y"]):
        names.add(batch.select("unique_id").unique())
        steps.add(batch.group_by("ds").agg(pl.col("y").sum()))
    return names.total().height, steps.total().sort("ds")
