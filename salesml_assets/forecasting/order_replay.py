"""A replay of the backtests as orders: how available the goods would have been, and how much stock that would take.

Stock is reviewed every few steps and ordered up to a level that should last until the next order has arrived: the
forecast of these steps, and a safety stock from the calibrated quantile of the error of their sum (order-up-to policy
with periodic review: Silver, Pyke & Thomas 2016, chapter 6). The quantile is that of sums, because errors of
neighbouring steps are alike and neither add up as squares nor as they are. What is not in stock when it is asked for is
lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.intervals import held_out_tables, order_scores, spread
from salesml_assets.forecasting.metrics import LONG_COLUMNS, TOTAL, significant

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.config.settings import Settings

# Service levels that are compared, and the one that is reported where no costs are set.
REPLAYED_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
DEFAULT_LEVEL = 0.95
MAX_SERIES = 10_000  # more are drawn by a hash of their names
WEEK = {"D": 7}  # steps of a week; of weeks it is one
ORDER_COLUMNS = ("algorithm", "service_level", "fill_rate", "stock", "cover", "lost")
REPLAYED = ("unique_id", "fold", "horizon", "y", "yhat", "scale", "naive_mse")
ORDER_METRICS = {"fill_rate": "fill_rate", "cover": "stock_cover"}


@dataclass(frozen=True)
class Policy:
    """When orders are placed and delivered.

    Attributes:
        lead_time: Steps from an order to its delivery; 0: it is there before the next step.
        review: Steps between two orders.
    """

    lead_time: int
    review: int

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The policy of the settings; the default review is a week."""
        review = settings.orders.review or WEEK.get(settings.forecast.frequency, 1)
        return cls(settings.orders.lead_time, review)


@dataclass(frozen=True)
class _Steps:
    """Series × fold by step, fold 0 included; what is not scored is 0.

    Attributes:
        fold: Per row.
        scale: Per row, level of the series.
        price: Per row, what a unit weighs.
        demand: What was asked for.
        forecast: What was forecast.
        variance: Squares of the units of the errors.
    """

    fold: np.ndarray
    scale: np.ndarray
    price: np.ndarray
    demand: np.ndarray
    forecast: np.ndarray
    variance: np.ndarray


def replay_orders(
    predictions: Mapping[str, Batches], policy: Policy, service_level: float, prices: pl.DataFrame | None = None
) -> pd.DataFrame:
    """Replays the scored folds of some algorithms with orders.

    Each fold begins with the stock that an order would have brought, and ends with the horizon: the last orders cover
    only what is left of it. A fold's safety stock rests on the errors of the other folds.

    Args:
        predictions: Per algorithm its backtest, fold 0 included. Of one at a time, six numbers per row are kept, of at
            most `MAX_SERIES` series.
        policy: When orders are placed and delivered.
        service_level: A level besides `REPLAYED_LEVELS`.
        prices: `unique_id`, `price`: stock and sales are counted in money; default: in the unit of the target.

    Returns:
        `ORDER_COLUMNS`, by algorithm and ascending level: `fill_rate` (share of the demand that was served, null
        without demand), `stock` (mean at the ends of the steps, of all replayed series), `cover` (that stock in steps
        of mean demand) and `lost` (demand that was not served, in one horizon).
    """
    import pandas as pd

    levels = sorted({*REPLAYED_LEVELS, service_level})
    rows = []
    for name, batches in predictions.items():
        steps = _steps_of(batches, prices)
        scored = np.nonzero(steps.fold >= 1)[0]
        scores = _window_scores(steps, policy, levels)
        folds, horizon = len(np.unique(steps.fold[scored])), steps.demand.shape[1]
        known = (steps.demand[scored], steps.forecast[scored], steps.variance[scored])
        weight = steps.price[scored] / folds
        demand = float(weight @ known[0].sum(axis=1))
        for place, level in enumerate(levels):
            served, stock = simulate(*known, scores[scored, place], policy)
            sold, held = float(weight @ served), float(weight @ stock)
            rate, cover = (sold / demand, held * horizon / demand) if demand > 0 else (np.nan, np.nan)
            rows.append((name, level, rate, held, cover, demand - sold))
    frame = pd.DataFrame(rows, columns=list(ORDER_COLUMNS))
    return frame.assign(**{name: significant(frame[name]) for name in ORDER_COLUMNS[2:]})


