"""Stored forecasts of all series in memory: arrays of numbers, and where each series begins."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from salesml_assets.forecasting.intervals import BOUNDS, ORDER_QUANTITY

VALUES = ("yhat", *BOUNDS)
COLUMNS = ("unique_id", "ds", *VALUES, "model", "model_version", "cutoff")


def columns_of(there: Collection[str]) -> list[str]:
    """What is read of a table of forecasts; quantities to order are there where costs are set.

    Args:
        there: Columns of the table.
    """
    return [*COLUMNS, *([ORDER_QUANTITY] if ORDER_QUANTITY in there else [])]


def amounts_of(there: Collection[str]) -> tuple[str, ...]:
    """The values of a step: forecast and bounds, and the quantity to order where it is there.

    Args:
        there: Columns of a table or frame of forecasts.
    """
    return tuple(name for name in (*VALUES, ORDER_QUANTITY) if name in there)


@dataclass(frozen=True)
class Book:
    """The table `forecasts`, some 45 bytes per row.

    Attributes:
        names: Names of the series, ascending.
        places: Where each series is in `names`.
        starts: First row of each series, and the number of rows.
        days: The step of each row, in days since 1970-01-01.
        amounts: Names of the values: `VALUES`, and `order_quantity` where the table has it.
        values: The values of each row.
        models: Model of each series.
        versions: Version of that model.
        cutoffs: Last known step of each series, as its number of days.
    """

    names: tuple[str, ...]
    places: Mapping[str, int]
    starts: np.ndarray
    days: np.ndarray
    amounts: tuple[str, ...]
    values: np.ndarray
    models: tuple[str, ...]
    versions: np.ndarray
    cutoffs: np.ndarray

    @classmethod
    def of(cls, batches: Iterable[pl.DataFrame]) -> Book:
        """Makes it of the table's rows, in any order.

        Args:
            batches: Frames with the columns of `columns_of`.

        Raises:
            ValueError: A forecast or a bound is missing or not a number.
        """
        named = pl.col("unique_id", "model").cast(pl.Categorical)
        parts = [batch.select(columns_of(batch.columns)).with_columns(named) for batch in batches if len(batch)]
        if not parts:
            return cls((), {}, np.zeros(1, np.int64), *_empty())
        rows = pl.concat(parts)
        # Column by column: a sorted copy of all of them would stay with the process.
        order = rows.select(pl.arg_sort_by(pl.col("unique_id").cast(pl.String), "ds")).to_series().to_numpy()
        codes = rows["unique_id"].to_physical().to_numpy()[order]
        starts = np.append(np.nonzero(np.append(True, codes[1:] != codes[:-1]))[0], len(rows)).astype(np.int64)
        amounts = amounts_of(rows.columns)
        values = np.empty((len(rows), len(amounts)))
        for column, name in enumerate(amounts):
            values[:, column] = rows[name].to_numpy()[order]
        if not np.isfinite(values).all():
            raise ValueError("a forecast or a bound is missing or not a number")  # the ones before go on
        firsts = rows[order[starts[:-1]]]
        names = tuple(firsts["unique_id"].cast(pl.String).to_list())
        kept = {model: model for model in firsts["model"].cast(pl.String).unique()}
        return cls(
            names,
            {name: place for place, name in enumerate(names)},
            starts,
            rows["ds"].to_physical().to_numpy()[order],
            amounts,
            values,
            tuple(kept[model] for model in firsts["model"].cast(pl.String)),
            firsts["model_version"].to_numpy().astype(np.int32),
            firsts["cutoff"].to_physical().to_numpy().astype(np.int32),
        )

    @property
    def cutoff(self) -> dt.date | None:
        """The latest known step of all series; None without any."""
        return _date(self.cutoffs.max()) if len(self.cutoffs) else None

    def forecast(self, name: str, horizon: int | None = None) -> dict[str, Any] | None:
        """The forecasts of a series, as `schemas.SeriesForecast` describes them; None where there is no such series.

        Args:
            name: Name of the series.
            horizon: Steps at most; default: all.
        """
        place = self.places.get(name)
        if place is None:
            return None
        first, last = int(self.starts[place]), int(self.starts[place + 1])
        last = last if horizon is None else min(last, first + horizon)
        amounts = self.amounts
        rows = zip(self.days[first:last].tolist(), self.values[first:last].tolist(), strict=True)
        return {
            "series": name,
            "model": self.models[place],
            "model_version": int(self.versions[place]),
            "cutoff": _date(self.cutoffs[place]).isoformat(),
            "steps": [{"ds": _date(day).isoformat(), **dict(zip(amounts, row, strict=True))} for day, row in rows],
        }

    def after(self, name: str | None) -> Iterator[str]:
        """Names of the series after this one, ascending; all of them by default."""
        yield from self.names[bisect_right(self.names, name) if name is not None else 0 :]

    def frame(self) -> pl.DataFrame:
        """The rows again, as `of` takes them."""
        counts = np.diff(self.starts)
        return pl.DataFrame(
            {
                "unique_id": np.repeat(np.array(self.names, dtype=object), counts),
                "ds": pl.Series(self.days).cast(pl.Date),
                **{name: self.values[:, column] for column, name in enumerate(self.amounts)},
                "model": np.repeat(np.array(self.models, dtype=object), counts),
                "model_version": np.repeat(self.versions, counts),
                "cutoff": pl.Series(np.repeat(self.cutoffs, counts)).cast(pl.Date),
            },
            schema_overrides={"unique_id": pl.String, "model": pl.String},
        )


def _date(day: int | np.integer) -> dt.date:
    return dt.date.fromordinal(int(day) + 719_163)


def _empty() -> tuple[np.ndarray, tuple[str, ...], np.ndarray, tuple[str, ...], np.ndarray, np.ndarray]:
    days = np.zeros(0, np.int32)
    return days, VALUES, np.zeros((0, len(VALUES))), (), days, days
