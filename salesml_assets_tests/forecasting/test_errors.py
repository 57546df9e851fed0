"""Errors by day and series, histogram, sample: against pandas."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.errors import (
    best_and_worst_series,
    daily_errors,
    daily_sums,
    decisive_losses,
    losses_of,
    residual_histogram,
    sample_pairs,
    scored_folds,
)
from salesml_assets.forecasting.metrics import metrics_by
from salesml_assets.forecasting.scan import Scan
from salesml_assets_tests.forecasting.predictions import in_batches, scan_of


@pytest.fixture(scope="module")
def scored(backtests: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = backtests["xgboost"]
    return rows[rows["fold"] >= 1].assign(error=lambda frame: frame["y"] - frame["yhat"])


@pytest.fixture(scope="module")
def sums(scans: dict[str, Scan]) -> pd.DataFrame:
    return daily_sums({name: found.days for name, found in scans.items()})


def test_daily_losses_agree_with_pandas(sums: pd.DataFrame, scored: pd.DataFrame) -> None:
    losses = losses_of(sums)
    names = ["linear_regression", "moving_average", "seasonal_naive", "xgboost"]
    assert list(losses.columns) == ["fold", "ds", "volume", *names]
    days = scored.assign(absolute=scored["error"].abs(), size=scored["y"].abs()).groupby(["fold", "ds"])
    expected = days[["absolute", "size"]].sum().reset_index()
    assert losses["xgboost"].to_numpy() == pytest.approx(expected["absolute"].to_numpy(), rel=1e-9)
    assert losses["volume"].to_numpy() == pytest.approx(expected["size"].to_numpy(), rel=1e-9)
    assert (losses["ds"] == expected["ds"]).all()
    totals = sums[sums["algorithm"] == "xgboost"]
    assert totals["yhat"].to_numpy() == pytest.approx(days["yhat"].sum().to_numpy(), rel=1e-9)


def test_folds_do_not_overlap(sums: pd.DataFrame, scans: dict[str, Scan]) -> None:
    folds = scored_folds(sums, metrics_by({name: found.segments for name, found in scans.items()}))
    assert folds["fold"].tolist() == [1, 2, 3]
    assert (folds["rows"] == 300 * 28).all()
    assert (folds["series"] == 300).all()
    assert (folds["origin"] < folds["first"]).all()
    assert (folds["first"].iloc[1:].to_numpy() > folds["last"].iloc[:-1].to_numpy()).all()


def test_best_and_worst_series_have_enough_volume(scans: dict[str, Scan], scored: pd.DataFrame) -> None:
    best, worst = best_and_worst_series(scans["xgboost"].series)
    sums = scored.assign(absolute=scored["error"].abs()).groupby("unique_id")[["absolute", "y"]].sum()
    sums = sums.sort_values("y", ascending=False)
    sums = sums[sums["y"].cumsum() - sums["y"] < 0.95 * sums["y"].sum()]
    assert len(sums) < scored["unique_id"].nunique()
    wape = (sums["absolute"] / sums["y"]).sort_values()
    assert best["unique_id"].tolist() == wape.index[:10].tolist()
    assert worst["unique_id"].tolist() == wape.index[::-1][:10].tolist()
    assert worst["wape"].to_numpy() == pytest.approx(wape.to_numpy()[::-1][:10], rel=1e-9)


def test_few_series_are_in_one_list_only(tables: dict[str, pl.DataFrame]) -> None:
    few = tables["xgboost"].filter(pl.col("unique_id").is_in(["s000", "s001", "s002"]))
    best, worst = best_and_worst_series(scan_of(few).series)
    assert (len(best), len(worst)) == (2, 1)
    assert not set(best["unique_id"]) & set(worst["unique_id"])


def test_the_histogram_counts_every_row(predictions: dict[str, Batches], scored: pd.DataFrame) -> None:
    edges, counts = residual_histogram(predictions["xgboost"])
    low, high = np.quantile(scored["error"], [0.01, 0.99], method="inverted_cdf")
    assert edges[-1] == pytest.approx(max(-low, high), rel=5e-3)  # three digits
    assert sum(counts) == len(scored)
    assert len(edges) == len(counts) + 1
    assert edges[0] == -edges[-1]
    expected, _ = np.histogram(scored["error"].clip(edges[0], edges[-1]), edges)
    assert np.abs(expected - np.array(counts)).sum() <= 4  # rows on an edge


def test_a_perfect_forecast_has_a_histogram(tables: dict[str, pl.DataFrame]) -> None:
    perfect = tables["xgboost"].with_columns(yhat=pl.col("y"))
    edges, counts = residual_histogram(in_batches(perfect))
    assert sum(count > 0 for count in counts) == 1
    assert edges[0] < 0 < edges[-1]


def test_the_sample_is_the_same_in_every_run(tables: dict[str, pl.DataFrame], scored: pd.DataFrame) -> None:
    rows = in_batches(tables["xgboost"])
    sample = sample_pairs(rows, 500)
    shuffled = tables["xgboost"].sample(fraction=1, shuffle=True, seed=1)
    pd.testing.assert_frame_equal(sample, sample_pairs(in_batches(shuffled, 100), 500))
    assert len(sample) == 500
    assert sample["unique_id"].nunique() > 200
    assert not sample.equals(sample_pairs(rows, 500, seed=1))
    assert len(sample.merge(scored, on=["unique_id", "ds", "y", "yhat"])) == 500


def test_a_sample_of_few_rows_is_all_of_them(tables: dict[str, pl.DataFrame], scored: pd.DataFrame) -> None:
    sample = sample_pairs(in_batches(tables["xgboost"]), 10**6)
    expected = scored.sort_values(["unique_id", "ds"])[["unique_id", "ds", "y", "yhat"]]
    assert sample["y"].tolist() == expected["y"].tolist()


def test_without_scored_rows_there_is_no_histogram(tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(ValueError, match="no scored predictions"):
        residual_histogram(in_batches(tables["xgboost"].filter(pl.col("fold") == 0)))


def test_the_metric_that_decides_is_the_sum_of_its_losses() -> None:
    """Cost and scaled squares, row by row, against the sums of days."""
    random = np.random.default_rng(4)
    rows = pl.DataFrame(
        {
            "fold": [1] * 40 + [2] * 40,
            "ds": pl.Series([dt.date(2024, 1, 1 + number % 20) for number in range(80)]),
            "origin": pl.Series([dt.date(2023, 12, 31)] * 80),
            "y": random.gamma(2.0, 5.0, 80),
            "yhat": random.gamma(2.0, 5.0, 80),
            "naive_mse": [None if number % 7 == 0 else 4.0 + number for number in range(80)],
        }
    )
    days = daily_errors(rows).group_by("fold", "ds").agg(pl.col("origin").max(), pl.exclude("origin").sum())
    sums = daily_sums({"a": days})
    error = (rows["yhat"] - rows["y"]).to_numpy()
    by_cost = Settings(promotion={"metric": "cost"}, orders={"cost_under": 3.0, "cost_over": 0.5})
    cost = decisive_losses(sums, by_cost)
    expected = (3.0 * np.maximum(-error, 0) + 0.5 * np.maximum(error, 0)).sum()
    assert cost["a"].sum() == pytest.approx(expected, rel=1e-9)
    assert cost["volume"].sum() == pytest.approx(rows["y"].sum(), rel=1e-9)
    scaled = decisive_losses(sums, Settings(promotion={"metric": "rmsse"}))
    naive = rows["naive_mse"].to_numpy()
    assert scaled["a"].sum() / scaled["volume"].sum() == pytest.approx(np.nanmean(error**2 / naive), rel=1e-9)
    assert decisive_losses(sums, Settings())["a"].sum() == pytest.approx(np.abs(error).sum(), rel=1e-9)
