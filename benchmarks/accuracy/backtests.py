"""Backtests by the product's own functions, without Spark."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from benchmarks.accuracy.sets import SalesSet
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.calendar_regression import knots as regression_knots
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.folds import Fold, rolling_folds
from salesml_assets.forecasting.model.predict import predict_folds
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.panel_features import group_mean
from salesml_assets.forecasting.pooled import Pool, make_pool
from salesml_assets.forecasting.training.backtest import refit
from salesml_assets.forecasting.training.sample import TrainingPanel, in_memory

KEYS = ("unique_id", "fold", "ds")


@dataclass(frozen=True)
class Backtest:
    """What a set of settings forecast.

    Attributes:
        rows: `unique_id`, `fold`, `origin`, `ds`, `y`, `naive_mse`, `category`, `volume_class`, and a column of
            forecasts for each algorithm.
        seconds: Of the panel, and of fit and forecast of all scored origins for each algorithm.
    """

    rows: pl.DataFrame
    seconds: dict[str, float]


def settings_of(sales: SalesSet, overrides: dict[str, Any]) -> Settings:
    """The settings of a set, with others on top."""
    values: dict[str, Any] = {"forecast": dict(sales.forecast)}
    for section, changes in overrides.items():
        values[section] = {**values.get(section, {}), **changes}
    return Settings(**values)


def backtest(sales: SalesSet, settings: Settings, algorithms: Sequence[str]) -> Backtest:
    """Fits algorithms with their first parameters at each scored origin, and forecasts from there.

    Args:
        sales: The series.
        settings: The settings, `training.folds` among them.
        algorithms: Names of algorithms that need no Spark.
    """
    started = time.perf_counter()
    training = training_panel(sales, settings)
    seconds = {"panel": time.perf_counter() - started}
    engines = engines_without_spark()
    table = None
    for algorithm in algorithms:
        started = time.perf_counter()
        entry = ALGORITHMS[algorithm]
        parameters = entry.candidates(settings.training)[0]
        parts = []
        for fold in training.folds[1:]:
            fit, _ = refit(entry, parameters, training, fold.cutoff, engines, fold)
            for batch in training.to_score(fold.number):
                models = {fold.number: fit.model}
                parts.append(predict_folds(models, training.fold_profiles, batch, settings.forecast.non_negative))
        made = pl.concat(parts)
        seconds[algorithm] = time.perf_counter() - started
        if table is None:
            about = (*KEYS, "origin", "y", "naive_mse", "category", "volume_class")
            table = made.select(*about, pl.col("yhat").alias(algorithm))
        else:
            table = table.join(made.select(*KEYS, pl.col("yhat").alias(algorithm)), on=KEYS, validate="1:1")
    assert table is not None
    return Backtest(table.sort(*KEYS), seconds)


def training_panel(sales: SalesSet, settings: Settings, last: dt.date | None = None) -> TrainingPanel:
    """The panel of a set, as algorithms and the rest of the product take it.

    Args:
        sales: The series.
        settings: The settings.
        last: The last step that is known, plans aside; default: that of the series.
    """
    panel, past = panel_of(sales, settings, last)
    return TrainingPanel(in_memory(panel), lambda: iter([past]), settings)


def panel_of(sales: SalesSet, settings: Settings, last: dt.date | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The panel of a set up to a step, and the features that it is made of."""
    horizon, step = settings.forecast.horizon, 1 if settings.forecast.frequency == "D" else 7
    last = last or max(sales.series["ds"])
    known = sales.series.filter(pl.col("ds") <= last)
    kinds = dict.fromkeys(settings.forecast.known_future.columns, "double")
    spec = feature_spec(settings, kinds, sales.series.columns)
    past = add_features(known, spec)
    closed_weekdays = _closed_weekdays(known) if step == 1 else set()
    about = [name for name in ("unique_id", "store", "category", "product") if name in past.columns]
    ahead = pl.DataFrame({"ds": [last + dt.timedelta(step * n) for n in range(1, horizon + 1)]})
    future = past.select(about).unique(maintain_order=True).join(ahead, how="cross")
    future = future.with_columns(closed=(pl.col("ds").dt.weekday() - 1).is_in(list(closed_weekdays)))
    folds = rolling_folds(last, horizon, settings.training.folds, step)
    possible = past.filter(pl.col("live") & (pl.col("age") >= spec.min_history)).height * horizon
    share = min(1.0, 2.0 * settings.training.max_rows / max(1, possible))
    plan = PanelPlan(horizon, last, tuple(folds), share, settings.training.seed)
    extended = pl.concat([past, future], how="diagonal_relaxed")
    if spec.numbers:  # plans are known
        plans = sales.series.select("unique_id", "ds", *spec.numbers)
        extended = extended.drop(*spec.numbers).join(plans, on=["unique_id", "ds"], how="left")
    for key in spec.plan_groups:
        for name in spec.numbers if key in extended.columns else ():
            extended = extended.with_columns(pl.col(name).mean().over(key, "ds").alias(group_mean(name, key)))
    panel = expand(extended, spec, plan, pool_of(past, spec, folds, last))
    volumes = past.filter(pl.col("ds") <= folds[1].cutoff).group_by("unique_id").agg(volume=pl.col("y").abs().sum())
    ranked = volumes.sort("volume", "unique_id", descending=[True, False])
    before = (ranked["volume"].cum_sum() - ranked["volume"]) / ranked["volume"].sum()
    label = pl.when(before < 0.8).then(pl.lit("A")).when(before < 0.95).then(pl.lit("B")).otherwise(pl.lit("C"))
    classes = ranked.select("unique_id", volume_class=label)
    return panel.join(classes, on="unique_id", how="left").with_columns(pl.col("volume_class").fill_null("C")), past


def pool_of(past: pl.DataFrame, spec: FeatureSpec, folds: list[Fold], last: dt.date) -> Pool:
    """What the series know from one another."""
    first = past["ds"].min()
    assert isinstance(first, dt.date)
    knots = regression_knots(first.toordinal(), last.toordinal(), tuple(fold.cutoff.toordinal() for fold in folds))
    totals = past.filter(~pl.col("closed")).group_by("ds").agg(pl.col("y").sum(), region=pl.lit(spec.region))
    return make_pool(past, totals, spec, knots)


def _closed_weekdays(series: pl.DataFrame) -> set[int]:
    recent = series.filter(pl.col("ds") > series["ds"].max() - dt.timedelta(35))  # type: ignore[operator]
    shut = recent.group_by(day=pl.col("ds").dt.weekday() - 1).agg(pl.col("closed").mean())
    return set(shut.filter(pl.col("closed") > 0.8)["day"])


def engines_without_spark() -> Engines:
    """What only algorithms that fit in this process can run on."""

    def no_spark() -> Any:
        raise RuntimeError("this benchmark has no Spark session: leave out MLlib's algorithms")

    return Engines(1, no_spark, "")
