"""Checks of what arrives, what is accepted, and the series made from it."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pandas as pd

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
    SERIES_CHECKS,
    measure_outliers,
    measure_plan,
    measure_rejected,
)
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake


def ingestion_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    planned = SERIES_CHECKS if settings.forecast.known_future.path else {}
    return [
        table_checks(
            "raw_sales",
            {
                "volume": "A month's rows are within the usual range of the months before it.",
            },
            measure_raw_sales,
            settings,
        ),
        table_checks(
            "sales",
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
            "quarantined_sales",
            {
                "quarantine_share": "The share of rejected rows is small.",
                "reasons": "Every rejected row says why.",
            },
            measure_quarantined_sales,
            settings,
            blocking=("quarantine_share", "reasons"),
        ),
        table_checks(
            "sales_series",
            {
                "schema": "The columns of a series are there, in their types.",
                "unique_keys": "One row per series and step.",
                "complete_calendar": "No step is missing between a series' first and last one, and all end together.",
                "amount_conservation": "The series add up to the accepted sales.",
                **planned,
            },
            in_turn(measure_sales_series, *([measure_plan] if planned else [])),
            settings,
            blocking=("schema", "unique_keys", "complete_calendar", "amount_conservation", *planned),
        ),
    ]


def measure_raw_sales(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Rows of the newest full month against the three before it."""
    if tables.tables.partition_columns("raw_sales"):
        counts = tables.tables.rows_by_month("raw_sales")
    else:
        counts = {row["_month"]: row["count"] for row in tables.read("raw_sales").groupBy("_month").count().collect()}
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


def measure_sales(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Columns, conservation of rows, required values, age of the newest sale."""
    from pyspark.sql import functions as F

    target, keys = settings.forecast.target, list(settings.forecast.series)
    texts: dict[str, str] = dict.fromkeys(keys, "string")
    expected = {"date": "date", target: "double", **texts, "is_return": "boolean"}
    yield schema_finding(tables, "sales", expected)
    rows = {name: tables.tables.size(name).rows for name in ("raw_sales", "sales", "quarantined_sales")}
    lost = rows["raw_sales"] - rows["sales"] - rows["quarantined_sales"]
    yield Finding(
        "row_conservation", lost == 0, rows | {"lost": lost}, description=f"{lost:,} rows are unaccounted for"
    )
    required = ["date", target, *keys]
    sales = tables.read("sales")
    counts = [F.count_if(F.col(name).isNull()).alias(name) for name in required]
    missing = sales.agg(*counts).collect()[0].asDict()
    yield Finding(
        "required_values", not any(missing.values()), missing, description=f"accepted rows lack values: {missing}"
    )
    (newest_day,) = sales.agg(F.max("date")).first()  # type: ignore[misc]
    age = (settings.today - newest_day).days if newest_day else None
    yield Finding(
        "freshness",
        age is not None and age <= settings.checks.max_age_days,
        {"newest sale": str(newest_day), "today": str(settings.today), "age in days": age if age is not None else -1},
        WARN,
        f"the newest sale is of {newest_day}, {age} days old",
    )


def measure_quarantined_sales(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Share of quarantined rows, and rows without a reason."""
    from pyspark.sql import functions as F

    quarantined = tables.read("quarantined_sales")
    delivered, rejected = tables.tables.size("raw_sales").rows, tables.tables.size("quarantined_sales").rows
    share = rejected / delivered if delivered else 0.0
    reasons = quarantined.select(F.explode("_reasons").alias("reason")).groupBy("reason").count()
    counted = {row["reason"]: row["count"] for row in reasons.orderBy(F.desc("count"), "reason").collect()}
    quality = settings.quality
    yield Finding(
        "quarantine_share",
        share < quality.warn_share,
        {"share": share, "rejected": rejected, "delivered": delivered, "warns from": quality.warn_share,
         "stops from": quality.error_share, **{f"reason: {reason}": count for reason, count in counted.items()}},
        ERROR if share >= quality.error_share else WARN,
        f"{share:.1%} of the delivered rows are in quarantine",
    )  # fmt: skip
    silent = quarantined.where(F.size("_reasons") < 1).count()
    yield Finding("reasons", silent == 0, {"rows without a reason": silent}, description=f"{silent} rows say no reason")


def measure_sales_series(tables: Lake, settings: Settings) -> Iterator[Finding]:
    """Keys, gaps, and the sum over all series."""
    from pyspark.sql import functions as F

    yield schema_finding(
        tables, "sales_series", {"unique_id": "string", "ds": "date", "y": "double", "closed": "boolean"}
    )
    yield unique_finding(tables, "sales_series", ["unique_id", "ds"])
    series = tables.read("sales_series")
    step = 1 if settings.forecast.frequency == "D" else 7
    spans = series.groupBy("unique_id").agg(F.min("ds").alias("a"), F.max("ds").alias("b"), F.count("*").alias("n"))
    steps = F.date_diff("b", "a") / step + 1
    count, gaps, last, earliest_end = spans.agg(
        F.count(F.lit(1)), F.count_if(steps != F.col("n")), F.max("b"), F.min("b")
    ).first()  # type: ignore[misc]
    yield Finding(
        "complete_calendar",
        gaps == 0 and last == earliest_end,
        {"series": count, "series with gaps": gaps, "last step": str(last), "earliest end": str(earliest_end)},
        description=f"{gaps} series have gaps; series end between {earliest_end} and {last}",
    )
    target = settings.forecast.target
    (in_series,) = series.agg(F.sum("y")).first()  # type: ignore[misc]
    until = last if isinstance(last, dt.date) else settings.today
    (in_sales,) = tables.read("sales").where(F.col("date") <= F.lit(until)).agg(F.sum(target)).first()  # type: ignore[misc]
    in_series, in_sales = in_series or 0.0, in_sales or 0.0
    yield Finding(
        "amount_conservation",
        abs(in_series - in_sales) <= 1e-6 * max(1.0, abs(in_sales)),
        {"series": in_series, "accepted sales": in_sales, "until": str(until)},
        description=f"the series sum to {in_series:,.2f}, the accepted sales to {in_sales:,.2f}",
    )
