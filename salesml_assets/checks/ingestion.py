"""Checks of what arrives, what is accepted, and the series made from it."""

import datetime as dt
import math
from collections.abc import Iterator

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow.compute as pc

from salesml_assets.checks.base import (
    ERROR,
    WARN,
    Finding,
    in_turn,
    schema_finding,
    table_checks,
    unique_finding,
)
from salesml_assets.checks.intake import (
    SALES_CHECKS,
    measure_outliers,
    measure_rejected,
)
from salesml_assets.config.settings import Settings
from salesml_assets.lake.aggregate import Partial, added_up, counted, latest_day
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import QUARANTINED_SALES, RAW_SALES, SALES, SALES_SERIES


def ingestion_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    return [
        table_checks(
            RAW_SALES,
            {
                "volume": "A month's rows are within the usual range of the months before it.",
            },
            measure_raw_sales,
            settings,
        ),
        table_checks(
            SALES,
            {
                "schema": "The canonical columns are there, in their types.",
                "row_conservation": "Accepted and quarantined rows are together what was delivered.",
                "required_values": "No accepted row lacks its date, its keys or the target.",
                "freshness": "The newest sale is not too old.",
                **SALES_CHECKS,
            },
            in_turn(measure_sales, measure_rejected, measure_outliers),
            settings,
            # Those on `sales` stop what is made of it; what is downstream of the quarantine alone is nothing.
            blocking=("schema", "row_conservation", "required_values", *SALES_CHECKS),
        ),
        table_checks(
            QUARANTINED_SALES,
            {
                "quarantine_share": "The share of rejected rows is small.",
                "reasons": "Every rejected row says why.",
            },
            measure_quarantined_sales,
            settings,
            blocking=("quarantine_share", "reasons"),
        ),
        table_checks(
            SALES_SERIES,
            {
                "schema": "The columns of a series are there, in their types.",
                "unique_keys": "One row per series and step.",
                "complete_calendar": "No step is missing between a series' first and last one, and all end together.",
                "amount_conservation": "The series add up to the accepted sales.",
            },
            measure_sales_series,
            settings,
            blocking=("schema", "unique_keys", "complete_calendar", "amount_conservation"),
        ),
    ]


