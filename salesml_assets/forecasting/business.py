"""The comparison in business terms: accuracy in percent, error in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import polars as pl
from pydantic import BaseModel, ConfigDict

from salesml_assets.forecasting.batches import Batches, Totals


@dataclass(frozen=True)
class Costs:
    """What errors cost: a stated assumption, not a measurement.

    Attributes:
        under: Cost of a unit that is forecast too few, as a share of its price.
        over: Cost of a unit that is forecast too many, as a share of its price.
        prices: `unique_id`, `price`; a series that is not there costs nothing. None: the target is money already, or no
            prices are known, and the costs are those of one unit of the target.
    """

    under: float = 1.0
    over: float = 1.0
    prices: pl.DataFrame | None = None

    def added(self, sums: pl.DataFrame) -> pl.DataFrame:
        """Adds `cost` to sums of errors, in their order: `unique_id`, `absolute` (Σ|y - ŷ|), `signed` (Σ(ŷ - y))."""
        absolute, signed, price = pl.col("absolute"), pl.col("signed"), pl.lit(1.0)
        if self.prices is not None:
            sums = sums.join(
                self.prices.select("unique_id", "price"), on="unique_id", how="left", maintain_order="left"
            )
            price = pl.col("price").fill_null(0.0)
        cost = (self.over * (absolute + signed) + self.under * (absolute - signed)) / 2 * price
        return sums.with_columns(cost=cost).drop("price", strict=False)


class Business(BaseModel):
    """What the winner's error means.

    `accuracy` is 100 (1 - WAPE) and `error_reduction` 100 (1 - WAPE / WAPE of the seasonal naive), in percent, null
    where nothing was sold. `error_value` (Σ|y - ŷ|), `saved` (what that is below the seasonal naive's) and `sold`
    (Σy) are sums over one horizon, averaged over the folds: money where `is_money`, else units. `cost` is what the
    errors cost in one horizon where a unit too few costs `cost_under` of its price and one too many `cost_over`;
    `baseline_cost` and `champion_cost` are the same of the seasonal naive and of the model that was in production.
    """

    model_config = ConfigDict(frozen=True)

    accuracy: float | None
    error_reduction: float | None
    error_value: float
    saved: float
    sold: float
    is_money: bool
    cost: float | None = None
    baseline_cost: float | None = None
    champion_cost: float | None = None
    cost_under: float = 1.0
    cost_over: float = 1.0


def average_prices(series: Batches) -> pl.DataFrame:
    """What a unit of each series sold for: Σ revenue / Σ quantity.

    Args:
        series: `unique_id`, `quantity`, `revenue`, one row per step.

    Returns:
        `unique_id`, `price`, sorted; a series without a positive price of its own has that of all series together
        (null where that is not positive either).
    """
    sums = Totals(["unique_id"])
    for batch in series(["unique_id", "quantity", "revenue"]):
        sums.add(batch)
    quantity, revenue = pl.col("quantity"), pl.col("revenue")
    own = pl.when((quantity > 0) & (revenue > 0)).then(revenue / quantity)
    overall = pl.when((quantity.sum() > 0) & (revenue.sum() > 0)).then(revenue.sum() / quantity.sum())
    return sums.frame().select("unique_id", price=pl.coalesce(own, overall))


def valued_sums(series: Mapping[str, pl.DataFrame], prices: pl.DataFrame) -> pd.DataFrame:
    """Scored errors and sales in money: `algorithm`, `loss` (Σ|y - ŷ| price), `y` (Σ y price).

    Args:
        series: Per algorithm the sums of its series: `unique_id`, `absolute` (Σ|y - ŷ|), `y`.
        prices: `unique_id`, `price`; a series that is not there counts nothing.
    """
    price = pl.col("price")
    sums = [
        frame.join(prices.select("unique_id", "price"), on="unique_id")
        .sort("unique_id")  # so that sums are the same to the last digit
        .select(pl.lit(name).alias("algorithm"), loss=(pl.col("absolute") * price).sum(), y=(pl.col("y") * price).sum())
        for name, frame in series.items()
    ]
    return pl.concat(sums).to_pandas()


def business_reading(
    sums: pd.DataFrame,
    winner: str,
    baseline: str,
    is_revenue: bool,
    valued: pd.DataFrame | None = None,
    costs: Costs | None = None,
    cost_of: Mapping[str, float] | None = None,
    champion: str | None = None,
) -> Business:
    """Accuracy, error reduction, the value of the error and its cost.

    Args:
        sums: Of `errors.daily_sums`, winner and baseline among them.
        winner: Name of the winner.
        baseline: Name of the baseline.
        is_revenue: Whether the target is money already.
        valued: Of `valued_sums`, where the target is a quantity and prices are known.
        costs: What errors are assumed to cost; default: a unit costs its price.
        cost_of: Cost of each algorithm's errors in one horizon (the metric `cost` in total).
        champion: Name of what was in production.
    """
    cost_of, costs = cost_of or {}, costs or Costs()
    by_algorithm = sums.groupby("algorithm")[["loss", "volume", "y"]].sum()
    totals = by_algorithm.to_dict("index")
    money = totals if is_revenue or valued is None else valued.set_index("algorithm").to_dict("index")
    folds = sums["fold"].nunique()
    own, base, volume = totals[winner]["loss"], totals[baseline]["loss"], totals[winner]["volume"]
    own_value, base_value = money[winner]["loss"], money[baseline]["loss"]
    return Business(
        accuracy=_rounded(100 * (1 - own / volume)) if volume > 0 else None,
        error_reduction=_rounded(100 * (1 - own / base)) if base > 0 else None,
        error_value=_rounded(own_value / folds),
        saved=_rounded((base_value - own_value) / folds),
        sold=_rounded(money[winner]["y"] / folds),
        is_money=is_revenue or valued is not None,
        cost=cost_of.get(winner),
        baseline_cost=cost_of.get(baseline),
        champion_cost=cost_of.get(champion) if champion else None,
        cost_under=costs.under,
        cost_over=costs.over,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")
