"""Errors of several methods on the same rows, and how sure their ratios are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

REPETITIONS = 2_000
SEED = 7


def errors_by_series(rows: pl.DataFrame, methods: Sequence[str]) -> pl.DataFrame:
    """Sums per series and origin: `absolute`, `signed`, `volume`, `scaled` (the RMSSE of the series and origin).

    Args:
        rows: `unique_id`, `fold`, `y`, `naive_mse`, and a column of forecasts per method.
        methods: The columns.

    Returns:
        `method`, `unique_id`, `fold` and the sums; `scaled` is null where a series never changed.
    """
    long = rows.unpivot(
        methods, index=["unique_id", "fold", "y", "naive_mse"], variable_name="method", value_name="yhat"
    ).with_columns(error=pl.col("yhat") - pl.col("y"))
    scaled = (pl.col("error").pow(2).mean() / pl.col("naive_mse").max()).sqrt()
    return long.group_by("method", "unique_id", "fold").agg(
        absolute=pl.col("error").abs().sum(),
        signed=pl.col("error").sum(),
        volume=pl.col("y").abs().sum(),
        scaled=pl.when(pl.col("naive_mse").max() > 0).then(scaled),
    )


def figures(sums: pl.DataFrame) -> pl.DataFrame:
    """WAPE, RMSSE (mean over series and origins) and bias per method.

    >>> rows = pl.DataFrame({"unique_id": "a", "fold": 1, "y": [2.0, 2.0], "naive_mse": 1.0, "m": [3.0, 2.0]})
    >>> figures(errors_by_series(rows, ["m"])).row(0)
    ('m', 0.25, 0.7071067811865476, 0.25)
    """
    volume = pl.col("volume").sum()
    return (
        sums.group_by("method")
        .agg(
            wape=pl.col("absolute").sum() / volume,
            rmsse=pl.col("scaled").mean(),
            bias=pl.col("signed").sum() / volume,
        )
        .sort("method")
    )


def ratios(sets: Mapping[str, pl.DataFrame], method: str, to: str) -> dict[str, tuple[float, float, float]]:
    """Geometric mean over sets of a method's WAPE and RMSSE divided by another's, with a 95 % bootstrap interval.

    Series are drawn with replacement within each set, with all of their origins, as errors of one series go together
    (Efron & Tibshirani 1993, ch. 8). The sets are taken as given.

    Args:
        sets: Of `errors_by_series`, by name of the set.
        method: The method above the line.
        to: The method below it.

    Returns:
        Ratio, lower and upper bound for `wape` and `rmsse`.
    """
    random = np.random.default_rng(SEED)
    logs = {"wape": np.zeros(REPETITIONS + 1), "rmsse": np.zeros(REPETITIONS + 1)}
    for sums in sets.values():
        one, other = (_per_series(sums.filter(method=name)) for name in (method, to))
        count = len(one["absolute"])
        # The first draw is the set itself.
        drawn = np.vstack([np.ones(count), random.multinomial(count, np.full(count, 1 / count), REPETITIONS)])
        wape = (drawn @ one["absolute"]) / (drawn @ other["absolute"])
        rmsse = (drawn @ one["scaled"]) / (drawn @ other["scaled"])
        logs["wape"] += np.log(wape) / len(sets)
        logs["rmsse"] += np.log(rmsse) / len(sets)
    return {
        name: tuple(float(value) for value in np.exp([found[0], *np.quantile(found[1:], [0.025, 0.975])]))
        for name, found in logs.items()
    }  # type: ignore[return-value]


def _per_series(sums: pl.DataFrame) -> dict[str, np.ndarray]:
    per = sums.group_by("unique_id").agg(pl.col("absolute", "scaled").sum()).sort("unique_id")
    return {name: per[name].fill_null(0.0).to_numpy() for name in ("absolute", "scaled")}


def lost_segments(rows: pl.DataFrame, method: str, to: str, min_share: float = 0.05) -> list[tuple[str, str, float]]:
    """Segments with more than a share of the volume in which a method's WAPE is above another's.

    Args:
        rows: `category`, `volume_class`, `fold`, `y` and the forecasts of both methods.
        method: The method.
        to: The other one.
        min_share: Of the whole volume.

    Returns:
        Dimension, segment and the ratio of both WAPEs.
    """
    total = rows["y"].abs().sum()
    lost = []
    for dimension in ("category", "volume_class"):
        sums = rows.group_by(dimension).agg(
            volume=pl.col("y").abs().sum(),
            ratio=(pl.col(method) - pl.col("y")).abs().sum() / (pl.col(to) - pl.col("y")).abs().sum(),
        )
        worse = sums.filter(pl.col("volume") > min_share * total, pl.col("ratio") > 1).sort("ratio", descending=True)
        lost += [(dimension, str(segment), float(ratio)) for segment, _, ratio in worse.iter_rows()]
    return lost
