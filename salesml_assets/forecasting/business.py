"""The comparison in business terms: accuracy in percent, error in money."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import polars as pl
from pydantic import BaseModel, ConfigDict

from salesml_assets.forecasting.batches import Batches, Totals


class Business(BaseModel):
    """What the winner's error means.

    `accuracy` is 100 (1 - WAPE) and `error_reduction` 100 (1 - WAPE / WAPE of the seasonal naive), in percent, null
    where nothing was sold. `error_value` (Σ|y - ŷ|), `saved` (what that is below the seasonal naive's) and `sold`
    (Σy) are sums over one horizon, averaged over the folds: money where `is_money`, else units.
    """

    model_config = ConfigDict(frozen=True)

    accuracy: float | None
    error_reduction: float | None
    error_value: float
    saved: float
    sold: float
    is_money: bool


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
    sums: pd.DataFrame, winner: str, baseline: str, is_revenue: bool, valued: pd.DataFrame | None = None
) -> Business:
    """Accuracy, error reduction and the value of the error.

    Args:
        sums: Of `errors.daily_sums`, winner and baseline among them.
        winner: Name of the winner.
        baseline: Name of the baseline.
        is_revenue: Whether the target is money already.
        valued: Of `valued_sums`, where the target is a quantity and prices are known.
    """
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
    )


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")
