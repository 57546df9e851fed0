"""Sales rows as the frames of an evaluation, with stand-in forecasts: the mean of the last 13 open same weekdays."""

import numpy as np
import pandas as pd
import polars as pl
from scipy import stats

from benchmarks.drift.sales import Sales
from salesml_assets.drift.inputs import DriftInputs

MONDAY = pd.Timestamp("2010-12-06")
SAMPLE = 2_000
WEEKDAYS = 13


def monday(week: int) -> pd.Timestamp:
    return MONDAY + pd.Timedelta(7 * week, "D")


def drift_inputs(sales: Sales, judged: int, age: int) -> DriftInputs:
    """Everything known at the end of a week, with a model trained `age` weeks before it."""
    rows = sales.rows.filter(pl.col("week") <= judged)
    sold = pl.col("quantity") > 0
    weekly = rows.group_by("series", "week").agg(
        (pl.col("quantity") * pl.col("price")).sum().alias("y"),
        sold.sum().alias("rows"),
        pl.col("price").filter(sold).log().sum().alias("log_price"),
        pl.col("quantity").filter(sold).log().sum().alias("log_quantity"),
        *([pl.col("category").last()] if sales.category else []),
    )
    days = rows.group_by("week").agg(pl.col("weekday").n_unique().alias("days"))
    drawn = rows.filter(sold & (pl.col("u") < SAMPLE / pl.len().over("week"))).select(
        "week", "quantity", "price", *sales.texts
    )
    return DriftInputs(
        weekly=named(weekly).rename(columns={"series": "unique_id"}),
        days=named(days),
        trained_until=monday(judged - age),
        judged=monday(judged),
        features=named(drawn),
        predictions=weekly_forecasts(daily_sums(rows, judged + 1)),
    )


def named(frame: pl.DataFrame) -> pd.DataFrame:
    result = frame.to_pandas()
    return result.assign(week=MONDAY + pd.to_timedelta(7 * result["week"], unit="D"))


def daily_sums(rows: pl.DataFrame, weeks: int) -> np.ndarray:
    """Sales by series, week and weekday."""
    sums = rows.group_by("series", "week", "weekday").agg((pl.col("quantity") * pl.col("price")).sum().alias("y"))
    result = np.zeros((rows["series"].max() + 1, weeks, 7))
    result[tuple(sums[name].to_numpy() for name in ("series", "week", "weekday"))] = sums["y"].to_numpy()
    return result


def forecasts(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts made at the end of the week before, of the series' shape, and the open days (weeks x weekdays)."""
    is_open = (y != 0).any(0)
    totals = np.cumsum(y * is_open, axis=1)
    counts = np.cumsum(is_open, axis=0)
    yhat = np.full(y.shape, np.nan)
    summed = totals[:, WEEKDAYS:] - totals[:, :-WEEKDAYS]
    number = counts[WEEKDAYS:] - counts[:-WEEKDAYS]
    # The sums end in weeks 13, 14, ...; the forecasts are for the weeks after.
    yhat[:, WEEKDAYS + 1 :] = (summed / np.maximum(number, 1))[:, :-1]
    return yhat, is_open


def weekly_forecasts(y: np.ndarray) -> pd.DataFrame:
    yhat, is_open = forecasts(y)
    known = np.isfinite(yhat).all(2) & is_open.any(1) & (y.cumsum(1).sum(2) > 0)
    series, week = np.nonzero(known)
    frame = {"yhat": yhat * is_open, "y": y * is_open, "error": np.abs(y - yhat) * is_open}
    sums = {name: values.sum(2)[known] for name, values in frame.items()}
    return pd.DataFrame({"unique_id": series, "week": MONDAY + pd.to_timedelta(7 * week, unit="D"), **sums})


def plain_ks_p(sales: Sales, judged: int, age: int, window: int, baseline: int) -> float:
    """The usual check: `ks_2samp` of the recent weeks' daily predictions against those before the training."""
    yhat, is_open = forecasts(daily_sums(sales.rows.filter(pl.col("week") <= judged), judged + 1))
    end = min(judged - age, judged - window) + 1
    samples = [
        yhat[:, part][:, is_open[part]].ravel()
        for part in (slice(judged - window + 1, judged + 1), slice(end - baseline, end))
    ]
    recent, earlier = (values[np.isfinite(values)] for values in samples)
    return float(stats.ks_2samp(recent, earlier).pvalue)
