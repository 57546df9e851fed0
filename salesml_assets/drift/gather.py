"""The small frames of one evaluation, aggregated and sampled from the lake's tables batch by batch; without Spark."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from salesml_assets.drift.inputs import DriftInputs
from salesml_assets.forecasting.calendar import series_keys
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.series_id import series_id
from salesml_assets.lake.aggregate import Partial
from salesml_assets.names import SALES

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

HISTORY_WEEKS = 130  # two years and a half: a year before the oldest week that a season is taken from
MAX_SERIES = 20_000
ROWS_PER_WEEK = 2_000
AMOUNTS = ("quantity", "unit_price", "revenue")
SERIES_SEED, ROWS_SEED = 1, 2


@dataclass(frozen=True)
class Weeks:
    """Weeks that end on the weekday of the last day of the data, so that the newest days always count.

    Attributes:
        last: Last day of the data, of a complete step.
    """

    last: dt.date

    @property
    def judged(self) -> dt.date:
        """First day of the last week."""
        return self.last - dt.timedelta(6)

    @property
    def first(self) -> dt.date:
        """First day of the oldest week that counts."""
        return self.judged - dt.timedelta(7 * (HISTORY_WEEKS - 1))

    def week_of(self, day: pl.Expr) -> pl.Expr:
        """First day of the week of a day that is not before the oldest week."""
        return pl.lit(self.first) + pl.duration(days=(day - pl.lit(self.first)).dt.total_days() // 7 * 7)

    def trained_until(self, cutoff: dt.date) -> dt.date:
        """First day of the last whole week up to a cutoff.

        >>> str(Weeks(dt.date(2011, 12, 9)).trained_until(dt.date(2011, 12, 7)))
        '2011-11-26'
        """
        return self.judged - dt.timedelta(7 * -(-max(0, (self.last - cutoff).days) // 7))


def drift_inputs(
    lake: Lakehouse, predictions: Iterable[pl.DataFrame] | None, settings: Settings, last: dt.date, cutoff: dt.date
) -> DriftInputs:
    """Aggregates the frames of one evaluation.

    With more than `MAX_SERIES` series, as many of them are drawn by a hash of their names, so that the frames are
    bounded by series × weeks. Of each week `ROWS_PER_WEEK` sales rows are drawn by a hash of what identifies a row.

    Args:
        lake: The lake, with the table `sales`.
        predictions: Frames of whole series: `unique_id`, `origin`, `ds`, `y`, `yhat`: backtests and past forecasts of
            what is in production, with their actuals; None where there are none.
        settings: The settings.
        last: Last day of the data that belongs to a complete step.
        cutoff: Last day that the production model was trained on.
    """
    weeks = Weeks(last)
    columns = list(lake.columns(SALES))
    gathered = _Gathered(weeks, settings, columns)
    covariates = settings.forecast.known_future.columns
    used = {
        "date",
        "order_id",
        "store",
        "category",
        settings.forecast.target,
        *series_keys(settings),
        *AMOUNTS,
        *covariates,
    }
    wanted = [name for name in columns if name in used]
    condition = (pc.field("date") >= weeks.first) & (pc.field("date") <= last)
    if "month" in lake.partition_columns(SALES):
        condition &= pc.field("month") >= f"{weeks.first:%Y-%m}"
    batches = lake.batches(SALES, wanted, condition)
    if not sum(map(gathered.add, batches)):
        raise ValueError(f"{SALES}: there are no sales from {weeks.first} to {last}")
    return DriftInputs(
        weekly=_pandas(gathered.weekly(), "week", "unique_id"),
        days=_pandas(gathered.days(), "week"),
        trained_until=pd.Timestamp(weeks.trained_until(cutoff)),
        judged=pd.Timestamp(weeks.judged),
        features=_pandas(gathered.sample(), "week"),
        predictions=None
        if predictions is None
        else _pandas(_by_week(predictions, weeks, gathered.series), "week", "unique_id"),
    )


class _Gathered:
    """What has been seen of the sales so far; none of it grows with the number of sales rows.

    Attributes:
        series: The drawn series.
    """

    def __init__(self, weeks: Weeks, settings: Settings, columns: Sequence[str]) -> None:
        self.series = _DrawnSeries()
        self._weeks, self._settings, self._columns = weeks, settings, columns
        self._sums = Partial(lambda rows: _added(self.series.rows_of(rows), "unique_id", "week"))
        self._categories = Partial(lambda rows: _added(self.series.rows_of(rows), "unique_id", "category"))
        self._dates = Partial(lambda rows: rows.unique())
        self._sample = Partial(_lowest_draws)

    def add(self, batch: pl.DataFrame) -> int:
        """Takes in some rows of the sales, and returns their number."""
        rows = batch.with_columns(
            series_id(series_keys(self._settings)), self._weeks.week_of(pl.col("date")).alias("week")
        )
        rows = rows.with_columns(self._draw(rows))
        self._dates.add(rows.select("week", "date").unique())
        self._sample.add(_lowest_draws(rows.select("week", "draw", *self._features())))
        own = self.series.rows_of(rows)
        self._sums.add(own.group_by("unique_id", "week", maintain_order=True).agg(**self._values()))
        if "category" in self._columns:
            counts = own.group_by("unique_id", "category", maintain_order=True).agg(pl.len().alias("rows"))
            self._categories.add(counts)
        return batch.height

    def weekly(self) -> pl.DataFrame:
        """Sums by series and week, with the category that most rows of a series have."""
        # What a return leaves of a sale in binary numbers, 1e-13 say, is nothing.
        sums = self._sums.total().with_columns(pl.col("y").round(9))
        if "category" not in self._columns:
            return sums
        known = self._categories.total().filter(pl.col("category").is_not_null())
        usual = known.sort("rows", "category", descending=[True, False]).unique("unique_id", keep="first")
        return sums.join(usual.select("unique_id", "category"), on="unique_id", how="left")

    def days(self) -> pl.DataFrame:
        """Days with a sale by week."""
        return self._dates.total().group_by("week").agg(pl.len().alias("days"))

    def sample(self) -> pl.DataFrame:
        """The drawn rows of each week."""
        return self._sample.total().drop("draw")

    def _values(self) -> dict[str, pl.Expr]:
        target = pl.col(self._settings.forecast.target)
        sold = (pl.col("quantity") if "quantity" in self._columns else target) > 0
        values = {"y": target.sum(), "rows": sold.sum().cast(pl.Int64)}
        price = self._price()
        if price is not None:
            values["log_price"] = pl.when(sold & (price > 0)).then(price).log().sum()
        if "quantity" in self._columns:
            values["log_quantity"] = pl.when(sold).then("quantity").log().sum()
        return values

    def _features(self) -> list[pl.Expr]:
        names = ["quantity", "store", "category", *self._settings.forecast.known_future.columns]
        price = self._price()
        return [
            *[pl.col(name) for name in names if name in self._columns],
            *([price.alias("unit_price")] if price is not None else []),
        ]

    def _price(self) -> pl.Expr | None:
        if "unit_price" in self._columns:
            return pl.col("unit_price")
        if {"quantity", "revenue"} <= set(self._columns):
            return pl.when(pl.col("quantity") > 0).then(pl.col("revenue") / pl.col("quantity"))
        return None

    def _draw(self, rows: pl.DataFrame) -> pl.Series:
        """A draw by series, day, order and amounts, so that the rows of a day are drawn independently."""
        order = [number_of_text(rows["order_id"].fill_null(""))] if "order_id" in self._columns else []
        amounts = [rows[name] for name in AMOUNTS if name in self._columns]
        bits = [
            pl.Series(one.name, one.cast(pl.Float64).fill_null(math.nan).to_numpy().view(np.int64)) for one in amounts
        ]
        return uniform(rows["unique_id"], rows["date"], *order, *bits, seed=ROWS_SEED)


def number_of_text(texts: pl.Series) -> pl.Series:
    """A number for each text, from its UTF-8 bytes b₁, b₂, …: Σ (bᵢ + 1) · Pⁱ modulo 2^64, P = 0x9E3779B97F4A7C15.

    Nearly every order has a name of its own: with a digest for each, as `draws` takes it, most of the time of an
    evaluation went into these names (2.3 million rows: 17 of 25 seconds).
    """
    array = texts.to_arrow().cast(pa.large_string())
    _, offsets_buffer, bytes_buffer = array.buffers()
    ends = np.frombuffer(offsets_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(bytes_buffer or b"", np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    lengths = np.diff(ends)
    place = np.arange(len(data)) - np.repeat(ends[:-1] - ends[0], lengths)
    powers = np.cumprod(np.full(lengths.max(initial=0) + 1, 0x9E3779B97F4A7C15, np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((data + np.uint64(1)) * powers[place])])
    return pl.Series(texts.name, sums[ends[1:] - ends[0]] - sums[ends[:-1] - ends[0]])


class _DrawnSeries:
    """The series with the lowest draws, at most `MAX_SERIES` of those seen so far.

    A series that is drawn in the end was so from the start, because the bound only falls.
    """

    def __init__(self) -> None:
        self._bound = 1.0
        self._draws = pl.DataFrame(schema={"unique_id": pl.String, "draw": pl.Float64})

    def rows_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of the drawn series, those of new ones included."""
        new = rows.select("unique_id").unique().join(self._draws, on="unique_id", how="anti")
        drawn = new.with_columns(uniform(new["unique_id"], seed=SERIES_SEED)).filter(pl.col("draw") < self._bound)
        self._draws = pl.concat([self._draws, drawn])
        if self._draws.height > MAX_SERIES:
            self._bound = self._draws["draw"].sort()[MAX_SERIES]
            self._draws = self._draws.filter(pl.col("draw") < self._bound)
        return rows if self._bound == 1.0 else rows.join(self._draws, on="unique_id", how="semi")


