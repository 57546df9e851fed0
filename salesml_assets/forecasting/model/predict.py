"""The one way from rows of the panel to forecasts: backtests, production, simulation and service all call it.

Each row's result depends on that row alone, so batches of any size give the same digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import PREDICTION_COLUMNS
from salesml_assets.forecasting.intervals import BOUNDS, ORDER_QUANTITY, apply_intervals
from salesml_assets.forecasting.model.models import Model
from salesml_assets.forecasting.model.profile import Profile
from salesml_assets.names import ENDED

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.bundle import Bundle

ABOUT = ("model", "model_version", "cutoff")
FORECAST_COLUMNS = ("ds", "yhat", *BOUNDS, *ABOUT)


def predict(model: Model, profile: Profile, rows: pl.DataFrame, non_negative: bool) -> pl.DataFrame:
    """Adds `yhat` to rows of the panel, in units of the target, and `by`.

    A series too short for the model is forecast by the profile of new series; one that has ended sells nothing.

    Args:
        model: A fitted model.
        profile: How new series sell, as known at the origin.
        rows: Rows of the panel, of any kind.
        non_negative: The target cannot be below zero: `yhat` is cut off there.

    Returns:
        The rows with `yhat`, and with `by`: null where the model made it, else the name of what did instead.
    """
    yhat = np.array(model.predict(rows), dtype=np.float64)  # a column of the panel cannot be written to
    by = np.full(len(rows), None, dtype=object)
    short, ended = rows["short"].to_numpy(), rows["ended"].to_numpy()
    if short.any():
        made = profile.forecast(rows.filter("short"))
        yhat[short], by[short] = made["yhat"].to_numpy(), made["by"].to_list()
    yhat[ended], by[ended] = 0.0, ENDED
    values = pl.Series("yhat", yhat)
    return rows.with_columns(
        values.clip(lower_bound=0.0) if non_negative else values, pl.Series("by", by.tolist(), dtype=pl.String)
    )


def predict_folds(
    models: Mapping[int, Model], profiles: Mapping[int, Profile], rows: pl.DataFrame, non_negative: bool
) -> pl.DataFrame:
    """Predicts rows to score, each by the model of its fold.

    Args:
        models: The model of each fold.
        profiles: How new series sell, as known at each fold's cutoff.
        rows: Rows of the panel with `fold`; rows of other folds are left out.
        non_negative: As in `predict`.

    Returns:
        `PREDICTION_COLUMNS`, in the order of the rows within each fold.
    """
    if "category" not in rows.columns:
        rows = rows.with_columns(category=pl.lit(None, pl.String))
    parts = [
        predict(model, profiles[number], rows.filter(pl.col("fold") == number), non_negative).select(PREDICTION_COLUMNS)
        for number, model in models.items()
    ]
    return pl.concat(parts)


def forecast(bundle: Bundle, rows: pl.DataFrame, service_level: float | None = None) -> pl.DataFrame:
    """Forecasts with intervals, and the quantity to order.

    Weekdays on which the business is closed are zero. The column `model` says where something else than the model made
    a forecast: for a series that is too short, or that stopped selling (`predict`).

    Args:
        bundle: A production model.
        rows: Rows of the panel of the kind `future`.
        service_level: Probability with which a step's demand is at most `order_quantity`
            (`config.settings.OrderSettings.service_level`); None: without that column.

    Returns:
        `unique_id`, the series keys, and `FORECAST_COLUMNS`; with a service level `order_quantity` after the bounds,
        in the unit of the target: zero where the business is closed and for a series that stopped selling.
    """
    predicted = predict(bundle.model, bundle.profile, rows, bundle.non_negative)
    named = predicted.with_columns(pl.col("by").fill_null(pl.lit(bundle.algorithm)).alias("model"))
    bounded = apply_intervals(named, bundle.intervals, bundle.non_negative, service_level)
    values = {name: pl.when("closed").then(0.0).otherwise(name) for name in ("yhat", *BOUNDS)}
    if service_level is not None:
        nothing = pl.col("closed") | pl.col("ended")
        values[ORDER_QUANTITY] = pl.when(nothing).then(0.0).otherwise(ORDER_QUANTITY)
    names = {name: pl.col(name) for name in ("unique_id", *bundle.series_keys, "ds", *values, *ABOUT)}
    about = {"model_version": pl.lit(bundle.version, pl.Int32), "cutoff": pl.col("origin")}
    return bounded.select(**(names | values | about))


def no_forecasts(series_keys: Sequence[str]) -> pl.DataFrame:
    """No rows, with the columns of `forecast`.

    Args:
        series_keys: Keys that make a series.
    """
    texts = ("unique_id", *series_keys, "model")
    kinds: dict[str, pl.DataType | type[pl.DataType]] = dict.fromkeys(texts, pl.String)
    kinds |= {"ds": pl.Date, "cutoff": pl.Date, "model_version": pl.Int32}
    columns = ("unique_id", *series_keys, *FORECAST_COLUMNS)
    return pl.DataFrame(schema={name: kinds.get(name, pl.Float64) for name in columns})


def explain(model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """What each feature adds to each prediction, in units of the target.

    Shares and `base` add up to the prediction before it is clipped.

    Args:
        model: A fitted model.
        rows: Rows of the panel.

    Returns:
        `unique_id`, `origin`, `horizon`, `ds`, then a column for each feature of the model, and `base`.
    """
    return pl.concat([rows.select("unique_id", "origin", "horizon", "ds"), model.explain(rows)], how="horizontal")
