"""Accepted and quarantined rows, and what the rules did, in counts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from salesml_assets.quality.mapping import REASONS
from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import Settings


@dataclass(frozen=True)
class QualitySummary:
    """Counts of rows.

    Attributes:
        accepted: Rows that broke no rule.
        quarantined: Rows that broke at least one.
        reasons: Quarantined rows per rule, most frequent first; a row that broke two rules counts in both.
        flags: Accepted rows per flag, most frequent first.
        returns: Accepted cancellations and returns.
    """

    accepted: int
    quarantined: int
    reasons: dict[str, int]
    flags: dict[str, int]
    returns: int

    @property
    def delivered(self) -> int:
        """All rows."""
        return self.accepted + self.quarantined

    @property
    def quarantined_share(self) -> float:
        """Share of the delivered rows that went to quarantine; 0 where nothing was delivered.

        >>> QualitySummary(accepted=3, quarantined=1, reasons={}, flags={}, returns=0).quarantined_share
        0.25
        """
        return self.quarantined / self.delivered if self.delivered else 0.0


def summarize(accepted: DataFrame, quarantined: DataFrame) -> QualitySummary:
    """Counts accepted and quarantined rows by what was found in them."""
    totals = accepted.agg(F.count(F.lit(1)).alias("rows"), F.count_if("is_return").alias("returns")).first()
    assert totals is not None
    return QualitySummary(
        accepted=totals["rows"],
        quarantined=quarantined.count(),
        reasons=_counts(quarantined, REASONS),
        flags=_counts(accepted, "flags"),
        returns=totals["returns"],
    )


def _counts(rows: DataFrame, names: str) -> dict[str, int]:
    counts = rows.select(F.explode(names).alias("name")).groupBy("name").agg(F.count(F.lit(1)).alias("rows"))
    return {row["name"]: row["rows"] for row in counts.orderBy(F.desc("rows"), "name").collect()}


def split(
    delivered: DataFrame, settings: Settings, today: dt.date, reference: DataFrame | None = None
) -> tuple[DataFrame, DataFrame]:
    """Accepted and quarantined rows; see `judge` for the arguments.

    Both are recomputed from the delivered rows each time they are used.
    """
    judged = judge(delivered, settings, today, reference)
    return accepted_rows(judged), quarantined_rows(judged)
