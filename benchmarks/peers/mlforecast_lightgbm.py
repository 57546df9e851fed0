"""A peer: mlforecast + LightGBM on one machine, one recursive model over all series.

    python -m benchmarks.peers.mlforecast_lightgbm LONG.parquet OUT.parquet --horizon 28 --cutoffs 2011-09-16,2011-10-14

LONG.parquet has `unique_id`, `ds` (date) and `y`. For each cutoff it learns from what lies on or before it and
forecasts the next `horizon` steps; OUT.parquet gets `cutoff`, `unique_id`, `ds`, `yhat`. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlforecast import MLForecast


def forecaster(objective: str, threads: int) -> MLForecast:
    """The model: daily lags, rolling means, calendar, and LightGBM with 500 trees of 127 leaves."""
    import lightgbm as lgb
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExponentiallyWeightedMean, RollingMean, SeasonalRollingMean

    model = lgb.LGBMRegressor(
        objective=objective,
        n_estimators=500,
        learning_rate=0.05,
        num_leaves=127,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        verbosity=-1,
        n_jobs=threads,
    )
    return MLForecast(
        models={"yhat": model},
        freq="D",
        lags=[1, 7, 14, 28, 364],
        lag_transforms={
            1: [RollingMean(7), RollingMean(28), RollingMean(91), ExponentiallyWeightedMean(0.1)],
            7: [SeasonalRollingMean(7, 4)],
        },
        date_features=["dayofweek", "month", "dayofyear"],
        num_threads=threads,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("long")
    parser.add_argument("out")
    parser.add_argument("--horizon", type=int, default=28)
    parser.add_argument("--cutoffs", required=True, help="dates, separated by commas")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objective", default="regression")
    parser.add_argument(
        "--keep-missing", action="store_true", help="learn from rows whose longest lags are missing, too"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    import pandas as pd

    frame = pd.read_parquet(options.long)
    frame["ds"] = pd.to_datetime(frame["ds"])
    report: dict[str, object] = {"rows": len(frame), "load_seconds": time.perf_counter() - started}
    fit_seconds = predict_seconds = 0.0
    parts = []
    for cutoff in pd.to_datetime(options.cutoffs.split(",")):
        known = frame[frame["ds"] <= cutoff]
        if options.objective in {"tweedie", "poisson", "gamma"}:
            known = known.assign(y=known["y"].clip(lower=0))  # these objectives know no negative target
        mark = time.perf_counter()
        model = forecaster(options.objective, options.threads)
        model.fit(known, static_features=[], dropna=not options.keep_missing)
        fit_seconds += time.perf_counter() - mark
        mark = time.perf_counter()
        parts.append(model.predict(options.horizon).assign(cutoff=cutoff))
        predict_seconds += time.perf_counter() - mark
    pd.concat(parts).to_parquet(options.out, index=False)
    report |= {
        "fits": len(parts),
        "fit_seconds": fit_seconds,
        "predict_seconds": predict_seconds,
        "total_seconds": time.perf_counter() - started,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
