"""Where a model errs: by day, by series, and how its residuals are distributed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import polars as pl

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.metrics import significant

SHOWN_SERIES = 10
ENOUGH = 0.95
SAMPLE_ROWS = 5_000
BINS = 41
# Residuals beyond these quantiles are counted in the outer bins.
TAIL = 0.01
DAILY_SUMS = ("loss", "volume", "y", "yhat", "scaled", "scaled_rows")


def daily_errors(rows: pl.DataFrame) -> pl.DataFrame:
    """What `daily_sums` adds up, row by row: `fold`, `ds`, `origin`, `loss` (|y - ŷ|), `volume` (|y|), `y`, `yhat`,
    `scaled` ((y - ŷ)² / `naive_mse`, where that is above zero), `scaled_rows` (1 there, else 0).
    """  # fmt: skip
    y, yhat = pl.col("y"), pl.col("yhat")
    has_scale = (pl.col("naive_mse") > 0).fill_null(False)
    return rows.select(
        "fold",
        "ds",
        "origin",
        loss=(y - yhat).abs(),
        volume=y.abs(),
        y=y,
        yhat=yhat,
        scaled=pl.when(has_scale).then((y - yhat) ** 2 / pl.col("naive_mse")).otherwise(0.0),
        scaled_rows=has_scale.cast(pl.Float64),
    )


def daily_sums(days: Mapping[str, pl.DataFrame]) -> pd.DataFrame:
    """Sums over all series per scored step: `algorithm`, `fold`, `origin`, `ds`, `loss` (Σ|y - ŷ|), `volume` (Σ|y|),
    `y`, `yhat` in units of the target, `scaled`, `scaled_rows`; sorted.

    Args:
        days: Per algorithm, of `daily_errors`, added up by fold and step (of `origin` the largest).
    """
    tagged = pl.concat([frame.select(pl.lit(name).alias("algorithm"), pl.all()) for name, frame in days.items()])
    frame = tagged.sort("algorithm", "fold", "ds").to_pandas()
    dates = {name: pd.to_datetime(frame[name]) for name in ("ds", "origin")}
    return frame.assign(**dates, **{name: significant(frame[name]) for name in DAILY_SUMS})


def losses_of(sums: pd.DataFrame) -> pd.DataFrame:
    """Daily sums side by side, for the tests of significance.

    Returns:
        One row per scored fold and step: `fold`, `ds`, `volume` (Σ|y|), and Σ|y - ŷ| of each algorithm in a column
        of its name.
    """
    wide = sums.pivot(index=["fold", "ds"], columns="algorithm", values="loss").sort_index()
    # Every algorithm's rows are the same, so any one's volume will do: the largest, whatever the rounding.
    wide.insert(0, "volume", sums.groupby(["fold", "ds"])["volume"].max())
    return wide.reset_index().rename_axis(columns=None)


def decisive_losses(sums: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Losses by the metric that decides, in the form of `losses_of`; their sum over that of `volume` is the error.

    Args:
        sums: Of `daily_sums`.
        settings: `promotion.metric`, and the costs of units too few and too many.
    """
    metric = settings.promotion.metric
    if metric == "rmsse":
        return losses_of(sums.assign(loss=sums["scaled"], volume=sums["scaled_rows"]))
    if metric == "cost":
        cost_under, cost_over = settings.orders.costs
        over = (sums["loss"] + sums["yhat"] - sums["y"]) / 2
        under = (sums["loss"] - sums["yhat"] + sums["y"]) / 2
        return losses_of(sums.assign(loss=cost_over * over + cost_under * under))
    return losses_of(sums)


