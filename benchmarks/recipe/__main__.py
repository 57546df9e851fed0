"""Backtests algorithms on several sets without Spark: `python -m benchmarks.recipe --sets promotions`."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from benchmarks.recipe.sets import SETS, SalesSet
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.business import Costs
from salesml_assets.forecasting.calendar_regression import knots as regression_knots
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.folds import Fold, rolling_folds
from salesml_assets.forecasting.metrics import error_sums, metrics_by, segment_sums
from salesml_assets.forecasting.model.predict import predict_folds
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.panel_features import group_mean
from salesml_assets.forecasting.pooled import Pool, make_pool
from salesml_assets.forecasting.training.backtest import refit
from salesml_assets.forecasting.training.sample import TrainingPanel

DATA = Path("data")


def panel_of(sales: SalesSet, settings: Settings, shift: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Panel and features of a set that ends `shift` horizons earlier than its data."""
    horizon, step = settings.forecast.horizon, 1 if settings.forecast.frequency == "D" else 7
    end = sales.series["ds"].max()
    assert isinstance(end, dt.date)
    last = end - dt.timedelta(step * horizon * shift)
    kinds = dict.fromkeys(settings.forecast.known_future.columns, "double")
    spec = feature_spec(settings, kinds, sales.series.columns)
    past = add_features(sales.series.filter(pl.col("ds") <= last), spec)
    closed_weekdays = _closed_weekdays(sales.series.filter(pl.col("ds") <= last)) if step == 1 else set()
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
        known = sales.series.select("unique_id", "ds", *spec.numbers)
        extended = extended.drop(*spec.numbers).join(known, on=["unique_id", "ds"], how="left")
    for key in spec.plan_groups:
        for name in spec.numbers if key in extended.columns else ():
            extended = extended.with_columns(pl.col(name).mean().over(key, "ds").alias(group_mean(name, key)))
    panel = expand(extended, spec, plan, pool_of(past, spec, folds, last))
    volumes = past.filter(pl.col("ds") <= folds[1].cutoff).group_by("unique_id").agg(volume=pl.col("y").abs().sum())
    ranked = volumes.sort("volume", "unique_id", descending=[True, False])
    before = (ranked["volume"].cum_sum() - ranked["volume"]) / ranked["volume"].sum()
    label = pl.when(before < 0.8).then(pl.lit("A")).when(before < 0.95).then(pl.lit("B")).otherwise(pl.lit("C"))
    classes = ranked.select("unique_id", volume_class=label)
    rows = panel.join(classes, on="unique_id", how="left").with_columns(pl.col("volume_class").fill_null("C"))
    return rows, past


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


def source(panel: pl.DataFrame) -> Any:
    """A panel as a source of batches."""

    def batches(columns: Sequence[str] | None = None, filters: Any = None) -> Iterator[pl.DataFrame]:
        table = panel.to_arrow()
        found = pl.DataFrame(pl.from_arrow(table if filters is None else table.filter(filters)))
        yield found if columns is None else found.select(columns)

    return batches


def no_spark() -> Any:
    """Only algorithms that fit in this process are measured here."""
    raise RuntimeError("this benchmark has no Spark session: leave out MLlib's algorithms")


def measure(
    name: str, algorithms: list[str], shifts: list[int], numbers: list[int], overrides: dict[str, Any]
) -> list[dict[str, Any]]:
    """One row per algorithm and cutoff."""
    sales = SETS[name](DATA)
    values: dict[str, Any] = {"forecast": dict(sales.forecast), "training": {}}
    for section, changes in overrides.items():
        values[section] = {**values.get(section, {}), **changes}
    known = Settings.model_fields["forecast"].annotation.model_fields  # type: ignore[union-attr]
    values["forecast"] = {key: value for key, value in values["forecast"].items() if key in known}
    settings = Settings(**values)
    rows = []
    for shift in shifts:
        started = time.perf_counter()
        panel, past = panel_of(sales, settings, shift)
        made = time.perf_counter() - started
        training = TrainingPanel(source(panel), partial(past.iter_slices, 100_000), settings)
        engines = Engines(2, no_spark, "")
        for algorithm in algorithms:
            started = time.perf_counter()
            entry = ALGORITHMS[algorithm]
            (parameters,) = entry.candidates(settings.training)  # nothing is chosen: all folds may be scored
            parts = []
            for fold in training.folds:
                if fold.number in numbers:
                    fit, _ = refit(entry, parameters, training, fold.cutoff, engines, fold)
                    for batch in training.to_score(fold.number):
                        parts.append(
                            predict_folds(
                                {fold.number: fit.model}, training.fold_profiles, batch, settings.forecast.non_negative
                            )
                        )
            scored = pl.concat(parts)
            seconds = (time.perf_counter() - started) / len(numbers)
            sums = error_sums(scored, settings.forecast.frequency != "D")
            pieces = sums.group_by(
                "unique_id", "fold", "horizon_bucket", "category", "volume_class", maintain_order=True
            ).agg(pl.exclude("naive_mse").sum(), pl.col("naive_mse").max())
            metrics = metrics_by({algorithm: segment_sums(Costs().added(pieces))})
            wide = metrics[metrics["dimension"] == "fold"].pivot(index="segment", columns="metric", values="value")
            for fold, line in wide.iterrows():
                found = {metric: float(line[metric]) for metric in ("wape", "rmsse", "bias")}
                rows.append({"set": name, "algorithm": algorithm, "shift": shift, "fold": int(str(fold)), **found,
                             "seconds": seconds, "panel_seconds": made})  # fmt: skip
    return rows


def main() -> None:
    """Prints mean figures per set, and writes all rows as JSON lines."""
    global DATA
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--algorithms", nargs="*", default=["seasonal_naive", "xgboost"])
    parser.add_argument("--shifts", nargs="*", type=int, default=[0])
    parser.add_argument("--folds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--set", dest="overrides", default="{}", help="YAML of settings that differ")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the two real files")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    DATA = arguments.data
    rows = []
    for name in arguments.sets:
        rows += measure(
            name, arguments.algorithms, arguments.shifts, arguments.folds, yaml.safe_load(arguments.overrides) or {}
        )
        table = pl.DataFrame(rows).filter(pl.col("set") == name)
        mean = table.group_by("set", "algorithm", maintain_order=True).agg(
            pl.col("wape", "rmsse", "bias", "seconds", "panel_seconds").mean().round(4)
        )
        for line in mean.iter_rows():
            print(*line, flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(json.dumps(row) for row in rows) + "\n")


if __name__ == "__main__":
    main()