def simulate(
    demand: np.ndarray, forecast: np.ndarray, variance: np.ndarray, score: np.ndarray, policy: Policy
) -> tuple[np.ndarray, np.ndarray]:
    """Orders up to the quantile of each row's demand until the next order has arrived.

    Args:
        demand: Rows × steps, not negative.
        forecast: Of the same steps.
        variance: Of the same steps.
        score: Per row, the quantile of the errors in units of the root of `variance`.
        policy: When orders are placed and delivered.

    Returns:
        Per row: demand that was served, in total; stock at the ends of the steps, on average.
    """
    rows, horizon = demand.shape
    arriving = np.zeros((rows, horizon + policy.lead_time))
    on_hand, served, stock = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for step in range(horizon):
        if step % policy.review == 0:
            until = step + policy.lead_time + policy.review
            safety = score * np.sqrt(variance[:, step:until].sum(axis=1))
            level = np.maximum(forecast[:, step:until].sum(axis=1) + safety, 0.0)
            if step == 0:
                on_hand = level
            else:
                missing = level - on_hand - arriving[:, step:].sum(axis=1)
                arriving[:, step + policy.lead_time] += np.maximum(missing, 0.0)
        on_hand = on_hand + arriving[:, step]
        sold = np.minimum(on_hand, demand[:, step])
        on_hand = on_hand - sold
        served += sold
        stock += on_hand
    return served, stock / horizon


def order_metrics(orders: pd.DataFrame, service_level: float) -> pd.DataFrame:
    """The replay at one service level in the form of the metrics: `fill_rate` and `stock_cover` in total.

    Args:
        orders: Of `replay_orders`.
        service_level: One of its levels.
    """
    at_level = orders[orders["service_level"] == service_level].rename(columns=ORDER_METRICS)
    long = at_level.melt(["algorithm"], list(ORDER_METRICS.values()), "metric", "value")
    return long.assign(dimension="total", segment=TOTAL)[list(LONG_COLUMNS)]


def _window_scores(steps: _Steps, policy: Policy, levels: list[float]) -> np.ndarray:
    """Per row and level, the quantile of the error of what an order has to last for, in units of its spread.

    Each scored fold has the quantiles of the other folds, by size of the series.
    """
    horizon = steps.demand.shape[1]
    length = min(policy.lead_time + policy.review, horizon)
    windows = []
    for first in range(0, horizon - length + 1, policy.review):
        window = slice(first, first + length)
        unit = np.sqrt(steps.variance[:, window].sum(axis=1))
        error = (steps.demand - steps.forecast)[:, window].sum(axis=1)
        there = unit > 0
        columns = {"fold": steps.fold[there], "scale": steps.scale[there], "score": error[there] / unit[there]}
        windows.append(pl.DataFrame(columns))
    scores = np.zeros((len(steps.fold), len(levels)))
    for fold, table in held_out_tables(pl.concat(windows)).items():
        own = steps.fold == fold
        # Sizes stand in the table from the largest down; the last one begins at 0.
        size = np.argmax(steps.scale[own, None] >= table["min_scale"].to_numpy(), axis=1)
        scores[own] = np.stack([order_scores(table, level).to_numpy()[size] for level in levels], axis=1)
    return scores


def _steps_of(batches: Batches, prices: pl.DataFrame | None) -> _Steps:
    """The rows of one algorithm as arrays."""
    names = pl.concat([batch.select("unique_id").unique() for batch in batches(["unique_id"])]).unique()
    if names.height > MAX_SERIES:
        draw = uniform(names["unique_id"], seed=0)
        names = names.with_columns(draw).sort("draw", "unique_id").head(MAX_SERIES).select("unique_id")
    demand = pl.col("y").clip(lower_bound=0.0)
    parts = [
        batch.join(names, on="unique_id", how="semi").select(
            "unique_id", "fold", "horizon", "scale", "yhat", demand=demand, variance=spread() ** 2
        )
        for batch in batches(REPLAYED)
    ]
    rows = pl.concat(parts).sort("unique_id", "fold", "horizon")
    changed = (pl.col("unique_id") != pl.col("unique_id").shift()) | (pl.col("fold") != pl.col("fold").shift())
    is_first = rows.select(changed.fill_null(True)).to_series()
    at, step = is_first.cast(pl.Int64).cum_sum().to_numpy() - 1, rows["horizon"].to_numpy() - 1
    firsts = rows.filter(is_first)

    def dense(name: str) -> np.ndarray:
        table = np.zeros((len(firsts), int(step.max()) + 1))
        table[at, step] = rows[name].to_numpy()
        return table

    price = np.ones(len(firsts))
    if prices is not None:
        priced = firsts.join(prices.select("unique_id", "price"), on="unique_id", how="left", maintain_order="left")
        price = priced["price"].fill_null(0.0).to_numpy()
    return _Steps(
        fold=firsts["fold"].to_numpy(),
        scale=firsts["scale"].to_numpy(),
        price=price,
        demand=dense("demand"),
        forecast=dense("yhat"),
        variance=dense("variance"),
    )
