"""What an expert would write instead, on the same series and origins; runs in the benchmark's own environment.

    python -m benchmarks.accuracy.specialists SERIES.parquet OUT.parquet --horizon 28 --frequency D --cutoffs A,B,C

SERIES.parquet has `unique_id`, `ds`, `y`, known future numbers and labels of the series (text). At each cutoff a method
knows what lies on or before it, and the known future numbers of the horizon. OUT.parquet gets `origin`, `unique_id`,
`ds` and a column per method. Prints one JSON object: seconds and what was chosen.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

TREES = 300
MAX_DAYS = 1_100  # of history that is learned from


@dataclass(frozen=True)
class Task:
    """What is forecast, from where.

    Attributes:
        known: The series up to the origin: `unique_id`, `ds`, `y`, `numbers`, `labels`.
        future: The plans of the horizon: `unique_id`, `ds`, `numbers`.
        horizon: Steps ahead.
        frequency: pandas' alias of a step.
        numbers: Known future columns.
        labels: Columns of text that describe a series.
    """

    known: pd.DataFrame
    future: pd.DataFrame
    horizon: int
    frequency: str
    numbers: list[str]
    labels: list[str]

    @property
    def daily(self) -> bool:
        """Whether a step is a day."""
        return self.frequency == "D"

    @property
    def span(self) -> pd.Timedelta:
        """Length of the horizon."""
        return self.horizon * pd.Timedelta(days=1 if self.daily else 7)

    def at(self, cutoff: pd.Timestamp) -> Task:
        """The same forecast from an earlier origin."""
        after = self.known[(self.known["ds"] > cutoff) & (self.known["ds"] <= cutoff + self.span)]
        return replace(self, known=self.known[self.known["ds"] <= cutoff], future=after)


def autoets(task: Task) -> tuple[pd.DataFrame, str]:
    """Exponential smoothing, its form chosen for each series by AICc (Hyndman et al. 2002)."""
    from statsforecast.models import AutoETS

    # ETS has at most 24 seasons: a year of weeks is left to the trend.
    return statistical(AutoETS(season_length=7 if task.daily else 1), task)


def theta(task: Task) -> tuple[pd.DataFrame, str]:
    """The Theta method, its form chosen for each series (Assimakopoulos & Nikolopoulos 2000)."""
    from statsforecast.models import AutoTheta

    return statistical(AutoTheta(season_length=7 if task.daily else 1), task)


def statistical(model: Any, task: Task) -> tuple[pd.DataFrame, str]:
    """A model per series; series that are too short for it get their last season."""
    from statsforecast import StatsForecast
    from statsforecast.models import SeasonalNaive

    forecaster = StatsForecast([model], task.frequency, fallback_model=SeasonalNaive(7 if task.daily else 1))
    made = forecaster.forecast(df=task.known[["unique_id", "ds", "y"]], h=task.horizon)
    return made.rename(columns={type(model).__name__: "yhat"}), ""


def lightgbm(task: Task) -> tuple[pd.DataFrame, str]:
    """Recursive LightGBM over all series; differencing, lags and objective by the WAPE of two inner windows."""
    from lightgbm import LGBMRegressor

    def model(objective: str) -> Any:
        return LGBMRegressor(
            objective=objective, n_estimators=TREES, learning_rate=0.05, num_leaves=63, subsample=0.8,
            subsample_freq=1, colsample_bytree=0.8, verbosity=-1, n_jobs=1, random_state=1,
        )  # fmt: skip

    return tuned(model, ("regression", "regression_l1", "tweedie"), task)


def catboost(task: Task) -> tuple[pd.DataFrame, str]:
    """The same with CatBoost."""
    from catboost import CatBoostRegressor

    def model(objective: str) -> Any:
        return CatBoostRegressor(
            loss_function=objective, n_estimators=TREES, learning_rate=0.08, depth=6, verbose=0, thread_count=1,
            random_seed=1, allow_writing_files=False,
        )  # fmt: skip

    return tuned(model, ("RMSE", "MAE", "Tweedie:variance_power=1.5"), task)


METHODS = {"AutoETS": autoets, "AutoTheta": theta, "LightGBM, tuned": lightgbm, "CatBoost, tuned": catboost}


def tuned(model: Callable[[str], Any], objectives: tuple[str, ...], task: Task) -> tuple[pd.DataFrame, str]:
    """The forecasts of the best of several recursive forecasters, and which one it was.

    Each is fitted one and two horizons before the origin, and scored there by its mean WAPE. Tweedie's objective knows
    no negative values, so it is not tried on differences.
    """
    last = task.known["ds"].max()
    inner = [task.at(last - number * task.span) for number in (1, 2)]
    tried = [
        Choice(objective, difference, far)
        for objective in objectives
        for difference in ((0,) if "weedie" in objective else (0, 7 if task.daily else 1))
        for far in (False, True)
    ]
    found = []
    for choice in tried:
        errors = []
        for window in inner:
            rows = window.future[["unique_id", "ds", "y"]].merge(
                recursive(model, choice, window), on=["unique_id", "ds"]
            )
            wrong = (rows["yhat"].clip(lower=0) - rows["y"]).abs().sum()
            errors.append(wrong / max(rows["y"].abs().sum(), 1e-9))
        found.append(sum(errors) / len(errors))
    best = min(range(len(tried)), key=found.__getitem__)
    return recursive(model, tried[best], task), f"{tried[best]}: inner WAPE {found[best]:.3f}"


@dataclass(frozen=True)
class Choice:
    """What an expert tries out.

    Attributes:
        objective: The booster's.
        difference: Steps between the values whose difference is learned; 0: the values themselves.
        far: With lags of up to a year.
    """

    objective: str
    difference: int
    far: bool

    def __str__(self) -> str:
        return f"{self.objective}, {f'difference {self.difference}' if self.difference else 'no difference'}, " + (
            "lags of a year" if self.far else "short lags"
        )


def recursive(model: Callable[[str], Any], choice: Choice, task: Task) -> pd.DataFrame:
    """Fits one forecaster on what is known, and forecasts the horizon."""
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExponentiallyWeightedMean, RollingMean, SeasonalRollingMean
    from mlforecast.target_transforms import Differences

    if task.daily:
        lags = [1, 2, 3, 7, 14, 21, 28] + ([56, 364] if choice.far else [])
        transforms: dict[int, list[Any]] = {
            1: [RollingMean(7), RollingMean(28), ExponentiallyWeightedMean(0.1)], 7: [SeasonalRollingMean(7, 4)],
        }  # fmt: skip
        dates = ["dayofweek", "day", "month", "dayofyear"]
    else:
        lags = [1, 2, 3, 4, 8, 13] + ([26, 52] if choice.far else [])
        transforms = {1: [RollingMean(4), RollingMean(13), ExponentiallyWeightedMean(0.2)]}
        dates = ["month", "week"]
    first = task.known["ds"].max() - pd.Timedelta(days=MAX_DAYS)
    columns = ["unique_id", "ds", "y", *task.numbers, *task.labels]
    table = task.known.loc[task.known["ds"] > first, columns].copy()
    if "weedie" in choice.objective:
        table["y"] = table["y"].clip(lower=0)
    for label in task.labels:
        table[label] = table[label].astype("category").cat.codes
    forecaster = MLForecast(
        models={"yhat": model(choice.objective)},
        freq=task.frequency,
        lags=lags,
        lag_transforms=transforms,
        date_features=dates,
        target_transforms=[Differences([choice.difference])] if choice.difference else None,
    )
    forecaster.fit(table, static_features=task.labels, dropna=False)
    if not task.numbers:
        return forecaster.predict(task.horizon)
    wanted = forecaster.make_future_dataframe(task.horizon)
    plans = wanted.merge(task.future[["unique_id", "ds", *task.numbers]], on=["unique_id", "ds"], how="left")
    return forecaster.predict(task.horizon, X_df=plans.fillna(dict.fromkeys(task.numbers, 0.0)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series")
    parser.add_argument("out")
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--frequency", required=True, help="pandas' alias: D, W-SUN")
    parser.add_argument("--cutoffs", required=True, help="dates, separated by commas")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    options = parser.parse_args()
    series = pd.read_parquet(options.series)
    series["ds"] = pd.to_datetime(series["ds"])
    labels = [name for name in ("store", "category", "product") if name in series]
    numbers = [name for name in series if name not in {"unique_id", "ds", "y", *labels}]
    whole = Task(series, series.head(0), options.horizon, options.frequency, numbers, labels)
    report: dict[str, dict[str, Any]] = {name: {"seconds": 0.0, "chosen": []} for name in options.methods}
    parts = []
    for cutoff in pd.to_datetime(options.cutoffs.split(",")):
        task = whole.at(cutoff)
        rows = task.future[["unique_id", "ds"]].assign(origin=cutoff)
        for name in options.methods:
            started = time.perf_counter()
            made, chosen = METHODS[name](task)
            report[name]["seconds"] += time.perf_counter() - started
            report[name]["chosen"].append(chosen)
            made = made[["unique_id", "ds", "yhat"]].rename(columns={"yhat": name})
            rows = rows.merge(made, on=["unique_id", "ds"], how="left")
        parts.append(rows)
    pd.concat(parts).to_parquet(options.out, index=False)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
