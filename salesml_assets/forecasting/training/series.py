"""One gap-free calendar per series, made from accepted sales with Spark.

A step is a day, or a week that ends on a fixed weekday. Between the first sale of a series and the last
day of the data every step has a row; days on which the whole business is closed are marked.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.calendar import BusinessCalendar, business_calendar, series_keys
from salesml_assets.forecasting.series_id import ESCAPE, SEPARATOR
from salesml_assets.names import STOCK_OUT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def daily_rows(sales: DataFrame, target: str) -> pd.DataFrame:
    """Rows per day that moved anything: a small table, one row per day of the data."""
    moved = F.count_if(F.coalesce(F.col(target), F.lit(0.0)) != 0).alias("rows")
    return sales.groupBy("date").agg(moved).orderBy("date").toPandas()


def calendar_of_series(series: DataFrame, settings: Settings) -> BusinessCalendar:
    """The business calendar as the series themselves show it: the same last step and closed weekdays."""
    steps = series.groupBy(F.col("ds").alias("date")).agg(F.count_if(F.col("y") != 0).alias("rows"))
    return business_calendar(steps.orderBy("date").toPandas(), settings.forecast.frequency)


def unique_id(settings: Settings) -> Column:
    """The name of a series, as `forecasting/series_id.py` defines it, over the key columns."""
    keys = [F.coalesce(F.col(key), F.lit("")) for key in series_keys(settings)]
    if len(keys) == 1:
        return keys[0]
    escaped = [
        F.replace(F.replace(key, F.lit(ESCAPE), F.lit(ESCAPE * 2)), F.lit(SEPARATOR), F.lit(ESCAPE + SEPARATOR))
        for key in keys
    ]
    return F.concat_ws(SEPARATOR, *escaped)


def step_of(day: Column, calendar: BusinessCalendar) -> Column:
    """The step of a day as a Spark expression: the day, or the end of its week."""
    if calendar.week_end is None:
        return day
    return F.date_add(day, F.pmod(F.lit(calendar.week_end) - F.weekday(day), F.lit(7)))


def sales_series(
    sales: DataFrame, settings: Settings, calendar: BusinessCalendar, planned: DataFrame | None = None
) -> DataFrame:
    """One row per series and step, without gaps.

    Args:
        sales: Accepted sales in canonical columns.
        settings: The settings.
        calendar: The business calendar of these sales.
        planned: Covariates known in advance (`read_planned`), which also fill in the past.

    Returns:
        `unique_id`, the series keys, `category` where it is known, `ds` (day or week end), `y` (target; null
        where it is unknown), `quantity` and `revenue` where they are known, `rows`, `closed`, covariates; where the
        sales have it, `stock_out`: at least half of the step's rows are out of stock, `y` is null, and `quantity` and
        `revenue` are what was sold.
    """
    keys = series_keys(settings)
    covariates = [name for name in settings.forecast.known_future.columns if name in sales.columns]
    amounts = [name for name in ("quantity", "revenue") if name in sales.columns]
    with_category = "category" in sales.columns and "category" not in keys
    stock_outs = [STOCK_OUT] if STOCK_OUT in sales.columns else []
    steps = (
        sales.withColumn("unique_id", unique_id(settings))
        .withColumn("ds", step_of(F.col("date"), calendar))
        .where(F.col("ds") <= F.lit(calendar.last))
    )
    observed = steps.groupBy("unique_id", "ds").agg(
        *[exact_sum(name).alias(name) for name in amounts],
        F.count(F.lit(1)).alias("rows"),
        *[(F.count_if(F.col(name)) * 2 >= F.count(F.lit(1))).alias(name) for name in stock_outs],
        *[aggregate_covariate(name, dict(steps.dtypes)[name]) for name in covariates],
    )
    about = steps.groupBy("unique_id").agg(
        *[F.first(key).alias(key) for key in keys],
        *([F.mode("category", deterministic=True).alias("category")] if with_category else []),
    )
    step = F.expr(f"interval {calendar.step_days} day")
    # As `calendar.first_sale`: zeros that are listed before a product was launched are no history.
    sold = F.min(F.when(F.col(settings.forecast.target) != 0, F.col("ds")))
    firsts = observed.groupBy("unique_id").agg(F.coalesce(sold, F.min("ds")).alias("first"))
    dense = (
        about.join(firsts, "unique_id")
        .withColumn("ds", F.explode(F.sequence(F.col("first"), F.lit(calendar.last), step)))
        .drop("first")
    )
    joined = dense.join(observed, ["unique_id", "ds"], "left")
    unknown = settings.sales.gaps == "unknown"
    closed = _closed_steps(sales.sparkSession, calendar)
    filled = joined.join(F.broadcast(closed), "ds", "left").withColumns(
        {
            "rows": F.coalesce("rows", F.lit(0)),
            "closed": F.coalesce("closed", F.lit(False)) & (F.coalesce(settings.forecast.target, F.lit(0.0)) == 0),
            **{name: F.col(name) if unknown else F.coalesce(name, F.lit(0.0)) for name in amounts},
            **{name: F.coalesce(name, F.lit(False)) for name in stock_outs},
        }
    )
    if planned is not None:
        filled = _fill_covariates(filled, planned, settings.forecast.known_future.columns)
    others = [name for name in filled.columns if name in settings.forecast.known_future.columns]
    sold = F.col(settings.forecast.target)
    return filled.select(
        "unique_id", *keys, *(["category"] if with_category else []), "ds",
        (F.when(~F.col(STOCK_OUT), sold) if stock_outs else sold).alias("y"), *amounts, "rows", "closed",
        *stock_outs, *others,
    )  # fmt: skip


def aggregate_covariate(name: str, kind: str) -> Column:
    """A covariate of several rows: the mean of numbers (for weeks the share of days), the most frequent text."""
    mean = exact_sum(name) / F.count(name)
    return (F.mode(name, deterministic=True) if kind == "string" else mean).alias(name)


def exact_sum(name: str) -> Column:
    """The sum of a column to twelve decimals, whatever the order of its rows; null where all are null.

    Binary sums end on other last digits in another order, and what is sold and returned then leaves 1e-13 instead
    of nothing; trees split there. Amounts too large for decimal numbers (from 1e26) are summed as they are.
    """
    exact = F.col(name).cast("decimal(38,12)")
    all_fit = F.count(exact) == F.count(name)
    return F.coalesce(F.when(all_fit, F.sum(exact).cast("double")), F.sum(name))


def _closed_steps(spark: SparkSession, calendar: BusinessCalendar) -> DataFrame:
    """Closed days; with weeks, those of which every day was closed."""
    days = pd.Series(calendar.closed_days, dtype="object")
    if calendar.week_end is not None and len(days):
        per_week = days.map(calendar.step_end).value_counts()
        days = pd.Series(sorted(per_week.index[per_week == 7]), dtype="object")
    rows = [(day, True) for day in days]
    return spark.createDataFrame(rows, "ds date, closed boolean")


def _fill_covariates(series: DataFrame, planned: DataFrame, names: list[str]) -> DataFrame:
    kinds, planned_kinds = dict(series.dtypes), dict(planned.dtypes)
    for name in names:
        if name in kinds and kinds[name] != planned_kinds[name]:
            raise ConfigurationError(
                f"forecast.known_future.columns: {name!r} is {kinds[name]} in the sales and {planned_kinds[name]} in "
                "forecast.known_future.path: it has to be numbers in both, or text in both"
            )
    on = [name for name in planned.columns if name not in names]
    renamed = planned.select(*on, *[F.col(name).alias(f"_planned_{name}") for name in names])
    filled = series.join(renamed, on, "left")
    values = {
        name: F.coalesce(name, f"_planned_{name}") if name in series.columns else F.col(f"_planned_{name}")
        for name in names
    }
    return filled.withColumns(values).drop(*[f"_planned_{name}" for name in names])


def future_steps(
    series: DataFrame, settings: Settings, calendar: BusinessCalendar, planned: DataFrame | None = None
) -> DataFrame:
    """The steps after the data, one row per series and step up to the horizon.

    Returns:
        `unique_id`, the series keys, `category` where known, `ds`, `closed`, planned covariates.
    """
    about = [name for name in ("unique_id", *series_keys(settings), "category") if name in series.columns]
    step = dt.timedelta(calendar.step_days)
    ahead = [calendar.last + number * step for number in range(1, settings.forecast.horizon + 1)]
    steps = series.sparkSession.createDataFrame(
        [(day, calendar.is_closed(day)) for day in ahead], "ds date, closed boolean"
    )
    rows = series.where(F.col("ds") == F.lit(calendar.last)).select(*dict.fromkeys(about)).crossJoin(F.broadcast(steps))
    names = settings.forecast.known_future.columns
    return rows if planned is None else _fill_covariates(rows, planned, names)
