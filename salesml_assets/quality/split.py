"""Splits delivered rows into accepted and quarantined ones; nothing is lost, nothing is added."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import Settings
from salesml_assets.quality.mapping import ADDED, MONTH, REASONS, available_columns, canonical, month_of
from salesml_assets.quality.outliers import robust_bounds, with_robust_z
from salesml_assets.quality.rules import Rule, return_condition, rules_for

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

COPY = "_copy"


def judge(delivered: DataFrame, settings: Settings, today: dt.date, reference: DataFrame | None = None) -> DataFrame:
    """Evaluates every rule on every row.

    Two tables are made of the result (`accepted_rows`, `quarantined_rows`): persist it where both are written.

    Args:
        delivered: Rows as delivered, a month of them or all; `_month` may be among the columns.
        settings: The settings.
        today: The day after which a sale lies in the future.
        reference: Delivered rows by which outliers are measured; default: the delivered ones.

    Returns:
        The canonical columns, `source` (the delivered row), `is_return`, `flags`, `_reasons` and `_month`.

    Raises:
        ConfigurationError: The mapping or a rule does not work on these columns.
    """
    rules = applicable_rules(delivered, settings)
    judged = prepared(delivered, settings, today, rules, reference)
    month = F.col(MONTH) if MONTH in delivered.columns else month_of(F.col("date"), settings, today)
    kept = [name for name in judged.columns if name not in (*ADDED, MONTH)]
    return judged.select(
        *kept,
        "source",
        F.coalesce(F.expr(return_condition(kept)), F.lit(False)).alias("is_return"),
        _broken([rule for rule in rules if rule.action == "flag"]).alias("flags"),
        _broken([rule for rule in rules if rule.action == "reject"]).alias(REASONS),
        month.alias(MONTH),
    )


def accepted_rows(judged: DataFrame) -> DataFrame:
    """The rows that broke no rule: canonical columns, `is_return`, `flags`, `month`."""
    rows = judged.where(F.size(REASONS) == 0)
    return rows.drop("source", REASONS).withColumnRenamed(MONTH, "month")


def quarantined_rows(judged: DataFrame) -> DataFrame:
    """The other rows: the delivered columns with their values, `_reasons` and `_month`."""
    return judged.where(F.size(REASONS) > 0).select("source.*", REASONS, MONTH)


def applicable_rules(delivered: DataFrame, settings: Settings) -> list[Rule]:
    """The rules that hold for rows with these columns.

    Raises:
        ConfigurationError: See `rules_for`.
    """
    return rules_for(settings, available_columns(settings, delivered.schema), delivered.columns)


def prepared(
    delivered: DataFrame, settings: Settings, today: dt.date, rules: list[Rule], reference: DataFrame | None = None
) -> DataFrame:
    """The canonical rows with all that the conditions of the rules refer to."""
    names = {rule.name for rule in rules}
    numbered = delivered.withColumn(COPY, _copy_number(delivered) if "exact_duplicate" in names else F.lit(1))
    keep = [COPY, *([MONTH] if MONTH in delivered.columns else [])]
    rows = canonical(numbered, settings, reference=reference, keep=keep).withColumnRenamed(COPY, "copy")
    # Measured only where a rule asks for it; a rule of the user's may.
    if any("robust_z" in rule.condition for rule in rules):
        measured = rows if reference is None else canonical(reference, settings)
        rows = with_robust_z(rows, robust_bounds(measured, settings), settings)
    return rows.withColumn("today", F.lit(today))


def _copy_number(delivered: DataFrame) -> Column:
    """1 for the first of equal rows, 2 for the second ...; equal rows cannot be told apart, so any is the first."""
    columns = [_comparable(field) for field in delivered.schema if field.name != MONTH]
    # The hash stands first: sorting mostly ends there, and equality is still decided by the values.
    return F.row_number().over(Window.partitionBy(F.xxhash64(*columns), *columns).orderBy(F.lit(0)))


def _comparable(field: T.StructField) -> Column:
    column = F.col("`" + field.name.replace("`", "``") + "`")
    # Maps and variants have no order, so Spark does not group by them.
    unordered = any(kind in field.dataType.simpleString() for kind in ("map<", "variant"))
    return F.to_json(F.struct(column)) if unordered else column


def _broken(rules: list[Rule]) -> Column:
    """The names of the rules that a row breaks."""
    names = [F.when(F.expr(f"({rule.condition})"), F.lit(rule.name)) for rule in rules]
    return F.array_compact(F.array(*names)) if names else F.array().cast("array<string>")
