"""The source of a replay: split once into weeks, then delivered week by week."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from salesml_assets.config.settings import ColumnSettings, SalesSettings, Settings
from salesml_assets.simulation.events import apply_event, hit_products
from salesml_assets.simulation.plan import WEEK, Simulation

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import SparkSession

LABEL = "_week"
HISTORY = "history"
WEEKS_OF_VOLUME = 8  # before an event, for the volume of each product


def split_source(spark: SparkSession, settings: Settings, mondays: Sequence[dt.date], folder: Path) -> ColumnSettings:
    """Writes the source's rows as Parquet: one folder for each week, and one for earlier rows.

    The rows keep all their columns. A canonical column that is an SQL expression becomes an additional column, so that
    an event can change it.

    Args:
        spark: The session.
        settings: The settings of the real source.
        mondays: The replayed weeks; later rows are left out.
        folder: Target folder; its content is replaced.

    Returns:
        The column mapping of the written rows: plain columns only.
    """
    from pyspark.sql import functions as F

    from salesml_assets.quality.mapping import (
        available_columns,
        canonical,
        known_future_columns,
        source_column,
    )
    from salesml_assets.quality.names import quoted
    from salesml_assets.quality.source import read_source

    delivered = read_source(spark, settings)
    mapped: dict[str, str | None] = dict.fromkeys(ColumnSettings.model_fields)
    made = {}
    for name in available_columns(settings, delivered.schema):
        plain = source_column(getattr(settings.sales.columns, name), delivered.columns)
        mapped[name] = plain or _free_name(name, delivered.columns)
        if plain is None:
            made[name] = str(mapped[name])
    # Covariates with the types of the real source: in CSV all are text.
    planned = known_future_columns(settings, delivered.columns, list(mapped))
    kept = [name for name in delivered.columns if name not in planned.values()]
    rows = canonical(delivered, settings).select(
        *[F.col("source").getField(name).alias(name) for name in kept],
        *[F.col(quoted(name)) for name in planned],
        *[F.col(name).alias(column) for name, column in made.items()],
        F.col("date").alias("_day"),
    )
    earliest = mondays[0] - WEEKS_OF_VOLUME * WEEK
    monday = F.date_trunc("week", "_day").cast("date")
    label = F.when(F.col("_day") >= F.lit(earliest), F.date_format(monday, "yyyy-MM-dd")).otherwise(F.lit(HISTORY))
    past_the_end = F.coalesce(F.col("_day") >= F.lit(mondays[-1] + WEEK), F.lit(False))
    # Otherwise Spark writes INT96 timestamps, and Polars another type after an event.
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    labelled = rows.where(~past_the_end).withColumn(LABEL, label).drop("_day")
    labelled.repartition(LABEL).write.partitionBy(LABEL).mode("overwrite").parquet(str(folder))
    return ColumnSettings(**mapped)


def replay_settings(settings: Settings, columns: ColumnSettings, source: Path) -> Settings:
    """Settings that read the delivered weeks instead of the real source.

    Args:
        settings: The settings of the real source.
        columns: Result of `split_source`.
        source: Folder to which weeks are delivered.
    """
    sales = SalesSettings(
        path=str(source),
        format="parquet",
        columns=columns,
        **settings.sales.model_dump(include={"gaps", "returns", "load", "first_month", "timezone"}),
    )
    return settings.model_copy(update={"sales": sales})


def deliver_history(folder: Path, source: Path, mondays: Sequence[dt.date]) -> None:
    """Copies all rows before the first replayed week into the source.

    Args:
        folder: The split source.
        source: Folder to which files are delivered.
        mondays: The replayed weeks.
    """
    source.mkdir(parents=True, exist_ok=True)
    names = [HISTORY, *[str(mondays[0] - number * WEEK) for number in range(1, WEEKS_OF_VOLUME + 1)]]
    for name in names:
        for number, file in enumerate(_files(folder, name)):
            target = source / f"{name}-{number}.parquet"
            shutil.copyfile(file, _hidden(target))
            _publish(target, mondays[0])


def deliver_week(
    folder: Path, source: Path, week: int, mondays: Sequence[dt.date], simulation: Simulation, settings: Settings
) -> int:
    """Delivers one week's file to the source, with its active events applied; a week without rows has no file.

    The file's modification time is the day after the week, the same in every replay.

    Args:
        folder: The split source.
        source: Folder to which files are delivered.
        week: Number of the replayed week, from 1.
        mondays: The replayed weeks.
        simulation: The events.
        settings: Result of `replay_settings`.

    Returns:
        The number of rows.
    """
    monday = mondays[week - 1]
    sold = read_week(folder, monday)
    if sold is None:
        return 0
    rows = sold
    for number, event in simulation.in_force(week):
        began = mondays[event.week - 1]
        earlier = [read_week(folder, began - back * WEEK) for back in range(1, WEEKS_OF_VOLUME + 1)]
        hit = hit_products(_stacked(earlier, sold), event, number, simulation.seed, settings)
        rows = apply_event(rows, event, hit, simulation.seed + number, settings)
    target = source / f"{monday}.parquet"
    rows.write_parquet(_hidden(target))
    _publish(target, monday + WEEK)
    return rows.height


def read_week(folder: Path, monday: dt.date) -> pl.DataFrame | None:
    """The original rows of one week of the split source; None if there are none."""
    import polars as pl

    files = _files(folder, str(monday))
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files]) if files else None


def _stacked(weeks: Sequence[pl.DataFrame | None], like: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return pl.concat([like.clear(), *[rows for rows in weeks if rows is not None]])


def _files(folder: Path, name: str) -> list[Path]:
    return sorted((folder / f"{LABEL}={name}").glob("*.parquet"))


def _free_name(name: str, taken: Sequence[str]) -> str:
    lower = {column.lower() for column in taken}
    return name if name not in lower else _free_name(f"{name}_mapped", taken)


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}")


def _publish(target: Path, day: dt.date) -> None:
    """Moves a file into the source atomically; its modification time is the beginning of that day."""
    moment = dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()
    os.utime(_hidden(target), (moment, moment))
    _hidden(target).replace(target)
