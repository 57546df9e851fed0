"""What flags of stock-outs are worth, on sales of which the demand is known: `python -m benchmarks.stock_outs`.

Spells out of stock begin on busy days of a third of the products. The forecasts after the last origin are compared with
the expected demand, once with the flags and once with zeros where nothing could be sold.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from benchmarks.accuracy.backtests import engines_without_spark, training_panel
from benchmarks.accuracy.sets import SalesSet, generated
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.model.predict import predict
from salesml_assets.forecasting.training.backtest import refit

NAMES = ("seasonal_naive", "moving_average", "calendar_regression", "xgboost")


def spells(demand: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Days out of stock: a spell of 3 to 10 days is the likelier the more was sold."""
    out, left = np.zeros(len(demand), dtype=bool), 0
    usual = max(float(demand.mean()), 1e-9)
    for day, sold in enumerate(demand):
        left = left - 1 if left > 0 else (int(random.integers(3, 11)) if random.random() < 0.05 * sold / usual else 0)
        out[day] = left > 0
    return out


def with_stock_outs(sales: SalesSet, seed: int) -> pl.DataFrame:
    """The series with the column `stock_out`, in a third of the products."""
    random = np.random.default_rng(seed)
    parts = []
    for number, (_, one) in enumerate(sales.series.group_by("unique_id", maintain_order=True)):
        out = spells(one["y"].to_numpy(), random) if number % 3 == 0 else np.zeros(len(one), dtype=bool)
        parts.append(one.with_columns(stock_out=pl.Series(out)))
    return pl.concat(parts)


def main() -> None:
    """Prints WAPE and bias against the expected demand, of the products that were out of stock."""
    whole = generated(60, 2, 11, 12.0)
    assert whole.truth is not None
    series, truth = with_stock_outs(whole, 1), whole.truth
    last = series["ds"].max()
    assert isinstance(last, dt.date)
    affected = series.filter("stock_out")["unique_id"].unique().implode()
    share = series.filter(pl.col("unique_id").is_in(affected))["stock_out"].mean()
    print(f"{len(affected[0])} of 60 products, out of stock on {share:.0%} of their days")
    for known in (True, False):
        lost = pl.when("stock_out").then(None if known else 0.0).otherwise("y")
        sold = series.with_columns(y=lost) if known else series.with_columns(y=lost).drop("stock_out")
        columns = {"stock_out": "stock_out"} if known else {}
        settings = Settings(forecast=whole.forecast, sales={"columns": columns})  # type: ignore[arg-type]
        origin = last - dt.timedelta(settings.forecast.horizon)
        training = training_panel(SalesSet(sold, whole.forecast), settings, origin)
        for name in NAMES:
            entry = ALGORITHMS[name]
            parameters, engines = entry.candidates(settings.training)[0], engines_without_spark()
            fit, _ = refit(entry, parameters, training, training.last, engines)
            future = pl.concat(training.to_forecast()).filter(pl.col("unique_id").is_in(affected))
            made = predict(fit.model, training.profile(training.last), future, True)
            both = made.select("unique_id", "ds", "yhat").join(truth, on=["unique_id", "ds"])
            error, demand = (both["yhat"] - both["mean"]), both["mean"].sum()
            found = "flags" if known else "zeros"
            print(f"{name:20} {found}: WAPE {error.abs().sum() / demand:.3f}, bias {error.sum() / demand:+.3f}")


if __name__ == "__main__":
    main()