def scored_folds(sums: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The scored folds: `fold`, `origin`, `first`, `last` (steps scored), `rows`, `series` (of one algorithm)."""
    spans = sums.groupby("fold").agg(origin=("origin", "max"), first=("ds", "min"), last=("ds", "max")).reset_index()
    by_fold = metrics[metrics["dimension"] == "fold"].assign(fold=lambda frame: frame["segment"].astype(int))
    counts = by_fold.groupby(["metric", "fold"])["value"].max()
    return spans.assign(**{name: spans["fold"].map(counts[name]).astype(int) for name in ("rows", "series")})


def best_and_worst_series(series: pl.DataFrame, count: int = SHOWN_SERIES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The series with the lowest and the highest WAPE among those with enough volume in the folds.

    Enough means that the series with more volume have less than 95 % of it: the error of a series that hardly sells
    is large and matters little. A series that has stopped selling counts by what it sells now.

    Args:
        series: Sums of one algorithm over the scored folds: `unique_id`, `absolute` (Σ|y - ŷ|), `signed` (Σ(ŷ - y)),
            `volume` (Σ|y|).
        count: How many of each; with few series the two lists share none of them.

    Returns:
        Best (best first) and worst (worst first): `unique_id`, `wape`, `bias`, `volume` (Σ|y| over the folds).
    """
    volume = pl.col("volume")
    above = volume.cum_sum().shift(1, fill_value=0.0)
    enough = (
        series.sort(-volume, "unique_id")
        .filter((volume > 0) & (above < ENOUGH * volume.sum()))
        .select("unique_id", wape=pl.col("absolute") / volume, bias=pl.col("signed") / volume, volume=volume)
        # Ties are not told apart by what rounding has left in the last digits.
        .sort(pl.col("wape").round(9), "unique_id")
    )
    best, worst = enough.head(count), enough.reverse().head(count)
    if best.height < count:  # few series: each is in one list
        half = -(-best.height // 2)
        best, worst = best.head(half), worst.head(best.height - half)
    return _rounded(best), _rounded(worst)


def _rounded(frame: pl.DataFrame) -> pd.DataFrame:
    table = frame.to_pandas()
    return table.assign(**{name: significant(table[name]) for name in ("wape", "bias", "volume")})


def residual_histogram(batches: Batches, bins: int = BINS) -> tuple[list[float], list[int]]:
    """Counts of y - ŷ of one algorithm's scored rows in equal bins around zero.

    Args:
        batches: `fold`, `y`, `yhat`. One number per scored row is kept.
        bins: How many.

    Returns:
        Edges (one more than counts, ascending, symmetric) and counts; rows beyond the edges are in the outer bins.

    Raises:
        ValueError: There are no scored rows.
    """
    parts = [
        batch.filter(pl.col("fold") >= 1).select(pl.col("y") - pl.col("yhat")).to_series().to_numpy()
        for batch in batches(["fold", "y", "yhat"])
    ]
    residuals = np.concatenate([np.empty(0), *parts])
    if not residuals.size:
        raise ValueError("there are no scored predictions")
    ranks = [math.ceil(share * len(residuals)) - 1 for share in (TAIL, 1 - TAIL)]
    low, high = np.partition(residuals, ranks)[ranks]
    reach = float(f"{max(abs(low), abs(high)):.3g}") or 1.0
    number = np.floor((residuals + reach) / (2 * reach) * bins).clip(0, bins - 1)
    counts = np.bincount(number.astype(int), minlength=bins)
    return np.linspace(-reach, reach, bins + 1).tolist(), counts.tolist()


def sample_pairs(batches: Batches, rows: int = SAMPLE_ROWS, seed: int = 0) -> pd.DataFrame:
    """Scored rows of one algorithm, drawn by a hash, the same in every run: `unique_id`, `ds`, `y`, `yhat`, sorted.

    Args:
        batches: `unique_id`, `fold`, `ds`, `y`, `yhat`.
        rows: How many; all, where there are fewer.
        seed: Seed of the draw.
    """
    drawn: list[pl.DataFrame] = []
    for batch in batches(["unique_id", "fold", "ds", "y", "yhat"]):
        scored = batch.filter(pl.col("fold") >= 1)
        draw = uniform(*scored.select("unique_id", "fold", "ds").get_columns(), seed=seed)
        lowest = pl.concat([*drawn, scored.with_columns(draw)]).sort("draw", "unique_id", "ds").head(rows)
        drawn = [lowest]
    columns = ["unique_id", "ds", "y", "yhat"]
    sample = pl.concat(drawn).sort("unique_id", "ds").select(columns).to_pandas()
    return sample.assign(ds=pd.to_datetime(sample["ds"]))
