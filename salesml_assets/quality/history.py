"""How long the history is that a partial load leaves: the months that it loads, and those that the lake has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from salesml_assets.lake.store import UNDATED
from salesml_assets.names import SALES

if TYPE_CHECKING:
    from salesml_assets.lake.store import Lakehouse


def days_of_other_months(lake: Lakehouse, months: Sequence[str]) -> tuple[dt.date, dt.date] | None:
    """First and last day of the accepted sales outside of some months; None where there are none.

    Two months of the table are read, whatever its size.

    Args:
        lake: The lake.
        months: The months that are loaded by this run, 'yyyy-MM'.
    """
    import pyarrow.compute as pc

    if not lake.exists(SALES) or not lake.partition_columns(SALES):
        return None
    others = sorted(set(lake.rows_by_month(SALES)) - {*months, UNDATED})
    found = [
        day
        for month in dict.fromkeys((*others[:1], *others[-1:]))
        for batch in lake.batches(SALES, ["date"], pc.field("month") == month)
        for day in (batch["date"].min(), batch["date"].max())
        if isinstance(day, dt.date)
    ]
    return (min(found), max(found)) if found else None
