"""Backtest predictions to test with: several algorithms on the same rows, heavy tails, common shocks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import polars as pl

from salesml_assets.forecasting.batches import PREDICTION_COLUMNS, Batches
from salesml_assets.forecasting.scan import Scan, scan

FIRST_ORIGIN = dt.date(2024, 1, 1)
# Spread of each algorithm's own error and its bias, in shares of a series' level.
ALGORITHMS = {
    "seasonal_naive": (0.60, 0.00),
    "moving_average": (0.45, -0.05),
    "linear_regression": (0.35, 0.03),
    "xgboost": (0.20, -0.02),
}
KINDS = (*[pl.String] * 3, pl.Int32, pl.Date, pl.Int32, pl.Date, *[pl.Float64] * 4)
SCHEMA = dict(zip(PREDICTION_COLUMNS, KINDS, strict=True))


def backtest_predictions(
    series: int = 300,
    folds: int = 3,
    horizon: int = 28,
    seed: int = 7,
    algorithms: dict[str, tuple[float, float]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Per algorithm the rows of fold 0 and the scored folds, in the columns of `SCHEMA`.

    Levels are lognormal (a few series make most of the volume), a day's shock hits all series, errors have Student
    tails, one day in eight of the smaller series sells nothing.
    """
    rng = np.random.default_rng(seed)
    days = (folds + 1) * horizon
    level = np.sort(np.exp(rng.normal(3, 1.2, series)))[::-1]
    share = np.cumsum(level) / level.sum()
    volume_class = np.select([share - level / level.sum() < 0.8, share - level / level.sum() < 0.95], ["A", "B"], "C")
    weekday = 1 + 0.3 * np.sin(2 * np.pi * np.arange(days) / 7)
    usual = level[:, None] * weekday * np.exp(_common(rng, days, 0.1))
    y = usual * np.clip(1 + 0.3 * rng.standard_t(3, (series, days)), 0, None)
    y[(rng.random((series, days)) < 0.125) & (volume_class == "C")[:, None]] = 0.0
    base = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{number:03d}" for number in range(series)], days),
            "category": np.repeat(np.where(np.arange(series) % 3 == 0, "toys", "food"), days),
            "volume_class": np.repeat(volume_class, days),
            "fold": np.tile(np.repeat(np.arange(folds + 1), horizon), series),
            "horizon": np.tile(np.arange(days) % horizon + 1, series),
            "day": np.tile(np.arange(days), series),
            "y": y.ravel(),
            "scale": np.repeat(level, days),
            "naive_mse": np.repeat((0.6 * level) ** 2, days),
        }
    )
    base["ds"] = pd.to_datetime(FIRST_ORIGIN) + pd.to_timedelta(base.pop("day") + 1, "D")
    base["origin"] = base["ds"] - pd.to_timedelta(base["horizon"], "D")
    # Steps without a scale for RMSSE, as series have that never changed before the origin.
    base.loc[base["unique_id"] == "s001", "naive_mse"] = np.nan
    tables = {}
    for name, (own, bias) in (algorithms or ALGORITHMS).items():
        error = bias + own * (0.5 * rng.standard_t(4, (series, days)) + _common(rng, days, 0.3))
        yhat = np.clip(usual * (1 + error), 0, None)
        tables[name] = base.assign(yhat=yhat.ravel())[list(PREDICTION_COLUMNS)]
    return tables


def polars_table(frame: pd.DataFrame) -> pl.DataFrame:
    """A pandas table in the types of an algorithm's table."""
    return pl.from_pandas(frame).cast(SCHEMA)  # type: ignore[arg-type]


def in_batches(frame: pl.DataFrame, rows: int = 7_777) -> Batches:
    """A frame as a source of batches; of none where it has no rows."""

    def batches(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield from frame.select(columns).iter_slices(rows)

    return batches


def scan_of(frame: pl.DataFrame, weekly: bool = False) -> Scan:
    """The scan of a frame in memory."""
    return scan(in_batches(frame), weekly)


def _common(rng: np.random.Generator, days: int, size: float, rho: float = 0.5) -> np.ndarray:
    """An AR(1) shock that all series share."""
    shocks = np.zeros(days)
    for day, noise in enumerate(rng.normal(size=days)):
        shocks[day] = rho * shocks[day - 1] + np.sqrt(1 - rho**2) * noise
    return size * shocks


def simulated_losses(
    rng: np.random.Generator, names: list[str], gains: list[float], folds: int = 3, horizon: int = 28, rho: float = 0.5
) -> pd.DataFrame:
    """Daily losses (`fold`, `ds`, `volume`, one column per name) of forecasts of 100 series.

    Every error is a shock of the day that all forecasts miss, one that hits all series of one forecast, and one of
    its own with Student tails, all AR(1) over days. Without a gain all forecasts are equally good.
    """
    days, series = folds * horizon, 100
    weight = np.exp(rng.normal(0, 1, series))
    season = 1 + 0.4 * np.cos(2 * np.pi * np.arange(days) / 7)
    missed = _ar(rng.standard_t(4, (series + 1, days)), rho)
    frame = {
        "fold": np.repeat(np.arange(1, folds + 1), horizon),
        "ds": pd.date_range("2024-01-01", periods=days),
        "volume": season * weight.sum() * np.exp(0.1 * rng.normal(size=days)),
    }
    for name, gain in zip(names, gains, strict=True):
        own = _ar(rng.standard_t(4, (series + 1, days)), rho)
        error = 0.3 * (missed[:-1] + missed[-1]) + 0.2 * (own[:-1] + own[-1])
        frame[name] = 0.5 * season * (1 - gain) * (weight[:, None] * np.abs(error)).sum(0)
    return pd.DataFrame(frame)


def _ar(noise: np.ndarray, rho: float) -> np.ndarray:
    values = noise.copy()
    for day in range(1, noise.shape[1]):
        values[:, day] = rho * values[:, day - 1] + np.sqrt(1 - rho**2) * noise[:, day]
    return values


def metrics_of(losses: pd.DataFrame, biases: dict[str, float] | None = None) -> pd.DataFrame:
    """The metrics that a decision needs, of simulated losses: total WAPE, and total bias (default: none)."""
    names = [name for name in losses.columns if name not in ("fold", "ds", "volume")]
    volume = losses["volume"].sum()
    wapes = [(name, "total", "all", "wape", losses[name].sum() / volume) for name in names]
    off = [(name, "total", "all", "bias", (biases or {}).get(name, 0.0)) for name in names]
    return pd.DataFrame(wapes + off, columns=["algorithm", "dimension", "segment", "metric", "value"])


def sold_as_predicted(rows: pl.DataFrame) -> pl.DataFrame:
    """The table `sales_series` behind predictions, with a year before them at each series' level."""
    before = rows.filter(pl.col("ds") == rows["ds"].min()).select("unique_id", "category", "scale")
    days = pl.DataFrame({"ds": [rows["ds"].min() - dt.timedelta(n) for n in range(1, 60)]})  # type: ignore[operator]
    wave = 1 + 0.3 * (pl.col("ds").dt.weekday() - 4)
    past = before.join(days, how="cross").select("unique_id", "category", "ds", y=pl.col("scale") * wave)
    return pl.concat([past, rows.select("unique_id", "category", "ds", "y")]).with_columns(
        product="unique_id", closed=pl.lit(False)
    )
