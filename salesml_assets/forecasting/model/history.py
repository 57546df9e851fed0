"""From raw history to forecasts, without the lake and without Spark: the features and the panel of the platform."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from salesml_assets.config.settings import KEYS
from salesml_assets.forecasting.calendar import BusinessCalendar, first_sale, last_complete_step
from salesml_assets.forecasting.features import add_features
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.panel import expand_future
from salesml_assets.forecasting.series_id import series_id
from salesml_assets.names import STOCK_OUT

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.bundle import Bundle

SERIES = "unique_id"


class HistoryError(ValueError):
    """The history cannot be forecast from; the message names the column or the series."""


def forecast_history(bundle: Bundle, history: pl.DataFrame, future: pl.DataFrame | None = None) -> pl.DataFrame:
    """Forecasts of one or many series from their recent sales.

    The same calendar rules as in the platform: from a series' first sale to the last known step of all series every
    step has a row, and a step without one sold nothing, or is unknown where `sales.gaps` says so. Closed are the
    weekdays on which the business does not trade, unless a column `closed` says otherwise.

    Args:
        bundle: A production model.
        history: One row per series and day (or step): the series keys (text), `ds` (date), `y` (in units of the
            target); where known `category`, `closed`, `stock_out` and the covariates. Several rows of a step are added
            up. 91 steps and more give the features that the model learned from; a year and more give the yearly season.
        future: Rows of later steps: the series keys, `ds`, and the planned covariates or `closed`; default: none known.

    Returns:
        What `predict.forecast` returns: `horizon` rows for each series, sorted by series and step.

    Raises:
        HistoryError: A column is missing, `ds` is not a date, or nothing is known.
    """
    spec, calendar = bundle.features, bundle.calendar
    trades = BusinessCalendar(dt.date.min, dt.date.max, calendar.week_end, (), calendar.closed_weekdays)
    past = _named(history, bundle, ("ds", "y"))
    known = past.filter(pl.col("y").is_not_null())["ds"]
    if known.is_empty():
        raise HistoryError("y: no value is known")
    last = last_complete_step(known.unique().sort().to_list(), trades)
    covariates = [*spec.numbers, *spec.texts]
    steps = _dense(_by_step(past, trades, covariates), last, bundle, trades)
    if steps.is_empty():
        raise HistoryError(f"ds: there is no complete step up to {last}")
    features = add_features(steps, spec)
    ahead = pl.DataFrame({"ds": [last + number * dt.timedelta(calendar.step_days) for number in _steps(bundle)]})
    rows = features.select(SERIES, *KEYS).unique(SERIES, keep="last", maintain_order=True).join(ahead, how="cross")
    if future is not None:
        planned = _by_step(_named(future, bundle, ("ds",)), trades, covariates)
        given = [name for name in ("closed", *covariates) if name in planned.columns]
        rows = rows.join(planned.select(SERIES, "ds", *given), on=[SERIES, "ds"], how="left")
    rows = _with_covariates(_with_closed(rows, trades), bundle)
    extended = pl.concat([features, rows], how="diagonal_relaxed")
    return forecast(bundle, expand_future(extended, spec, bundle.horizon, bundle.pool)).sort(SERIES, "ds")


def _steps(bundle: Bundle) -> range:
    return range(1, bundle.horizon + 1)


def _named(rows: pl.DataFrame, bundle: Bundle, needed: tuple[str, ...]) -> pl.DataFrame:
    """The rows with the name of their series; keys are text, `ds` is a date, `y` a number."""
    missing = [name for name in (*bundle.series_keys, *needed) if name not in rows.columns]
    if missing:
        raise HistoryError(f"{', '.join(missing)}: missing; there are {', '.join(rows.columns)}")
    if rows["ds"].dtype not in (pl.Date, pl.Datetime):
        raise HistoryError(f"ds: has to be a date, not {rows['ds'].dtype}")
    if rows["ds"].null_count():
        raise HistoryError("ds: a row has no date")
    keys = [pl.col(name).cast(pl.String) for name in KEYS if name in rows.columns]
    others = [pl.lit(None, pl.String).alias(name) for name in KEYS if name not in rows.columns]
    amounts = [pl.col("y").cast(pl.Float64)] if "y" in needed else []
    typed = rows.with_columns(*keys, *others, *amounts, pl.col("ds").cast(pl.Date))
    return typed.with_columns(series_id(bundle.series_keys).alias(SERIES))


def _by_step(rows: pl.DataFrame, trades: BusinessCalendar, covariates: list[str]) -> pl.DataFrame:
    """One row per series and step: sums of `y`, means of numbers, the most frequent text, closed where all are."""
    if trades.week_end is not None:
        to_end = (trades.week_end - (pl.col("ds").dt.weekday() - 1)) % 7
        rows = rows.with_columns(pl.col("ds") + pl.duration(days=to_end))
    there = [name for name in covariates if name in rows.columns]
    texts = {name for name in there if rows[name].dtype == pl.String}
    values = [
        *([pl.when(pl.col("y").count() > 0).then(pl.col("y").sum()).alias("y")] if "y" in rows.columns else []),
        *([pl.col("closed").cast(pl.Boolean).all()] if "closed" in rows.columns else []),
        *([out_of_stock(pl.col(STOCK_OUT))] if STOCK_OUT in rows.columns else []),
        *[pl.col(name).drop_nulls().mode().min() if name in texts else pl.col(name).mean() for name in there],
    ]
    about = [pl.col(name).first() for name in KEYS]
    return rows.sort(SERIES, "ds", maintain_order=True).group_by(SERIES, "ds", maintain_order=True).agg(*about, *values)


def out_of_stock(flag: pl.Expr) -> pl.Expr:
    """Whether a step of several rows counts as out of stock: at least half of them say so."""
    return flag.cast(pl.Boolean).fill_null(False).mean() >= 0.5


def _dense(rows: pl.DataFrame, last: dt.date, bundle: Bundle, trades: BusinessCalendar) -> pl.DataFrame:
    """Every step from a series' first row to the last step, with `closed` and the covariates."""
    about = rows.group_by(SERIES, maintain_order=True).agg(
        first_sale().alias("first"), *[pl.col(name).drop_nulls().last() for name in KEYS]
    )
    spans = about.filter(pl.col("first") <= last)
    every = pl.date_ranges("first", last, interval=f"{trades.step_days}d").alias("ds")
    dense = spans.with_columns(every).drop("first").explode("ds")
    joined = dense.join(rows.drop(*KEYS), on=[SERIES, "ds"], how="left")
    if bundle.settings.get("sales", {}).get("gaps") != "unknown":
        joined = joined.with_columns(pl.col("y").fill_null(0.0))
    if STOCK_OUT in joined.columns:
        joined = joined.with_columns(pl.when(~pl.col(STOCK_OUT).fill_null(False)).then("y").alias("y"))
    closed = _with_closed(joined, trades)
    sold_nothing = pl.col("y").fill_null(0.0) == 0
    return _with_covariates(closed.with_columns(pl.col("closed") & sold_nothing), bundle)


def _with_closed(rows: pl.DataFrame, trades: BusinessCalendar) -> pl.DataFrame:
    """Adds or completes `closed` by the weekdays on which the business does not trade."""
    weekdays = [] if trades.week_end is not None else [day + 1 for day in trades.closed_weekdays]
    usual = pl.col("ds").dt.weekday().is_in(weekdays)
    given = [pl.col("closed")] if "closed" in rows.columns else []
    return rows.with_columns(pl.coalesce(*given, usual).alias("closed"))


def _with_covariates(rows: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Adds the covariates that are not there: nothing is known of them."""
    kinds = {name: pl.Float64() for name in bundle.features.numbers} | {
        name: pl.String() for name in bundle.features.texts
    }
    there = [pl.col(name).cast(kind) for name, kind in kinds.items() if name in rows.columns]
    others = [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in rows.columns]
    return rows.with_columns(*there, *others)
