"""Sums and counts over the batches of a table, in bounded memory."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import polars as pl

PARTIAL_ROWS = 500_000  # rows of partial results that are not yet put together


def added_up(batches: Iterable[pl.DataFrame], counts: Mapping[str, pl.Expr]) -> dict[str, int]:
    """Counts over all batches; 0 where there are no rows.

    Args:
        batches: The batches.
        counts: Per name an expression that counts the rows of one batch.
    """
    totals = dict.fromkeys(counts, 0)
    for batch in batches:
        for name, count in batch.select(**counts).row(0, named=True).items():
            totals[name] += count
    return totals


def counted(batches: Iterable[pl.DataFrame], column: str) -> dict[str, int]:
    """How many rows have each value of a column, or of the lists in it; the most frequent value first."""
    counts: Counter[str] = Counter()
    for batch in batches:
        values = batch[column]
        if values.dtype == pl.List:
            values = values.drop_nulls().list.explode(empty_as_null=False)
        counts.update(dict(values.value_counts().iter_rows()))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def latest_day(batches: Iterable[pl.DataFrame], column: str) -> dt.date | None:
    """The last date in a column; None where there are no rows."""
    days = (batch[column].max() for batch in batches)
    return max((day for day in days if isinstance(day, dt.date)), default=None)


class Partial:
    """Partial results of many batches, put together whenever they have become twice as many rows.

    Args:
        together: Puts rows together: adds them up, say. Applied to its own results and more rows, it gives the same as
            applied to all rows at once.
        empty: The result without any rows, where that can be.
    """

    def __init__(self, together: Callable[[pl.DataFrame], pl.DataFrame], empty: pl.DataFrame | None = None) -> None:
        self._together = together
        self._frames = [] if empty is None else [empty]
        self._bound = PARTIAL_ROWS

    def add(self, rows: pl.DataFrame) -> None:
        """Takes in the partial result of a batch."""
        self._frames.append(rows)
        if sum(frame.height for frame in self._frames) > self._bound:
            self._bound = max(PARTIAL_ROWS, 2 * self.total().height)

    def total(self) -> pl.DataFrame:
        """Returns the result of all batches so far.

        Raises:
            ValueError: There was no batch, and no result without rows.
        """
        if not self._frames:
            raise ValueError("there are no rows")
        self._frames = [self._together(pl.concat(self._frames))]
        return self._frames[0]
