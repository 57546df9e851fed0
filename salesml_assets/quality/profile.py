"""One pass over the source: its days, and how its amounts, names and instants are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import KEYS, Settings
from salesml_assets.quality.amounts import OTHER, STYLES, AmountProblem, amount_problem
from salesml_assets.quality.encoding import REPLACEMENT
from salesml_assets.quality.mapping import (
    AMOUNTS,
    MONTH,
    TEXTS,
    UNDATED,
    WITH_OFFSET,
    at_local_time,
    canonical,
    month_of,
    resolved_columns,
    zone_of,
)
from salesml_assets.quality.names import quoted
from salesml_assets.quality.reader import CORRUPT, mentions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyspark.sql import Column, DataFrame

# A code of thirteen digits that Excel has saved as it shows it.
SHORTENED = r"^[0-9]([.,][0-9]+)?[eE]\+[0-9]+$"
_MET, _BAD, _SHORT, _QUARTER = "_met", "_bad", "_short", "_quarter"


@dataclass(frozen=True)
class Profile:
    """What the rows of a source are like.

    Attributes:
        cells: One row per combination of `met` (the filter), `readable`, `date`, `bad` (a name has a character that
            could not be decoded), `short` (a code that Excel has shortened), `quarter` of the UTC day (null: no
            instants, or midnight) and the style of each amount in `styled`; with `rows` and `series`.
        styled: Key of the settings and SQL expression of each amount that is text, by its column in `cells`.
        counts_instants: Whether the date is an instant without a time zone.
        head: The first rows, by the names of the file; None where Spark has to be asked for them.
    """

    cells: pd.DataFrame
    styled: dict[str, tuple[str, str]]
    counts_instants: bool
    head: list[dict[str, Any]] | None = None


def profile_of(
    delivered: DataFrame, condition: Column | None, settings: Settings, months: Sequence[str] | None = None
) -> Profile:
    """Counts the rows by what matters; one Spark job.

    Args:
        delivered: Rows as delivered.
        condition: Whether a row meets `sales.filter`; None: each does.
        settings: The settings.
        months: Months to look at, 'yyyy-MM'; default: all.
    """
    local = at_local_time(delivered, settings)
    resolved = resolved_columns(settings, local)
    styled = _styled(resolved, local)
    styles = {name: _style(F.trim(F.expr(expression))) for name, (_, expression) in styled.items()}
    quarter = _quarter(delivered, settings)
    met = F.lit(True) if condition is None else condition
    marked = delivered.withColumns(
        {_MET: met, _QUARTER: F.lit(None).cast("int") if quarter is None else quarter} | styles
    )
    rows = canonical(marked, settings, keep=[_MET, _QUARTER, *styles])
    if months is not None:
        month = month_of(F.col("date"), settings, settings.today)
        rows = rows.withColumn(MONTH, month).where(F.col(MONTH).isin([*months, UNDATED]))
    texts = [name for name in TEXTS if name in rows.columns]
    keys = [name for name in KEYS if name in rows.columns]
    readable = F.col(f"source.{CORRUPT}").isNull() if CORRUPT in delivered.columns else F.lit(True)
    cells = (
        rows.withColumns(
            {
                "readable": readable,
                _BAD: _any(F.contains(F.col(name), F.lit(REPLACEMENT)) for name in texts),
                _SHORT: _any(F.col(name).rlike(SHORTENED) for name in keys),
            }
        )
        .groupBy(_MET, "readable", "date", _BAD, _SHORT, _QUARTER, *styles)
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.approx_count_distinct(F.xxhash64(*[F.col(key) for key in settings.forecast.series])).alias("series"),
        )
        .toPandas()
        .rename(columns={_MET: "met", _BAD: "bad", _SHORT: "short", _QUARTER: "quarter"})
    )
    cells["date"] = pd.to_datetime(cells["date"], errors="coerce")
    return Profile(cells, styled, quarter is not None)


def amount_problems(profile: Profile, delivered: DataFrame, settings: Settings) -> dict[str, AmountProblem]:
    """The amounts whose text is not plain numbers, by their key of the settings; samples come from the source."""
    kept = profile.cells[profile.cells["met"] & profile.cells["readable"]]
    found = {}
    for name, (key, expression) in profile.styled.items():
        counts = {str(style): int(rows) for style, rows in kept.groupby(name)["rows"].sum().items()}
        plain = re.sub(r"^`(\w+)`$", r"\1", expression)
        if amount_problem(plain, counts, {}) is None:
            continue
        value = F.trim(F.expr(expression))
        distinct = (
            at_local_time(delivered, settings).select(value.alias("value"), _style(value).alias("style")).distinct()
        )
        samples: dict[str, list[str]] = {}
        for style in counts:
            rows = distinct.where(F.col("style").eqNullSafe(style)).orderBy(F.length("value"), "value").limit(3)
            samples[style] = [row["value"] for row in rows.collect()]
        problem = amount_problem(plain, counts, samples)
        assert problem is not None
        found[key] = problem
    return found


def samples_of(delivered: DataFrame, settings: Settings, column: str, condition: Column) -> list[str]:
    """Some different values of a canonical column, or of the source's date, as text."""
    rows = canonical(delivered, settings).where(condition).select(F.col(column).cast("string").alias("value"))
    return [row["value"] for row in rows.distinct().orderBy("value").limit(3).collect()]


def _styled(resolved: dict[str, tuple[str, T.DataType]], frame: DataFrame) -> dict[str, tuple[str, str]]:
    """The amounts that are text, and the text columns with which plain arithmetic makes one."""
    found = {}
    for name in [name for name in AMOUNTS if name in resolved]:
        expression, kind = resolved[name]
        key = f"sales.columns.{name}"
        if isinstance(kind, T.StringType):
            found[f"_style_{name}"] = (key, expression)
        elif "(" not in expression:
            texts = [one.name for one in frame.schema if isinstance(one.dataType, T.StringType)]
            used = [text for text in texts if text != CORRUPT and mentions(expression, [text])]
            found |= {f"_style_{name}_{place}": (key, quoted(text)) for place, text in enumerate(used)}
    return found


def _style(text: Column) -> Column:
    style = F.when(text == "", F.lit(None).cast("string"))
    for name, pattern in STYLES.items():
        style = style.when(text.rlike(pattern), name)
    return style.when(text.isNotNull(), OTHER)


def _any(conditions: Iterable[Column]) -> Column:
    found = F.lit(False)
    for condition in conditions:
        found = found | F.coalesce(condition, F.lit(False))
    return found


def _quarter(delivered: DataFrame, settings: Settings) -> Column | None:
    """The quarter of the UTC day, 0 to 3, of instants for which no zone is known; null at midnight."""
    if settings.sales.timezone is not None:
        return None
    expression, kind = resolved_columns(settings, delivered)["date"]
    used = [
        one
        for one in delivered.schema
        if isinstance(one.dataType, T.TimestampType) and mentions(expression, [one.name])
    ]
    if used:
        if any(zone_of(one, settings) for one in used):
            return None
        moment, is_instant = F.col(quoted(used[0].name)), F.lit(True)
    elif isinstance(kind, T.StringType):
        text = F.expr(expression)
        moment = text.try_cast("timestamp")
        is_instant = text.rlike(WITH_OFFSET) & text.rlike(r"(Z|[+-]00:?00)\s*$")
    else:
        return None
    midnight = moment == F.date_trunc("day", moment)
    return F.when(is_instant & ~midnight, F.floor(F.hour(moment) / 6).cast("int"))
