"""Covariates known in advance: promotions, opening days, holidays, planned prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.calendar import BusinessCalendar, series_keys
from salesml_assets.forecasting.training.series import aggregate_covariate, step_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def read_planned(spark: SparkSession, settings: Settings, calendar: BusinessCalendar) -> DataFrame | None:
    """Reads the planned covariates, one row per key and step.

    The file's key and date columns are found by the same mapping as in the sales; a file without some of the
    series keys holds for all series that share the keys it has.

    Returns:
        The series keys that the file has, `ds` and the covariates; None where no file is configured.

    Raises:
        ConfigurationError: The file lacks the date or a covariate.
    """
    planned = settings.forecast.known_future
    if planned.path is None:
        return None
    reader = spark.read.options(header=True, inferSchema=True) if planned.format == "csv" else spark.read
    try:
        source = reader.format(planned.format).load(planned.path)
    except AnalysisException as error:
        raise ConfigurationError(f"forecast.known_future.path: {planned.path} cannot be read: {error}") from None
    missing = [name for name in planned.columns if name not in source.columns]
    if missing:
        raise ConfigurationError(
            f"forecast.known_future.columns: {', '.join(missing)} not in {planned.path}; "
            f"it has {', '.join(source.columns)}"
        )
    columns = settings.sales.columns
    day = _expression(source, columns.date)
    if day is None:
        raise ConfigurationError(f"forecast.known_future.path: {planned.path} lacks the date column {columns.date!r}")
    found = {key: _expression(source, getattr(columns, key)) for key in series_keys(settings)}
    keys = {key: expression.cast("string").alias(key) for key, expression in found.items() if expression is not None}
    kinds = dict(source.dtypes)
    values = [
        F.col(f"`{name}`").alias(name)
        if kinds[name] == "string"
        else F.expr(f"try_cast(`{name}` as double)").alias(name)
        for name in planned.columns
    ]
    date = day.try_cast("timestamp").cast("date")
    steps = source.select(*keys.values(), step_of(date, calendar).alias("ds"), *values)
    return (
        steps.where(F.col("ds").isNotNull())
        .groupBy(*keys, "ds")
        .agg(*[aggregate_covariate(name, kinds[name]) for name in planned.columns])
    )


def covariates_of(series: DataFrame, settings: Settings) -> dict[str, str]:
    """Name and Spark type of the covariates that the series have."""
    kinds = dict(series.dtypes)
    return {name: kinds[name] for name in settings.forecast.known_future.columns if name in kinds}


def _expression(source: DataFrame, mapped: str | None) -> Column | None:
    """A mapping entry on this file: the column or the expression, None where the file cannot serve it."""
    if mapped is None:
        return None
    names = {name.lower(): name for name in source.columns}
    if mapped.lower() in names:
        return F.col(f"`{names[mapped.lower()]}`")
    try:
        source.select(F.expr(mapped)).schema  # noqa: B018  (analysis happens here)
    except AnalysisException:
        return None
    return F.expr(mapped)