def _added(rows: pl.DataFrame, *keys: str) -> pl.DataFrame:
    return rows.group_by(keys, maintain_order=True).agg(pl.exclude(keys).sum())


def _lowest_draws(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each week the rows with the lowest draws; rows of one draw in the order of their values."""
    bound = pl.col("draw").bottom_k(ROWS_PER_WEEK).max().over("week")
    ordered = rows.filter(pl.col("draw") <= bound).sort(rows.columns)
    return ordered.group_by("week", maintain_order=True).head(ROWS_PER_WEEK)


def _by_week(predictions: Iterable[pl.DataFrame], weeks: Weeks, series: _DrawnSeries) -> pl.DataFrame:
    """Of every drawn series and step the forecast of the latest origin, summed by week."""
    y, yhat = pl.col("y"), pl.col("yhat")
    parts = [
        series.rows_of(frame.filter(pl.col("ds").is_between(weeks.first, weeks.last)))
        .sort("unique_id", "ds", "origin")
        .unique(["unique_id", "ds"], keep="last", maintain_order=True)
        .group_by("unique_id", weeks.week_of(pl.col("ds")).alias("week"), maintain_order=True)
        .agg(yhat.sum(), y.sum(), (y - yhat).abs().sum().alias("error"))
        for frame in predictions
    ]
    schema = {"unique_id": pl.String, "week": pl.Date, "yhat": pl.Float64, "y": pl.Float64, "error": pl.Float64}
    return series.rows_of(pl.concat(parts)) if parts else pl.DataFrame(schema=schema)


def _pandas(frame: pl.DataFrame, *order: str) -> pd.DataFrame:
    made = frame.sort(order, maintain_order=True).to_pandas()
    return made.assign(week=pd.to_datetime(made["week"]))
