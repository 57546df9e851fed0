"""Tables that grow with the number of series, read batch by batch, and sums over their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from salesml_assets.lake.aggregate import Partial

# Called with the columns wanted, yields the rows of one table: `functools.partial(lakehouse.batches, name)`, say.
Batches = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
# The columns of an algorithm's table: what identifies a prediction, and what it is measured by.
PREDICTION_COLUMNS = (
    "unique_id", "category", "volume_class", "fold", "origin", "horizon", "ds", "y", "yhat", "scale", "naive_mse",
)  # fmt: skip


class Totals:
    """Sums per group over batches; holds as many rows as there are groups, and some to be added up.

    Args:
        keys: The columns that make a group; null is a value of its own.
        largest: Columns of which the largest value is kept; all others are summed.
    """

    def __init__(self, keys: Sequence[str], largest: Sequence[str] = ()) -> None:
        self._keys, self._largest = list(keys), list(largest)
        self._partial = Partial(self._grouped)

    def add(self, rows: pl.DataFrame) -> None:
        """Takes the rows of one batch; all batches have the same columns, in the same order."""
        self._partial.add(self._grouped(rows))

    def frame(self) -> pl.DataFrame:
        """One row per group, sorted by the keys.

        Raises:
            ValueError: There was no batch.
        """
        return self._partial.total().sort(self._keys)

    def _grouped(self, rows: pl.DataFrame) -> pl.DataFrame:
        values = [name for name in rows.columns if name not in self._keys]
        totals = [pl.col(name).max() if name in self._largest else pl.col(name).sum() for name in values]
        return rows.group_by(self._keys, maintain_order=True).agg(totals)


def with_counts(numbers: Sequence[str]) -> list[pl.Expr]:
    """Covariates as numbers to add up, and how many of them are known."""
    values = [pl.col(name).cast(pl.Float64) for name in numbers]
    counts = [pl.col(name).is_not_null().cast(pl.Int64).alias(f"{name}_known") for name in numbers]
    return [*values, *counts]


def means_of(numbers: Sequence[str]) -> list[pl.Expr]:
    """Their means from sums and counts; null where none is known."""
    return [
        pl.when(pl.col(f"{name}_known") > 0).then(pl.col(name) / pl.col(f"{name}_known")).alias(name)
        for name in numbers
    ]
