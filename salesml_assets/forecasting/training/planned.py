"""Covariates known in advance: promotions, opening days, holidays, planned prices."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import BusinessCalendar, series_keys
from salesml_assets.forecasting.training.series import aggregate_covariate, step_of
from salesml_assets.quality.plan import planned_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class PlanCoverage:
    """How much of the forecast days a plan covers.

    Attributes:
        cells: Series times steps ahead.
        covered: Those of which every covariate is known.
        unseen: Per text covariate the values that are planned ahead and were never seen before.
        strangers: Keys in the plan that no series has.
    """

    cells: int
    covered: int
    unseen: dict[str, list[str]]
    strangers: int

    @property
    def share(self) -> float:
        """Share of the cells that are covered; 1 where there are none."""
        return self.covered / self.cells if self.cells else 1.0


def read_planned(spark: SparkSession, settings: Settings, calendar: BusinessCalendar) -> DataFrame | None:
    """Reads the planned covariates, one row per key and step.

    The file is read as the sales are, and its key and date columns are found by the same mapping; a file without some
    of the series keys holds for all series that share the keys it has.

    Returns:
        The series keys that the file has, `ds` and the covariates; None where no file is configured.

    Raises:
        ConfigurationError: The file cannot be read, or lacks the date or a covariate.
    """
    rows = planned_rows(spark, settings)
    if rows is None:
        return None
    kinds, names = dict(rows.dtypes), settings.forecast.known_future.columns
    keys = [name for name in series_keys(settings) if name in rows.columns]
    steps = rows.withColumn("ds", step_of(F.col("date"), calendar)).where(F.col("ds").isNotNull())
    return steps.groupBy(*keys, "ds").agg(*[aggregate_covariate(name, kinds[name]) for name in names])


def plan_coverage(
    series: DataFrame, settings: Settings, calendar: BusinessCalendar, planned: DataFrame
) -> PlanCoverage:
    """Which of the steps ahead a plan knows, and what it plans that was never seen.

    Args:
        series: `sales_series` in the form of that table.
        settings: The settings.
        calendar: The business calendar.
        planned: Of `read_planned`.
    """
    names = settings.forecast.known_future.columns
    keys = [name for name in series_keys(settings) if name in planned.columns]
    about = series.where(F.col("ds") == F.lit(calendar.last)).select("unique_id", *series_keys(settings)).distinct()
    step = dt.timedelta(calendar.step_days)
    days = [(calendar.last + number * step,) for number in range(1, settings.forecast.horizon + 1)]
    ahead = F.broadcast(series.sparkSession.createDataFrame(days, "ds date"))
    joined = about.crossJoin(ahead).join(planned, [*keys, "ds"], "left")
    known = F.lit(True)
    for name in names:
        known = known & F.col(name).isNotNull()
    (cells, covered) = joined.agg(F.count(F.lit(1)), F.count_if(known)).first()  # type: ignore[misc]
    unseen = {}
    for name in [name for name in names if dict(planned.dtypes)[name] == "string"]:
        future = planned.join(ahead, "ds", "left_semi").select(name)
        past = planned.where(F.col("ds") <= F.lit(calendar.last)).select(name)
        if name in series.columns:
            past = past.union(series.select(name))
        new = future.where(F.col(name).isNotNull()).distinct().exceptAll(past.distinct()).orderBy(name).limit(10)
        if values := [row[name] for row in new.collect()]:
            unseen[name] = values
    strangers = planned.select(*keys).distinct().join(about, keys, "left_anti").count() if keys else 0
    return PlanCoverage(cells, covered, unseen, strangers)


def covariates_of(series: DataFrame, settings: Settings) -> dict[str, str]:
    """Name and Spark type of the covariates that the series have."""
    kinds = dict(series.dtypes)
    return {name: kinds[name] for name in settings.forecast.known_future.columns if name in kinds}
