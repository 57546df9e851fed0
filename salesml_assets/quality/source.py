"""Reads the source of the sales, and finds what cannot work before any work starts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.mapping import (
    MONTH,
    REASONS,
    available_columns,
    canonical,
    first_day,
    known_future_columns,
    resolve,
    resolve_key,
    source_column,
)
from salesml_assets.quality.reader import CORRUPT, first_sentence, read_table
from salesml_assets.quality.split import applicable_rules, prepared

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

TRIAL_ROWS = 20


@dataclass(frozen=True)
class SourceSummary:
    """What a source holds.

    Attributes:
        columns: Its columns as delivered.
        canonical: The canonical columns that it has, each with its Spark SQL expression.
        first_date: First day between `sales.first_month` and today.
        last_date: Last day up to today.
        weekdays: Weekdays (Monday is 0) on which something was ever sold.
        rows: Rows that meet `sales.filter`.
        left_out: Rows that do not.
    """

    columns: list[str]
    canonical: dict[str, str]
    first_date: dt.date
    last_date: dt.date
    weekdays: frozenset[int]
    rows: int
    left_out: int


def read_source(spark: SparkSession, settings: Settings) -> DataFrame:
    """The rows as delivered that meet `sales.filter`.

    A line that cannot be read meets every filter, since its columns are unknown: it goes to quarantine.

    Raises:
        ConfigurationError: The source or the filter does not work; the message names the key.
    """
    delivered = _open(spark, settings)
    condition = _filter(delivered, settings)
    return delivered if condition is None else delivered.where(condition)


def needed_steps(settings: Settings) -> int:
    """Days (or weeks) of history that backtests with this horizon take.

    One horizon for tuning and one for each fold that scores, before them as much to learn from, at least two
    weeks of days or eight weeks.
    """
    return _needed(settings, settings.forecast.horizon)


def preflight(spark: SparkSession, settings: Settings) -> SourceSummary:
    """Checks that the settings work on the source.

    Raises:
        ConfigurationError: Something cannot work; the message names the key, what is wrong, and what there is.
    """
    delivered = _open(spark, settings)
    condition = _filter(delivered, settings)
    mapped = available_columns(settings, delivered.schema)
    known_future_columns(settings, delivered.columns, list(mapped))
    _check_planned_file(spark, settings)
    _check_rules(delivered, settings)
    return _summarize(delivered, condition, mapped, settings)


def _open(spark: SparkSession, settings: Settings) -> DataFrame:
    sales = settings.sales
    delivered = read_table(spark, sales.path, sales.format, sales.options, "sales")
    for reserved in (MONTH, REASONS):
        if source_column(reserved, delivered.columns) is not None:
            raise ConfigurationError(f"sales.path: the source has a column {reserved!r}, a name that is taken here")
    return delivered


def _filter(delivered: DataFrame, settings: Settings) -> Column | None:
    condition = settings.sales.filter
    if condition is None:
        return None
    # Not `resolve_key` alone: a column's name is a condition only where the column is boolean.
    expression, kind = resolve_key("sales.filter", condition, delivered)
    if not isinstance(kind, T.BooleanType):
        raise ConfigurationError(f"sales.filter: {condition!r} is no condition: it gives {kind.simpleString()}")
    met = F.coalesce(F.expr(f"({expression})"), F.lit(False))
    return met | F.col(CORRUPT).isNotNull() if CORRUPT in delivered.columns else met


def _check_planned_file(spark: SparkSession, settings: Settings) -> None:
    planned = settings.forecast.known_future
    if planned.path is None:
        return
    if not planned.columns:
        raise ConfigurationError("forecast.known_future.columns: name the columns of forecast.known_future.path to use")
    frame = read_table(spark, planned.path, planned.format, {}, "forecast.known_future")
    shown = ", ".join(name for name in frame.columns if name != CORRUPT)
    missing = [name for name in planned.columns if source_column(name, frame.columns) is None]
    if missing:
        raise ConfigurationError(
            f"forecast.known_future.path: {planned.path!r} has no column {', '.join(missing)}. Its columns: {shown}"
        )
    date = settings.sales.columns.date
    try:
        resolve(date, frame)
    except ValueError:
        raise ConfigurationError(
            f"forecast.known_future.path: {planned.path!r} lacks the date {date!r} (sales.columns.date). "
            f"Its columns: {shown}"
        ) from None


def _check_rules(delivered: DataFrame, settings: Settings) -> None:
    """Tries mapping and rules on a few rows: a condition may be well formed and yet fail on values."""
    own = {rule.name: f"quality.rules.{rule.name}" for rule in settings.quality.rules}
    keys = own | {"not_a_product": "quality.exclude_products"}
    rules = [rule for rule in applicable_rules(delivered, settings) if rule.name in keys]
    few = delivered.limit(TRIAL_ROWS)
    try:
        few = delivered.sparkSession.createDataFrame(few.collect(), delivered.schema)
        canonical(few, settings).collect()
    except (PySparkException, Py4JJavaError) as error:
        raise ConfigurationError(f"sales: fails on the source's rows: {first_sentence(error)}") from None
    for rule in rules:
        _check_condition(prepared(few, settings, settings.today, [rule]), rule.condition, keys[rule.name])


def _check_condition(rows: DataFrame, condition: str, key: str) -> None:
    try:
        judged = rows.select(F.struct(F.expr(f"({condition})").alias("broken")).alias("rule"), "*").select(
            "rule.broken"
        )
        kind = judged.schema["broken"].dataType
        if isinstance(kind, T.BooleanType):
            judged.collect()
    except (AnalysisException, ParseException) as error:
        raise ConfigurationError(
            f"{key}: {condition!r} does not work ({first_sentence(error)}). "
            f"Columns: {', '.join(rows.columns)}; source.<column>: {', '.join(rows.select('source.*').columns)}"
        ) from None
    except (PySparkException, Py4JJavaError) as error:
        raise ConfigurationError(f"{key}: fails on the source's rows: {first_sentence(error)}") from None
    if not isinstance(kind, T.BooleanType):
        raise ConfigurationError(f"{key}: {condition!r} is no condition: it gives {kind.simpleString()}")


def _summarize(
    delivered: DataFrame, condition: Column | None, mapped: dict[str, str], settings: Settings
) -> SourceSummary:
    met = F.lit(True) if condition is None else condition
    # The filter is over the delivered columns, which `source` holds; it is evaluated before them.
    rows = canonical(delivered.withColumn("_met", met), settings, keep=["_met"])
    first, today = first_day(settings), settings.today
    date, kept = F.col("date"), F.col("_met")
    # An unreadable line is kept for quarantine, whatever its date.
    readable = kept & F.col(f"source.{CORRUPT}").isNull() if CORRUPT in delivered.columns else kept
    usable = readable & (date >= F.lit(first)) & (date <= F.lit(today))
    found = rows.agg(
        F.count_if(kept).alias("rows"),
        F.count_if(~kept).alias("left_out"),
        F.count_if(readable).alias("readable"),
        F.count_if(readable & date.isNull()).alias("undated"),
        F.count_if(readable & (date > F.lit(today))).alias("future"),
        F.count_if(readable & (date < F.lit(first))).alias("early"),
        F.min(F.when(usable, date)).alias("first"),
        F.max(F.when(usable, date)).alias("last"),
        F.collect_set(F.when(usable, F.weekday(date))).alias("weekdays"),
    ).first()
    assert found is not None
    if found["readable"] == 0:
        if found["left_out"]:
            raise ConfigurationError(
                f"sales.filter: none of the {found['left_out']:,} rows meets {settings.sales.filter!r}"
            )
        raise ConfigurationError(f"sales.path: {settings.sales.path!r} holds no rows that can be read")
    if found["first"] is None:
        raise ConfigurationError(
            f"sales.columns.date: none of the {found['readable']:,} rows has a usable date: {found['undated']:,} have "
            f"none that can be read, {found['future']:,} lie after today ({today}, clock.today), {found['early']:,} "
            f"before sales.first_month ({settings.sales.first_month}). Dates in another form than 2011-12-09 take an "
            f"expression: to_date(day, 'dd.MM.yyyy')"
        )
    _check_horizon(found["first"], found["last"], settings)
    columns = [name for name in delivered.columns if name != CORRUPT]
    return SourceSummary(
        columns,
        mapped,
        found["first"],
        found["last"],
        frozenset(found["weekdays"]),
        found["rows"],
        found["left_out"],
    )


def _check_horizon(first: dt.date, last: dt.date, settings: Settings) -> None:
    weekly = settings.forecast.frequency.startswith("W")
    unit = "weeks" if weekly else "days"
    steps = (last - first).days // (7 if weekly else 1) + 1
    needed = needed_steps(settings)
    if steps >= needed:
        return
    fitting = next((h for h in range(settings.forecast.horizon, 0, -1) if _needed(settings, h) <= steps), None)
    mend = (
        f"the longest horizon that fits is {fitting}"
        if fitting
        else f"even a horizon of 1 needs {_needed(settings, 1)} {unit}"
    )
    raise ConfigurationError(
        f"forecast.horizon: {settings.forecast.horizon} {unit} ahead with training.folds = {settings.training.folds} "
        f"need {needed} {unit} of sales, there are {steps} ({first} to {last}); {mend}"
    )


def _needed(settings: Settings, horizon: int) -> int:
    least = 8 if settings.forecast.frequency.startswith("W") else 14
    return (settings.training.folds + 1) * horizon + max(least, horizon)
