"""How unusual an amount is: its robust z-score among the amounts of the same product.

Amounts of sales are skewed, so the score is that of log |amount|: (x - median) / (1.4826 MAD), with the median
absolute deviation MAD in place of the standard deviation (Iglewicz and Hoaglin, How to Detect and Handle
Outliers, 1993). Medians come from counts on a grid of 2 % steps: one small shuffle, any number of rows, and the
same result on every run, which approximate percentiles that depend on the order of rows do not give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import Window
from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.training.series import unique_id
from salesml_assets.quality.mapping import AMOUNTS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STEP = 0.02
CONSISTENCY = 1.4826  # MAD to standard deviation under a normal distribution
# Where most amounts of a product are equal the MAD is zero, and any other amount would be an outlier. Prices of
# one product differ less than the sizes of orders: with a bound of 5 the least factor from the median that
# counts is exp(5 * 0.3) = 4.5 for a price and exp(5 * 0.5) = 12 for a quantity or a revenue.
MIN_SPREAD = {"quantity": 0.5, "unit_price": 0.3, "revenue": 0.5}
# Fewer rows say too little about a product; it is measured by all products together.
MIN_ROWS = 20
GROUP = "_group"


def robust_bounds(rows: DataFrame, settings: Settings) -> pd.DataFrame:
    """Median and spread of the logarithms of the amounts, per product and over all.

    They are computed once, so that accepted and quarantined rows are told apart by the same numbers. The table
    is as large as one that is broadcast: a row per product that has enough rows.

    Args:
        rows: Canonical rows.
        settings: The settings: without a product column the series keys make the groups.

    Returns:
        `_group` (null: all rows together), `amount`, `centre` and `spread`, sorted.
    """
    logs = F.array(*[F.struct(F.lit(name).alias("amount"), _log(name).alias("log")) for name in _amounts(rows)])
    step = F.round(F.col("pair.log") / STEP).cast("int")
    cells = (
        rows.select(_group(rows, settings).alias(GROUP), F.explode(logs).alias("pair"))
        .where(F.col("pair.log").isNotNull())
        .groupBy(GROUP, F.col("pair.amount").alias("amount"), step.alias("step"))
        .agg(F.count(F.lit(1)).alias("rows"))
    )
    everything = F.explode(F.array(F.struct(F.col(GROUP)), F.struct(F.lit(None).cast("string").alias(GROUP))))
    counts = (
        cells.where(F.col(GROUP).isNotNull())
        .select(everything.alias("of"), "amount", "step", "rows")
        .groupBy(f"of.{GROUP}", "amount", "step")
        .agg(F.sum("rows").alias("rows"))
    )
    cell = Window.partitionBy(GROUP, "amount")
    totals = counts.withColumns(
        {"total": F.sum("rows").over(cell), "reached": F.sum("rows").over(cell.orderBy("step"))}
    )
    centred = totals.where((F.col("total") >= MIN_ROWS) | F.col(GROUP).isNull()).withColumn(
        "centre", _median("step").over(cell)
    )
    apart = F.abs(F.col("step") - F.col("centre"))
    deviations = centred.withColumn("apart", apart).withColumn("reached", F.sum("rows").over(cell.orderBy("apart")))
    found = deviations.groupBy(GROUP, "amount").agg(F.first("centre").alias("centre"), _median("apart").alias("mad"))
    bounds = found.toPandas().sort_values([GROUP, "amount"], ignore_index=True)
    bounds["centre"] = bounds["centre"].astype(float) * STEP
    spread = bounds.pop("mad").astype(float) * STEP * CONSISTENCY
    bounds["spread"] = spread.clip(lower=bounds["amount"].map(MIN_SPREAD).astype(float))
    return bounds


def with_robust_z(rows: DataFrame, bounds: pd.DataFrame, settings: Settings) -> DataFrame:
    """Adds `robust_z`, a struct with a score per amount (null where the amount is null or zero)."""
    amounts = _amounts(rows)
    overall = bounds[bounds[GROUP].isna()].set_index("amount")
    wide = bounds[bounds[GROUP].notna()].pivot(index=GROUP, columns="amount", values=["centre", "spread"])
    columns = [(part, name) for name in amounts for part in ("centre", "spread")]
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples(columns)).astype(float)
    wide.columns = pd.Index([f"_{name}_{part}" for part, name in columns])
    schema = f"{GROUP} string, " + ", ".join(f"{name} double" for name in wide.columns)
    table = rows.sparkSession.createDataFrame(wide.rename_axis(GROUP).reset_index(), schema)
    joined = rows.withColumn(GROUP, _group(rows, settings)).join(F.broadcast(table), GROUP, "left")
    scores = []
    for name in amounts:
        centre, spread = (
            F.coalesce(F.nanvl(f"_{name}_{part}", F.lit(None)), _number(overall[part].get(name)))
            for part in ("centre", "spread")
        )
        scores.append(((_log(name) - centre) / spread).alias(name))
    return joined.withColumn("robust_z", F.struct(*scores)).drop(*table.columns)


def _number(value: float | None) -> Column:
    return F.lit(value).cast("double")


def _amounts(rows: DataFrame) -> list[str]:
    return [name for name in AMOUNTS if name in rows.columns]


def _log(name: str) -> Column:
    return F.when(F.col(name) != 0, F.log(F.abs(F.col(name))))


def _group(rows: DataFrame, settings: Settings) -> Column:
    if "product" in rows.columns:
        return F.col("product")
    return unique_id(settings)


def _median(value: str) -> Column:
    """The least value at which at least half of the rows are `reached`."""
    return F.min(F.when(F.col("reached") * 2 >= F.col("total"), F.col(value)))
