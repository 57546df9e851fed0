"""Tables that grow with the number of series, read batch by batch, and sums over their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

# Called with the columns wanted, yields the rows of one table: `functools.partial(lakehouse.batches, name)`, say.
Batches = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
# The columns of an algorithm's table: what identifies a prediction, and what it is measured by.
PREDICTION_COLUMNS = (
    "unique_id", "category", "volume_class", "fold", "origin", "horizon", "ds", "y", "yhat", "scale", "naive_mse",
)  # fmt: skip
# Rows that `Totals` collects beyond twice its groups before it adds them up: a list that is too short costs time.
PENDING_ROWS = 200_000


def in_memory(frame: pl.DataFrame) -> Batches:
    """A frame as a source of batches: one batch, or none where it has no rows."""

    def batches(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        if frame.height:
            yield frame.select(columns)

    return batches


class Totals:
    """Sums per group over batches; holds as many rows as there are groups, and some to be added up.

    Args:
        keys: The columns that make a group; null is a value of its own.
        largest: Columns of which the largest value is kept; all others are summed.
    """

    def __init__(self, keys: Sequence[str], largest: Sequence[str] = ()) -> None:
        self._keys, self._largest = list(keys), list(largest)
        self._parts: list[pl.DataFrame] = []
        self._pending = self._groups = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Takes the rows of one batch; all batches have the same columns, in the same order."""
        part = self._grouped(rows)
        self._parts.append(part)
        self._pending += part.height
        if self._pending > 2 * self._groups + PENDING_ROWS:
            self._add_up()

    def frame(self) -> pl.DataFrame:
        """One row per group, sorted by the keys.

        Raises:
            ValueError: There was no batch.
        """
        if not self._parts:
            raise ValueError("there are no rows")
        self._add_up()
        return self._parts[0].sort(self._keys)

    def _add_up(self) -> None:
        total = self._grouped(pl.concat(self._parts))
        self._parts, self._pending, self._groups = [total], total.height, total.height

    def _grouped(self, rows: pl.DataFrame) -> pl.DataFrame:
        values = [name for name in rows.columns if name not in self._keys]
        totals = [pl.col(name).max() if name in self._largest else pl.col(name).sum() for name in values]
        return rows.group_by(self._keys, maintain_order=True).agg(totals)
