"""What Spark aggregates and samples for one evaluation; only small frames reach the driver."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from salesml_assets.drift.inputs import DriftInputs
from salesml_assets.forecasting.training.series import unique_id

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from salesml_assets.config.settings import Settings

HISTORY_WEEKS = 130  # two years and a half: a year before the oldest week that a season is taken from
MOST_SERIES = 20_000
ROWS_PER_WEEK = 2_000
_DRAWS = 1 << 32


@dataclass(frozen=True)
class Weeks:
    """Weeks that end on the weekday of the last day of the data, so that the newest days always count.

    Attributes:
        last: Last day of the data, of a complete step.
    """

    last: dt.date

    @property
    def judged(self) -> dt.date:
        """First day of the last week."""
        return self.last - dt.timedelta(6)

    @property
    def first(self) -> dt.date:
        """First day of the oldest week that counts."""
        return self.judged - dt.timedelta(7 * (HISTORY_WEEKS - 1))

    def of(self, day: Column) -> Column:
        """First day of the week of a day, as a Spark expression."""
        return F.date_sub(day, F.pmod(F.date_diff(day, F.lit(self.judged)), F.lit(7)))

    def trained_until(self, cutoff: dt.date) -> dt.date:
        """First day of the last whole week up to a cutoff.

        >>> str(Weeks(dt.date(2011, 12, 9)).trained_until(dt.date(2011, 12, 7)))
        '2011-11-26'
        """
        return self.judged - dt.timedelta(7 * -(-max(0, (self.last - cutoff).days) // 7))


def drift_inputs(
    sales: DataFrame, predictions: DataFrame | None, settings: Settings, last: dt.date, cutoff: dt.date
) -> DriftInputs:
    """Aggregates the frames of one evaluation.

    Args:
        sales: Accepted sales in canonical columns.
        predictions: `unique_id`, `origin`, `ds`, `y`, `yhat`: backtests and past forecasts of what is in production,
            with their actuals; None where there are none.
        settings: The settings.
        last: Last day of the data that belongs to a complete step.
        cutoff: Last day that the production model was trained on.
    """
    weeks = Weeks(last)
    recent = sales.where(F.col("date").between(F.lit(weeks.first), F.lit(last))).withColumn(
        "week", weeks.of(F.col("date"))
    )
    days = recent.groupBy("week").agg(F.count_distinct("date").alias("days"))
    return DriftInputs(
        weekly=_pandas(_weekly(recent, settings)),
        days=_pandas(days),
        trained_until=pd.Timestamp(weeks.trained_until(cutoff)),
        judged=pd.Timestamp(weeks.judged),
        features=_pandas(_sample(recent, settings)),
        predictions=None if predictions is None else _pandas(_by_week(predictions, weeks)),
    )


def _weekly(recent: DataFrame, settings: Settings) -> DataFrame:
    sold = F.col("quantity") > 0 if "quantity" in recent.columns else F.col(settings.forecast.target) > 0
    values = {
        "y": F.sum(settings.forecast.target),
        "rows": F.count_if(sold),
    }
    price = _price(recent)
    if price is not None:
        values["log_price"] = F.coalesce(F.sum(F.when(sold & (price > 0), F.ln(price))), F.lit(0.0))
    if "quantity" in recent.columns:
        values["log_quantity"] = F.coalesce(F.sum(F.when(sold, F.ln("quantity"))), F.lit(0.0))
    named = recent.withColumn("unique_id", unique_id(settings))
    series = named.select("unique_id").distinct().count()
    if series > MOST_SERIES:
        named = named.where(_draw(F.col("unique_id")) < F.lit(MOST_SERIES / series))
    sums = named.groupBy("unique_id", "week").agg(*[value.alias(name) for name, value in values.items()])
    if "category" not in recent.columns:
        return sums
    categories = named.groupBy("unique_id").agg(F.mode("category", deterministic=True).alias("category"))
    return sums.join(categories, "unique_id")


def _sample(recent: DataFrame, settings: Settings) -> DataFrame:
    """About the same number of rows of every week, drawn by a hash of their content."""
    wanted: list[str] = ["quantity", "store", "category", *settings.forecast.known_future.columns]
    columns = [name for name in wanted if name in recent.columns]
    price = _price(recent)
    features = [*[F.col(name) for name in columns], *([price.alias("unit_price")] if price is not None else [])]
    counts = recent.groupBy("week").agg(F.count(F.lit(1)).alias("_rows"))
    key = [F.col(name) for name in recent.columns if name not in ("flags", "week")]
    drawn = recent.join(F.broadcast(counts), "week").where(_draw(*key) < F.lit(float(ROWS_PER_WEEK)) / F.col("_rows"))
    return drawn.select("week", *features)


def _by_week(predictions: DataFrame, weeks: Weeks) -> DataFrame:
    """Of every series and step the forecast of the latest origin, summed by week."""
    newest = predictions.groupBy("unique_id", "ds").agg(
        F.max_by("yhat", "origin").alias("yhat"), F.max_by("y", "origin").alias("y")
    )
    inside = newest.where(F.col("ds").between(F.lit(weeks.first), F.lit(weeks.last)))
    return inside.groupBy("unique_id", weeks.of(F.col("ds")).alias("week")).agg(
        F.sum("yhat").alias("yhat"), F.sum("y").alias("y"), F.sum(F.abs(F.col("y") - F.col("yhat"))).alias("error")
    )


def _price(rows: DataFrame) -> Column | None:
    if "unit_price" in rows.columns:
        return F.col("unit_price")
    if {"quantity", "revenue"} <= set(rows.columns):
        return F.when(F.col("quantity") > 0, F.col("revenue") / F.col("quantity"))
    return None


def _draw(*key: Column) -> Column:
    """A number from 0 to 1 that depends on the key alone."""
    return F.pmod(F.xxhash64(*key), F.lit(_DRAWS)) / F.lit(float(_DRAWS))


def _pandas(frame: DataFrame) -> pd.DataFrame:
    made = frame.toPandas()
    order = [name for name in ("week", "unique_id") if name in made]
    return made.assign(week=pd.to_datetime(made["week"])).sort_values(order, kind="stable", ignore_index=True)
