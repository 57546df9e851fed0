"""The file of values known in advance (promotions, opening days, planned prices), read as the sales are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.mapping import (
    at_local_time,
    column_of,
    covariate_columns,
    day_of,
    resolve,
    text_of,
)
from salesml_assets.quality.names import header
from salesml_assets.quality.reader import CORRUPT, Source, read_table
from salesml_assets.quality.store_access import check_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql import types as T

SECTION = "forecast.known_future"


def open_plan(spark: SparkSession, settings: Settings) -> DataFrame:
    """The file as delivered, with instants at the shop's time.

    Its options are those of the sales where it has none of its own and the same format.

    Raises:
        ConfigurationError: It cannot be read.
    """
    planned, sales = settings.forecast.known_future, settings.sales
    assert planned.path is not None
    options = planned.options
    if options is None:
        options = sales.options if planned.format == sales.format else {}
    entries = {f"{SECTION}.columns.{name}": name for name in planned.columns}
    check_store(settings, planned.path, f"{SECTION}.path")
    source = Source(planned.path, planned.format, options, SECTION, settings.s3, entries)
    return at_local_time(read_table(spark, source), settings)


def resolve_plan(frame: DataFrame, settings: Settings) -> tuple[dict[str, tuple[str, T.DataType]], dict[str, str]]:
    """Date and keys of the file, each as SQL expression and type, and the column of each covariate.

    They are found as in the sales: by the entries of `sales.columns`, else by their canonical names.

    Raises:
        ConfigurationError: The date or a covariate is missing.
    """
    planned = settings.forecast.known_future
    shown = ", ".join(header(one) for one in frame.schema if one.name != CORRUPT)
    found = {name: _column(name, frame) for name in planned.columns}
    missing = [name for name, column in found.items() if column is None]
    if missing:
        raise ConfigurationError(
            f"{SECTION}.path: {planned.path!r} has no column {', '.join(missing)}. Its columns: {shown}"
        )
    keys = {}
    for name in ("date", *settings.forecast.series):
        for entry in (getattr(settings.sales.columns, name), name):
            if entry is None:
                continue
            try:
                keys[name] = resolve(entry, frame)
                break
            except ValueError:
                continue
    if "date" not in keys:
        raise ConfigurationError(
            f"{SECTION}.path: {planned.path!r} lacks the date {settings.sales.columns.date!r} (sales.columns.date). "
            f"Its columns: {shown}"
        )
    return keys, {name: column for name, column in found.items() if column is not None}


def planned_rows(spark: SparkSession, settings: Settings) -> DataFrame | None:
    """The planned values: the series keys that the file has, `date` and the covariates; None without a file.

    Raises:
        ConfigurationError: The file cannot be read, or lacks the date or a covariate.
    """
    if settings.forecast.known_future.path is None:
        return None
    frame = open_plan(spark, settings)
    keys, covariates = resolve_plan(frame, settings)
    date, kind = keys.pop("date")
    return frame.select(
        *[text_of(F.expr(expression), key_kind).alias(name) for name, (expression, key_kind) in keys.items()],
        day_of(F.expr(date), kind, settings.sales.timezone).alias("date"),
        *covariate_columns(frame, covariates, settings.forecast.known_future.format),
    )


def _column(name: str, frame: DataFrame) -> str | None:
    try:
        return column_of(name, frame.schema)
    except ValueError:
        return None
