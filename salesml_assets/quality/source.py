"""Reads the source of the sales, and finds what cannot work before any work starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.quality.arrow_profile import TRIAL_ROWS, arrow_profile
from salesml_assets.quality.files import file_stamps
from salesml_assets.quality.findings import SourceSummary, horizon_problem, judge_profile, needed_steps
from salesml_assets.quality.history import days_of_other_months
from salesml_assets.quality.mapping import (
    MONTH,
    REASONS,
    available_columns,
    canonical,
    known_future_columns,
    required_columns,
    resolve_key,
    source_column,
)
from salesml_assets.quality.names import header
from salesml_assets.quality.notes import Note
from salesml_assets.quality.plan import open_plan, resolve_plan
from salesml_assets.quality.profile import Profile, profile_of
from salesml_assets.quality.reader import CORRUPT, Source, first_sentence, read_table
from salesml_assets.quality.split import applicable_rules, prepared
from salesml_assets.quality.store_access import check_store

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["SourceSummary", "inspect", "needed_steps", "preflight", "read_source"]


def read_source(spark: SparkSession, settings: Settings) -> DataFrame:
    """The rows as delivered that meet `sales.filter`.

    A line that cannot be read meets every filter, since its columns are unknown: it goes to quarantine.

    Raises:
        ConfigurationError: The source or the filter does not work; the message names the key.
    """
    delivered = _open(spark, settings)
    condition = _filter(delivered, settings)
    return delivered if condition is None else delivered.where(condition)


def preflight(
    spark: SparkSession, settings: Settings, months: Sequence[str] | None = None, *, trains: bool = True
) -> SourceSummary:
    """Checks that the settings work on the source.

    A second look of this process at the same files with the same settings gives the first one's answer: the command
    line looks before it starts a run, and the run's first asset needs no look of its own.

    Args:
        spark: The session.
        settings: The settings.
        months: The months that are loaded, 'yyyy-MM'; default: the whole source. Rows of other months are not looked
            at, and the history is that of these months and of the others in the lake.
        trains: Whether models are trained after a load of `months`, so that their history has to be long enough.

    Raises:
        ConfigurationError: Something cannot work; the message names the key, what is wrong, and what there is.
    """
    global _last_look
    seen = (settings.model_dump_json(), tuple(months or ()), _stamps(spark, settings))
    if _last_look is not None and _last_look[0] == seen:
        return _last_look[1]
    notes, summary = inspect(spark, settings, months)
    wrong = next((note for note in notes if note.kind == "wrong"), None)
    if wrong:
        raise ConfigurationError(f"{wrong.key}: {wrong.text}")
    assert summary is not None
    if months is not None:
        if trains:
            _check_partial_history(summary, months, settings)
        return summary  # the lake may change before the next look
    _last_look = (seen, summary)
    return summary


def _check_partial_history(summary: SourceSummary, months: Sequence[str], settings: Settings) -> None:
    """Whether the loaded months are, with those in the lake, a history that is long enough."""
    others = days_of_other_months(Lakehouse(settings.lake.root, settings.s3), months)
    days = [day for day in (summary.first_date, summary.last_date, *(others or ())) if day is not None]
    problem = horizon_problem(min(days), max(days), settings) if days else "there are no sales at all"
    if problem:
        raise ConfigurationError(f"forecast.horizon: {problem}; load earlier months, too: run without --since")


_last_look: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], SourceSummary] | None = None


def inspect(
    spark: SparkSession, settings: Settings, months: Sequence[str] | None = None
) -> tuple[list[Note], SourceSummary | None]:
    """All that a look at the source finds; no summary where it has no usable rows.

    Raises:
        ConfigurationError: Source, mapping or rules do not work at all: there is nothing to look at.
    """
    delivered = _open(spark, settings)
    condition = _filter(delivered, settings)
    mapped = available_columns(settings, delivered.schema)
    known_future_columns(settings, delivered.columns, list(mapped))
    _check_planned_file(spark, settings)
    profile = arrow_profile(delivered, settings) if months is None else None
    _check_rules(delivered, settings, profile)
    if profile is None:
        with _readable_errors():
            profile = profile_of(delivered, condition, settings, months)
    names = [header(one) for one in delivered.schema if one.name != CORRUPT]
    return judge_profile(profile, delivered, settings, mapped, names, whole=months is None)


def _stamps(spark: SparkSession, settings: Settings) -> tuple[str, ...]:
    """What changes with the files of the source and of the plan."""
    found = []
    for key, path in (("sales", settings.sales.path), ("forecast.known_future", settings.forecast.known_future.path)):
        if path is None:
            continue
        check_store(settings, path, f"{key}.path")
        try:
            found += file_stamps(spark, path)
        except Py4JJavaError as error:
            raise ConfigurationError(f"{key}.path: {path!r} cannot be listed: {first_sentence(error)}") from None
    return tuple(found)


def _open(spark: SparkSession, settings: Settings) -> DataFrame:
    sales = settings.sales
    entries = {f"sales.columns.{name}": getattr(sales.columns, name) for name in required_columns(settings)}
    entries = {key: entry for key, entry in entries.items() if entry is not None}
    check_store(settings, sales.path, "sales.path")
    delivered = read_table(spark, Source(sales.path, sales.format, sales.options, "sales", settings.s3, entries))
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
    resolve_plan(open_plan(spark, settings), settings)


def _check_rules(delivered: DataFrame, settings: Settings, profile: Profile | None) -> None:
    """Tries rules, and the mapping, on a few rows: a condition may be well formed and yet fail on values."""
    own = {rule.name: f"quality.rules.{rule.name}" for rule in settings.quality.rules}
    keys = own | {"not_a_product": "quality.exclude_products"}
    rules = [rule for rule in applicable_rules(delivered, settings) if rule.name in keys]
    if not rules and profile is None:
        return  # the profile is made by Spark, which tries the mapping on all rows
    few = _few_rows(delivered, profile)
    try:
        rows = prepared(few, settings, settings.today, rules)
        judged = rows.select(F.struct(*[F.expr(f"({rule.condition})").alias(rule.name) for rule in rules], "*"))
        types = judged.schema[0].dataType
        assert isinstance(types, T.StructType)
        works = all(isinstance(types[rule.name].dataType, T.BooleanType) for rule in rules)
        judged.collect()
    except (PySparkException, Py4JJavaError):
        works = False
    if works:
        return
    # One at a time, for the message.
    with _readable_errors():
        canonical(few, settings).collect()
    for rule in rules:
        _check_condition(prepared(few, settings, settings.today, [rule]), rule.condition, keys[rule.name])


def _few_rows(delivered: DataFrame, profile: Profile | None) -> DataFrame:
    """Some rows, in memory."""
    spark = delivered.sparkSession
    if profile is not None and profile.head is not None:
        rows = [tuple(row.get(header(one)) for one in delivered.schema) for row in profile.head]
        try:
            return spark.createDataFrame(rows, delivered.schema)  # spares Spark a job, which is its slow first one
        except (PySparkException, TypeError, ValueError):
            pass  # a type of which Python has another notion
    with _readable_errors():
        return spark.createDataFrame(delivered.limit(TRIAL_ROWS).collect(), delivered.schema)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Errors of Spark on the rows of the source in one line."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise ConfigurationError(f"sales: fails on the source's rows: {first_sentence(error)}") from None


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
