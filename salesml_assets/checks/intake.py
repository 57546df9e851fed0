"""Checks of what the intake let through: rejected rows, and outliers that carry the whole."""

from collections import Counter
from collections.abc import Iterator

from salesml_assets.checks.base import ERROR, Finding
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import QUARANTINED_SALES, RAW_SALES, SALES

SALES_CHECKS = {
    "rejected_share": "Not so many rows are rejected that the others say nothing (quality.error_share).",
    "outlier_weight": "Flagged outliers do not carry the target (quality.outlier_share).",
}
SAMPLES, SHOWN = 3, 90  # rows of each reason, and signs of each row
INTERNAL = ("_reasons", "_month")


def measure_rejected(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """The share of rejected rows, the reasons, and what to do about them."""
    from salesml_assets.quality.remedies import rejected_sentence

    delivered, rejected = lake.size(RAW_SALES).rows, lake.size(QUARANTINED_SALES).rows
    share, limit = rejected / delivered if delivered else 0.0, settings.quality.error_share
    reasons: Counter[str] = Counter()
    samples: dict[str, list[str]] = {}
    if rejected and share >= limit and limit < 1:
        for batch in lake.batches(QUARANTINED_SALES):
            for row in batch.iter_rows(named=True):
                text = _shown(row)
                for rule in row["_reasons"]:
                    reasons[rule] += 1
                    # The least ones, whatever the order of the rows.
                    samples[rule] = sorted({*samples.get(rule, ()), text})[:SAMPLES]
    stops = bool(reasons)
    yield Finding(
        "rejected_share",
        not stops,
        {"share": share, "rejected": rejected, "delivered": delivered, "stops from": limit}
        | {f"reason: {rule}": rows for rule, rows in reasons.most_common()},
        ERROR,
        rejected_sentence(rejected, delivered, reasons, samples, limit) if stops else "",
    )


def measure_outliers(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """The share of the target in rows that are flagged as its outliers."""
    import polars as pl

    from salesml_assets.quality.remedies import outlier_sentence

    target, limit = settings.forecast.target, settings.quality.outlier_share
    rule, keys = f"outlier_{target}", list(settings.forecast.series)
    total, flagged, rows = 0.0, 0.0, 0
    largest = pl.DataFrame()
    for batch in lake.batches(SALES, ["date", *keys, target, "flags"]):
        size = pl.col(target).abs()
        marked = batch.filter(pl.col("flags").list.contains(rule))
        total += float(batch.select(size.sum()).item() or 0.0)
        flagged += float(marked.select(size.sum()).item() or 0.0)
        rows += marked.height
        if marked.height:
            largest = pl.concat([largest, marked]) if largest.height else marked
            largest = largest.sort([size, "date", *keys], descending=[True, *[False] * (1 + len(keys))]).head(SAMPLES)
    share = flagged / total if total else 0.0
    shown = "; ".join(
        ", ".join([str(row["date"]), *(str(row[key]) for key in keys), f"{target} {row[target]:,.15g}"])
        for row in largest.iter_rows(named=True)
    )
    yield Finding(
        "outlier_weight",
        share <= limit,
        {"share": share, "flagged rows": rows, "stops above": limit, "largest": shown},
        ERROR,
        outlier_sentence(rule, rows, share, target, limit, shown),
    )


def _shown(row: dict[str, object]) -> str:
    """A row in a few words: its values in order."""
    values = [str(value) for name, value in row.items() if name not in INTERNAL and value is not None]
    text = " ".join(values)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
