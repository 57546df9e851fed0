"""The small frames that drift is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml_assets.drift.windows import Floats

WEEK = pd.Timedelta(7, "D")
LOGS = {"price": "log_price", "quantity_per_row": "log_quantity"}


@dataclass(frozen=True)
class DriftInputs:
    """What one evaluation needs. Weeks are named by their first day (timestamps); only complete weeks belong in.

    Attributes:
        weekly: One row per series and week with sales; weeks without may be missing. `unique_id`, `week`, `y` (sum of
            the target), `rows` (sales rows of which something was sold); where known `category` (one per series),
            `log_price` and `log_quantity` (sums of ln unit_price and of ln quantity over these same rows).
        days: One row per week: `week`, `days` (days with any sale in the whole business). A week that is not there
            had none.
        trained_until: First day of the last week that the production model was trained on.
        judged: First day of the week that is judged, the last complete one.
        features: A sample of rows by week: `week` and features, numbers or text; of every week the same number of
            rows (1,000 to 5,000), drawn by a hash of the row's key.
        predictions: One row per series and week that was forecast by the production model's recipe, in backtests
            before the training and live after it: `unique_id`, `week`, `yhat` (sum of the forecasts), `y` (sum of the
            actuals of the same steps), `error` (sum of |y - yhat| over these steps); one forecast per series and
            step, that of the latest origin.
    """

    weekly: pd.DataFrame
    days: pd.DataFrame
    trained_until: pd.Timestamp
    judged: pd.Timestamp
    features: pd.DataFrame | None = None
    predictions: pd.DataFrame | None = None


@dataclass(frozen=True)
class SeriesWeeks:
    """Sums of the series as arrays, series x weeks; `days` is one row of weeks.

    Attributes:
        names: The series, in the order of the rows.
        weeks: The weeks, without gaps, the judged one last.
        y: Sum of the target; below zero counts as zero, as more returns than sales show no demand.
        rows: Sales rows.
        logs: Sums of logarithms over the rows, by the name of the channel.
        days: Days with sales in the whole business.
        categories: The category of each series, or None.
    """

    names: pd.Index[str]
    weeks: pd.DatetimeIndex
    y: Floats
    rows: Floats
    logs: dict[str, Floats]
    days: Floats
    categories: pd.Series[str] | None


def series_weeks(inputs: DriftInputs) -> SeriesWeeks:
    """Lays the weekly sums out as arrays.

    Raises:
        ValueError: A week is not named by the weekday of the judged one, or there are no sales before it.
    """
    weekly = inputs.weekly[inputs.weekly["week"] <= inputs.judged]
    if weekly.empty:
        raise ValueError(f"weekly: there are no sales up to {inputs.judged:%Y-%m-%d}")
    weeks = pd.date_range(weekly["week"].min(), inputs.judged, freq=WEEK)
    if weeks[-1] != inputs.judged or not weekly["week"].isin(weeks).all():
        raise ValueError(f"weekly: weeks have to lie whole weeks before the judged one, {inputs.judged:%Y-%m-%d}")
    codes, names = pd.factorize(weekly["unique_id"], sort=True)
    place = (codes, weeks.get_indexer(pd.Index(weekly["week"])))
    days = inputs.days.set_index("week")["days"].reindex(weeks, fill_value=0).to_numpy(float)
    categories = None
    if "category" in weekly:
        categories = weekly.groupby("unique_id")["category"].last().reindex(names).astype("str")
    return SeriesWeeks(
        names=pd.Index(names),
        weeks=weeks,
        y=np.maximum(filled(weekly["y"], place, (len(names), len(weeks))), 0.0),
        rows=filled(weekly["rows"], place, (len(names), len(weeks))),
        logs={
            channel: filled(weekly[column], place, (len(names), len(weeks)))
            for channel, column in LOGS.items()
            if column in weekly
        },
        days=days,
        categories=categories,
    )


def filled(values: pd.Series[float], place: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> Floats:
    """An array of zeros with the values added in their places."""
    result = np.zeros(shape)
    np.add.at(result, place, values.to_numpy(float))
    return result