def measure_raw_sales(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Rows of the newest full month against the three before it."""
    if lake.partition_columns(RAW_SALES):
        counts = lake.rows_by_month(RAW_SALES)
    else:
        counts = counted(lake.batches(RAW_SALES, ["_month"]), "_month")
    full = pd.Series({month: counts[month] for month in sorted(counts) if month < f"{settings.today:%Y-%m}"})
    if len(full) < 4:
        yield Finding("volume", True, {"months": len(full), "note": "too few full months to compare"}, WARN)
    else:
        newest, usual = int(full.iloc[-1]), float(full.iloc[-4:-1].mean())
        ratio, factor = newest / usual, settings.checks.volume_factor
        yield Finding(
            "volume",
            1 / factor <= ratio <= factor,
            {"month": full.index[-1], "rows": newest, "mean of the three before": usual, "ratio": ratio},
            WARN,
            f"{full.index[-1]} has {newest:,} rows, {ratio:.2f} times those of the three months before",
        )


def measure_sales(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Columns, conservation of rows, required values, age of the newest sale."""
    target, keys = settings.forecast.target, list(settings.forecast.series)
    texts: dict[str, str] = dict.fromkeys(keys, "string")
    expected = {"date": "date", target: "double", **texts, "is_return": "boolean"}
    yield schema_finding(lake, SALES, expected)
    rows = {name: lake.size(name).rows for name in (RAW_SALES, SALES, QUARANTINED_SALES)}
    lost = rows[RAW_SALES] - rows[SALES] - rows[QUARANTINED_SALES]
    yield Finding(
        "row_conservation", lost == 0, rows | {"lost": lost}, description=f"{lost:,} rows are unaccounted for"
    )
    required = ["date", target, *keys]
    missing = added_up(lake.batches(SALES, required), {name: pl.col(name).null_count() for name in required})
    yield Finding(
        "required_values", not any(missing.values()), missing, description=f"accepted rows lack values: {missing}"
    )
    newest_day = latest_day(lake.batches(SALES, ["date"]), "date")
    age = (settings.today - newest_day).days if newest_day else None
    yield Finding(
        "freshness",
        age is not None and age <= settings.checks.max_age_days,
        {"newest sale": str(newest_day), "today": str(settings.today), "age in days": age if age is not None else -1},
        WARN,
        f"the newest sale is of {newest_day}, {age} days old",
    )


def measure_quarantined_sales(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Share of quarantined rows, and rows without a reason."""
    delivered, rejected = lake.size(RAW_SALES).rows, lake.size(QUARANTINED_SALES).rows
    share = rejected / delivered if delivered else 0.0
    reasons = counted(lake.batches(QUARANTINED_SALES, ["_reasons"]), "_reasons")
    none = {"rows": (pl.col("_reasons").list.len().fill_null(0) == 0).sum()}
    silent = added_up(lake.batches(QUARANTINED_SALES, ["_reasons"]), none)["rows"]
    quality = settings.quality
    yield Finding(
        "quarantine_share",
        share < quality.warn_share,
        {"share": share, "rejected": rejected, "delivered": delivered, "warns from": quality.warn_share,
         "stops from": quality.error_share, **{f"reason: {reason}": count for reason, count in reasons.items()}},
        ERROR if share >= quality.error_share else WARN,
        f"{share:.1%} of the delivered rows are in quarantine",
    )  # fmt: skip
    yield Finding("reasons", silent == 0, {"rows without a reason": silent}, description=f"{silent} rows say no reason")


def measure_sales_series(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """Keys, gaps, and the sum over all series."""
    yield schema_finding(lake, SALES_SERIES, {"unique_id": "string", "ds": "date", "y": "double", "closed": "boolean"})
    yield unique_finding(lake, SALES_SERIES, ["unique_id", "ds"])
    step = 1 if settings.forecast.frequency == "D" else 7
    spans = _spans(lake)
    steps = (pl.col("last") - pl.col("first")).dt.total_days() // step + 1
    gaps = spans.filter(steps != pl.col("rows")).height
    earliest_end, last = spans.select(pl.min("last"), pl.max("last").alias("newest")).row(0)
    yield Finding(
        "complete_calendar",
        gaps == 0 and last == earliest_end,
        {"series": spans.height, "series with gaps": gaps, "last step": str(last), "earliest end": str(earliest_end)},
        description=f"{gaps} series have gaps; series end between {earliest_end} and {last}",
    )
    target = settings.forecast.target
    until = last if isinstance(last, dt.date) else settings.today
    in_series = math.fsum(spans["y"])
    in_sales = math.fsum(
        batch[target].sum() for batch in lake.batches(SALES, ["date", target], pc.field("date") <= until)
    )
    yield Finding(
        "amount_conservation",
        abs(in_series - in_sales) <= 1e-6 * max(1.0, abs(in_sales)),
        {"series": in_series, "accepted sales": in_sales, "until": str(until)},
        description=f"the series sum to {in_series:,.2f}, the accepted sales to {in_sales:,.2f}",
    )


def _spans(lake: Lakehouse) -> pl.DataFrame:
    """Per series: `first` and `last` step, `rows`, and the sum `y`; sorted by series."""
    ds, y = pl.col("ds"), pl.col("y")
    again = {"first": pl.col("first").min(), "last": pl.col("last").max(), "rows": pl.col("rows").sum(), "y": y.sum()}
    schema = {"unique_id": pl.String, "first": pl.Date, "last": pl.Date, "rows": pl.Int64, "y": pl.Float64}
    spans = Partial(lambda rows: rows.group_by("unique_id").agg(**again), pl.DataFrame(schema=schema))
    for batch in lake.batches(SALES_SERIES, ["unique_id", "ds", "y"]):
        rows = pl.len().cast(pl.Int64)
        spans.add(batch.group_by("unique_id").agg(first=ds.min(), last=ds.max(), rows=rows, y=y.sum()))
    return spans.total().sort("unique_id")
