"""The profile of plain Parquet files by Polars: what `profile_of` counts with Spark, in a fraction of the time.

It is made where the date is a column with a type of its own and no amount is text; else Spark has to read the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
from pyspark.sql import types as T

from salesml_assets.config.settings import KEYS, Settings
from salesml_assets.quality.encoding import REPLACEMENT, arrow_path
from salesml_assets.quality.files import list_files
from salesml_assets.quality.mapping import AMOUNTS, TEXTS, column_of, resolved_columns, zone_of
from salesml_assets.quality.names import header
from salesml_assets.quality.profile import SHORTENED, Profile
from salesml_assets.quality.reader import mentions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TRIAL_ROWS = 20  # on which mapping and rules are tried
MAX_ROWS = 20_000_000  # beyond, Spark's parallel pass is the better one
MIDNIGHT = pl.duration(hours=0)


def arrow_profile(delivered: DataFrame, settings: Settings) -> Profile | None:
    """The profile of a whole source; None where only Spark can make it.

    Args:
        delivered: The source as Spark opened it.
        settings: The settings.
    """
    sales = settings.sales
    if sales.format != "parquet" or sales.filter is not None or sales.options:
        return None
    resolved = resolved_columns(settings, delivered)
    date = column_of(sales.columns.date, delivered.schema)
    if date is None or any(isinstance(resolved[name][1], T.StringType) for name in AMOUNTS if name in resolved):
        return None
    field = delivered.schema[date]
    rows = _rows(delivered, settings)
    if rows is None or header(field) not in rows.collect_schema():
        return None
    kind, zone = rows.collect_schema()[header(field)], zone_of(field, settings)
    day = _day(header(field), kind, zone, isinstance(field.dataType, T.TimestampType))
    if day is None:
        return None
    texts = _text_columns(rows, [resolved[name][0] for name in TEXTS if name in resolved])
    keys = _text_columns(rows, [resolved[name][0] for name in KEYS if name in resolved])
    series = [
        name
        for name in rows.collect_schema()
        if any(mentions(resolved[key][0], [name]) for key in settings.forecast.series)
    ]
    instants = isinstance(kind, pl.Datetime) and kind.time_zone is not None and zone is None
    moment = pl.col(header(field))
    clock = moment - moment.dt.truncate("1d") if instants else None
    quarter = (
        pl.lit(None, pl.Int32)
        if clock is None
        else pl.when(clock != MIDNIGHT).then(moment.dt.hour() // 6).cast(pl.Int32)
    )
    cells = (
        rows.select(
            day.alias("date"),
            _any([pl.col(name).str.contains(REPLACEMENT, literal=True) for name in texts]).alias("bad"),
            _any([pl.col(name).str.contains(SHORTENED) for name in keys]).alias("short"),
            quarter.alias("quarter"),
            (pl.struct(series).hash(seed=0) if series else pl.lit(0, pl.UInt64)).alias("series"),
        )
        .group_by("date", "bad", "short", "quarter")
        .agg(pl.len().alias("rows"), pl.col("series").n_unique().alias("series"))
        .sort("date", "bad", "short", "quarter")
        .collect()
    )
    frame = cells.to_pandas().assign(met=True, readable=True)
    frame["date"] = pd.to_datetime(frame["date"])
    return Profile(frame, {}, instants, rows.head(TRIAL_ROWS).collect().to_dicts())


def _rows(delivered: DataFrame, settings: Settings) -> pl.LazyFrame | None:
    """The files as one lazy frame, where all of them have the same columns and are not too many rows."""
    from pyarrow import ArrowException
    from pyarrow import dataset as ds

    files = list_files(delivered.sparkSession, settings.sales.path)
    places = [arrow_path(file, settings.s3) for file in files.paths]
    if None in places or any("=" in part for file in files.paths for part in file.split("/")[:-1]):
        return None
    found = [place for place in places if place is not None]
    try:
        source = ds.dataset([name for _, name in found], filesystem=found[0][0], format="parquet")
        if source.count_rows() > MAX_ROWS or any(
            not one.physical_schema.equals(source.schema) for one in source.get_fragments()
        ):
            return None
    except (ArrowException, OSError):
        return None
    return pl.scan_pyarrow_dataset(source)


def _day(name: str, kind: pl.DataType, zone: str | None, instant: bool) -> pl.Expr | None:
    """The shop's day; None where Spark has another notion of the values."""
    if kind == pl.Date:
        return pl.col(name)
    if not isinstance(kind, pl.Datetime) or instant != (kind.time_zone is not None):
        return None
    if kind.time_zone is None:
        return pl.col(name).dt.date()
    return pl.col(name).dt.convert_time_zone(zone or "UTC").dt.date()


def _text_columns(rows: pl.LazyFrame, entries: list[str]) -> list[str]:
    texts = [name for name, kind in rows.collect_schema().items() if kind == pl.String]
    return [name for name in texts if any(mentions(entry, [name]) for entry in entries)]


def _any(conditions: list[pl.Expr]) -> pl.Expr:
    found = pl.lit(False)
    for condition in conditions:
        found = found | condition.fill_null(False)
    return found
