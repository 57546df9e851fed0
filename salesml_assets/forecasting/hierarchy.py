"""Totals of the series by category, store and overall: forecasts, backtests and intervals of their own.

Totals are sums of the series' forecasts (bottom-up), so that every level agrees with every other. What grows with the
series is read in batches; of each series the numbers of its totals are kept, all else is as long as there are totals.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import polars as pl

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.batches import Batches, Totals, means_of, with_counts
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.intervals import (
    BOUNDS,
    apply_intervals,
    coverage_metrics,
    cross_fold_coverage,
    interval_table,
)
from salesml_assets.forecasting.metrics import (
    COST,
    LONG_COLUMNS,
    PIECE_KEYS,
    error_sums,
    metrics_by,
    segment_sums,
    sorted_long,
)
from salesml_assets.forecasting.series_id import series_id
from salesml_assets.lake.aggregate import latest_day
from salesml_assets.names import SALES_SERIES

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.lake.store import Lakehouse

LEVEL = "level"  # dimension of the metrics by level
OVERALL = "total"  # name of the level of the sum over all series
SERIES = "series"  # name of the level of the series themselves, which has rows where they are reconciled
HISTORY_YEARS = 3  # what is older says nothing about the spread of a total today
CHUNK_ROWS = 500_000  # steps of totals whose features are held at a time


@dataclass(frozen=True)
class Level:
    """One way to add up the series.

    Attributes:
        keys: Columns that the series of one total share; none: all series make one total.
    """

    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """The keys joined by `/`, or `total`."""
        return "/".join(self.keys) or OVERALL


def levels_of(settings: Settings, columns: Sequence[str]) -> list[Level]:
    """The levels of `forecast.hierarchy.levels`; by default overall, by category and by store.

    Args:
        settings: The settings.
        columns: Columns of the table `sales_series`.

    Raises:
        ConfigurationError: A level needs a category, and the sales have none.
    """
    wanted, series = settings.forecast.hierarchy.levels, set(settings.forecast.series)
    if wanted is None:
        several = len(series) > 1
        known = {"category": several or "product" in series, "store": several}
        singles = [(key,) for key, is_shared in known.items() if is_shared and key in columns]
        return [Level(keys) for keys in [(), *singles]]
    for level in wanted:
        if missing := [key for key in level if key not in columns]:
            raise ConfigurationError(
                f"forecast.hierarchy.levels: {level} needs {missing[0]!r}, which the sales do not have: "
                f"set sales.columns.{missing[0]}, or leave the level out"
            )
    return [Level(tuple(level)) for level in wanted]


class Hierarchy:
    """Which totals there are, and to which of them each series belongs."""

    def __init__(self, series: Iterable[pl.DataFrame], levels: Sequence[Level]) -> None:
        """Numbers the totals of every level.

        Args:
            series: `unique_id` and the levels' keys, one row per series, in batches.
            levels: The levels.
        """
        self.levels = list(levels)
        self.keys = keys_of(levels)
        empty = pl.DataFrame(schema=dict.fromkeys(["unique_id", *self.keys], pl.String))
        members = pl.concat([empty, *[batch.select(empty.columns) for batch in series]]).sort("unique_id")
        frames, first = [], 0
        for level in levels:
            node = series_id(level.keys) if level.keys else pl.lit(OVERALL)
            members = members.with_columns(_node=node)
            own = members.select(*level.keys, node="_node", level=pl.lit(level.name)).unique("node").sort("node")
            numbered = own.with_columns(number=pl.int_range(first, first + own.height, dtype=pl.UInt32))
            placed = numbered.select(_node="node", **{level_column(level): "number"})
            members = members.join(placed, on="_node", how="left", maintain_order="left")
            frames.append(numbered)
            first += own.height
        self.members = members.select("unique_id", *[level_column(level) for level in levels])
        self.nodes = pl.concat(frames, how="diagonal").select("number", "level", "node", *self.keys)

    def sums(self, batches: Iterable[pl.DataFrame], by: Sequence[str], largest: Sequence[str] = ()) -> pl.DataFrame:
        """Adds up rows of series to rows of totals.

        Args:
            batches: `unique_id`, `by`, and columns to add up. Series that the hierarchy does not know are left out.
            by: Columns that tell the rows of one total apart.
            largest: Columns of which the largest value is kept.

        Returns:
            `number` (of the total), `by`, and the sums, sorted.

        Raises:
            ValueError: There was no batch.
        """
        totals = Totals(["number", *by], largest)
        for batch in batches:
            placed = batch.join(self.members, on="unique_id", how="inner", maintain_order="left")
            values = [name for name in batch.columns if name not in ("unique_id", *by)]
            for level in self.levels:
                totals.add(placed.select(pl.col(level_column(level)).alias("number"), *by, *values))
        return totals.frame()

    def of_level(self, rows: pl.DataFrame, level: Level) -> pl.DataFrame:
        """The rows of the totals of one level."""
        own = self.nodes.filter(pl.col("level") == level.name)["number"]
        return rows.filter(pl.col("number").is_in(own.implode()))

    @cached_property
    def sizes(self) -> pl.DataFrame:
        """Number of series of each total: `number`, `series`."""
        counts = [
            self.members.group_by(pl.col(level_column(level)).alias("number")).agg(series=pl.len().cast(pl.Int32))
            for level in self.levels
        ]
        return pl.concat(counts).sort("number")


def keys_of(levels: Iterable[Level]) -> list[str]:
    """The keys of all levels, each once."""
    return list(dict.fromkeys(key for level in levels for key in level.keys))


def level_column(level: Level) -> str:
    """The column of `Hierarchy.members` with the total of each series."""
    return f"_{level.name}"


def read_hierarchy(lake: Lakehouse, settings: Settings) -> tuple[Hierarchy, pl.DataFrame] | None:
    """The totals of the lake's series and their past (`history`); None where the settings want none.

    Args:
        lake: The lake.
        settings: The settings.

    Raises:
        ConfigurationError: A level needs a column that the sales do not have.
    """
    import pyarrow.compute as pc

    levels = levels_of(settings, list(lake.columns(SALES_SERIES)))
    series = partial(lake.batches, SALES_SERIES, version=lake.version(SALES_SERIES))
    last = latest_day(series(["ds"]), "ds") if levels else None
    if last is None:
        return None
    # Each series has a row for the last step, and belongs where it is now.
    hierarchy = Hierarchy(series(["unique_id", *keys_of(levels)], filters=pc.field("ds") == last), levels)
    since = last - dt.timedelta(366 * HISTORY_YEARS)
    recent = partial(series, filters=pc.field("ds") >= since)
    return hierarchy, history(hierarchy, recent, settings, planned_numbers(settings, lake.columns(SALES_SERIES)))


def planned_numbers(settings: Settings, kinds: Mapping[str, str]) -> list[str]:
    """Planned covariates that are numbers, where totals have forecasts of their own.

    Args:
        settings: The settings.
        kinds: Name and type of the columns of the table `sales_series`.
    """
    is_needed = settings.forecast.hierarchy.reconciliation == "mint"
    names = settings.forecast.known_future.columns if is_needed else []
    return [name for name in names if kinds.get(name, "string") != "string"]


def history(hierarchy: Hierarchy, series: Batches, settings: Settings, numbers: Sequence[str] = ()) -> pl.DataFrame:
    """What each total sold, and its level and usual change as known at the end of each step.

    Args:
        hierarchy: The totals.
        series: The table `sales_series`: `unique_id`, `ds`, `y`, `closed`, `numbers`.
        settings: The settings.
        numbers: Planned covariates.

    Returns:
        `number`, `ds`, `y` (null where nothing is known), `closed`, and `scale` and `naive_mse` as of
        `features.add_features`, and the means of `numbers` over the series, sorted.
    """
    y = pl.col("y")

    def counted() -> Iterator[pl.DataFrame]:
        for batch in series(["unique_id", "ds", "y", "closed", *numbers]):
            is_open = (~pl.col("closed")).cast(pl.Int64)
            known = y.is_not_null().cast(pl.Int64)
            yield batch.select("unique_id", "ds", "y", *with_counts(numbers), known=known, open=is_open)

    steps = hierarchy.sums(counted(), ["ds"])
    known_y = pl.when(pl.col("known") > 0).then("y")
    rows = steps.select("number", "ds", *means_of(numbers), y=known_y, closed=pl.col("open") == 0)
    spec = feature_spec(settings, {})
    columns = ["number", "ds", "y", "closed", "scale", "naive_mse", *numbers]
    return pl.concat(_measured(part, spec).select(columns) for part in chunks(rows))


def chunks(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole totals, at most about `CHUNK_ROWS` rows at a time; the rows of each total stand together."""
    chunk = pl.col("number").is_first_distinct().cum_sum()  # a number of its own, from 1, for each total
    per_total = max(1, rows.height // max(1, rows["number"].n_unique()))
    yield from rows.with_columns(_part=(chunk - 1) // max(1, CHUNK_ROWS // per_total)).partition_by(
        "_part", include_key=False, maintain_order=True
    )


def _measured(rows: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    named = rows.rename({"number": "unique_id"})
    return add_features(named, spec).rename({"unique_id": "number"})


def backtest_of(hierarchy: Hierarchy, predictions: Batches, past: pl.DataFrame) -> pl.DataFrame:
    """The backtest of an algorithm, added up.

    A total's actual value is all that it sold, new series included that no forecast of the origin knew.

    Args:
        hierarchy: The totals.
        predictions: The backtest of an algorithm, fold 0 included.
        past: Of `history`.

    Returns:
        `number`, `fold`, `origin`, `horizon`, `ds`, `yhat`, `y`, `scale`, `naive_mse` (as known at the origin), sorted;
        steps of which nothing is known are left out.
    """
    wanted = ["unique_id", "fold", "origin", "horizon", "ds", "yhat"]
    sums = hierarchy.sums(predictions(wanted), ["fold", "origin", "horizon", "ds"])
    known = past.select("number", "scale", "naive_mse", origin="ds")
    return (
        sums.join(past.select("number", "ds", "y").drop_nulls("y"), on=["number", "ds"])
        .join(known, on=["number", "origin"])
        .sort("number", "fold", "ds")
    )


def level_accuracy(
    hierarchy: Hierarchy, predictions: Mapping[str, Batches], past: pl.DataFrame, settings: Settings
) -> pd.DataFrame:
    """Metrics and coverage of every algorithm by level, on the totals of its backtest.

    Args:
        hierarchy: The totals.
        predictions: Per algorithm its backtest.
        past: Of `history`.
        settings: The settings.

    Returns:
        Metrics in long form, dimension `level`, segment the level's name; `series` counts totals. Where the series
        are reconciled, they make a level, too.
    """
    import pandas as pd

    parts = []
    for name, batches in predictions.items():
        rows = backtest_of(hierarchy, batches, past)
        levels = {
            level.name: in_one_batch(as_predictions(hierarchy.of_level(rows, level))) for level in hierarchy.levels
        }
        if settings.forecast.hierarchy.reconciliation == "mint":
            levels[SERIES] = batches
        parts += [
            _accuracy(name, own, settings).assign(dimension=LEVEL, segment=level) for level, own in levels.items()
        ]
    return sorted_long(pd.concat(parts)[list(LONG_COLUMNS)])


def _accuracy(name: str, batches: Batches, settings: Settings) -> pd.DataFrame:
    """Metrics and coverage over all rows of the scored folds."""
    import pandas as pd

    weekly = settings.forecast.frequency != "D"
    sums = Totals(PIECE_KEYS, largest=["naive_mse"])
    for batch in batches([*PIECE_KEYS[:2], "horizon", *PIECE_KEYS[3:], "y", "yhat", "naive_mse"]):
        sums.add(error_sums(batch.filter(pl.col("fold") >= 1), weekly))
    coverage = cross_fold_coverage({name: batches}, non_negative=settings.forecast.non_negative, dimensions=("total",))
    pieces = sums.frame().with_columns(pl.lit(0.0).alias(COST))
    metrics = metrics_by({name: segment_sums(pieces, ("total",))})
    # The units of a total have no price of their own.
    return pd.concat([metrics[metrics["metric"] != COST], coverage_metrics(coverage)])


def series_rows(hierarchy: Hierarchy, forecasts: Batches) -> Iterator[pl.DataFrame]:
    """Reconciled forecasts of the series in the columns of `forecast_totals`, in batches; keys are null."""
    for batch in forecasts(["unique_id", "ds", "yhat", *BOUNDS, "model_version", "cutoff"]):
        yield batch.select(
            pl.lit(SERIES).alias("level"),
            pl.col("unique_id").alias("node"),
            *[pl.lit(None, pl.String).alias(key) for key in hierarchy.keys],
            pl.lit(1, pl.Int32).alias("series"),
            *["ds", "yhat", *BOUNDS, "model_version", "cutoff"],
        )


def as_predictions(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `backtest_of` under the names of an algorithm's table; a total has no category and no class."""
    nothing = pl.lit(None, pl.String)
    return rows.with_columns(unique_id=pl.col("number").cast(pl.String), category=nothing, volume_class=nothing)


def in_one_batch(rows: pl.DataFrame) -> Batches:
    """A frame as a source of batches."""

    def batches(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield rows.select(columns)

    return batches


def forecast_totals(
    hierarchy: Hierarchy, forecasts: Batches, backtest: pl.DataFrame, past: pl.DataFrame, non_negative: bool
) -> pl.DataFrame:
    """Forecasts of all totals with intervals.

    Intervals come from the errors of the totals of a level in the backtest: errors of single series partly cancel out,
    so that bounds cannot be added up. A step for which nothing is forecast, because the business is closed, has none.

    Args:
        hierarchy: The totals.
        forecasts: The table `forecasts`.
        backtest: Of `backtest_of`, for the recipe that forecasts.
        past: Of `history`.
        non_negative: The target cannot be below zero.

    Returns:
        `level`, `node` (the keys joined by `/`), the keys of all levels (null where they are not the level's own),
        `series` (how many are added up), `ds`, `yhat`, `BOUNDS`, `model_version`, `cutoff`, sorted by level, node and
        step.
    """
    columns = ["unique_id", "ds", "cutoff", "model_version", "yhat", "hi95"]
    sums = hierarchy.sums(forecasts(columns), ["ds", "cutoff", "model_version"])
    known = past.select("number", "scale", "naive_mse", cutoff="ds")
    measured = sums.join(known, on=["number", "cutoff"])
    parts = []
    for level in hierarchy.levels:
        own, errors = hierarchy.of_level(measured, level), hierarchy.of_level(backtest, level)
        table = interval_table(in_one_batch(as_predictions(errors)))
        parts.append(apply_intervals(own.drop("hi95"), table, non_negative))
    bounded = pl.concat(parts).join(sums.select("number", "ds", upper="hi95"), on=["number", "ds"])
    is_closed = (pl.col("upper") == 0) & (pl.col("yhat") == 0)
    return (
        bounded.with_columns(pl.when(is_closed).then(0.0).otherwise(name).alias(name) for name in BOUNDS)
        .join(hierarchy.nodes, on="number")
        .join(hierarchy.sizes, on="number")
        .sort("number", "ds")
        .select("level", "node", *hierarchy.keys, "series", "ds", "yhat", *BOUNDS, "model_version", "cutoff")
    )
