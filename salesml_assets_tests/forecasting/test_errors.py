"""Errors by day and series, histogram, sample: against pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from salesml_assets.forecasting.errors import (
    best_and_worst_series,
    daily_sums,
    folds_of,
    losses_of,
    residual_histogram,
    sample_pairs,
)
from salesml_assets.forecasting.metrics import metrics_by

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@pytest.fixture(scope="module")
def scored(backtests: dict[str, pd.DataFrame]) -> pd.DataFrame:
    rows = backtests["xgboost"]
    return rows[rows["fold"] >= 1].assign(error=lambda frame: frame["y"] - frame["yhat"])


def test_daily_losses_agree_with_pandas(predictions: DataFrame, scored: pd.DataFrame) -> None:
    sums = daily_sums(predictions)
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


def test_folds_do_not_overlap(predictions: DataFrame) -> None:
    folds = folds_of(daily_sums(predictions), metrics_by(predictions, ["fold"]))
    assert folds["fold"].tolist() == [1, 2, 3]
    assert (folds["rows"] == 300 * 28).all()
    assert (folds["series"] == 300).all()
    assert (folds["origin"] < folds["first"]).all()
    assert (folds["first"].iloc[1:].to_numpy() > folds["last"].iloc[:-1].to_numpy()).all()


def test_best_and_worst_series_have_enough_volume(spark_backtests: dict[str, DataFrame], scored: pd.DataFrame) -> None:
    best, worst = best_and_worst_series(spark_backtests["xgboost"])
    sums = scored.assign(absolute=scored["error"].abs()).groupby("unique_id")[["absolute", "y"]].sum()
    sums = sums.sort_values("y", ascending=False)
    sums = sums[sums["y"].cumsum() - sums["y"] < 0.95 * sums["y"].sum()]
    assert len(sums) < scored["unique_id"].nunique()
    wape = (sums["absolute"] / sums["y"]).sort_values()
    assert best["unique_id"].tolist() == wape.index[:10].tolist()
    assert worst["unique_id"].tolist() == wape.index[::-1][:10].tolist()
    assert worst["wape"].to_numpy() == pytest.approx(wape.to_numpy()[::-1][:10], rel=1e-9)


def test_few_series_stand_in_one_list_only(spark_backtests: dict[str, DataFrame]) -> None:
    few = spark_backtests["xgboost"].where("unique_id in ('s000', 's001', 's002')")
    best, worst = best_and_worst_series(few)
    assert (len(best), len(worst)) == (2, 1)
    assert not set(best["unique_id"]) & set(worst["unique_id"])


def test_the_histogram_counts_every_row(spark_backtests: dict[str, DataFrame], scored: pd.DataFrame) -> None:
    edges, counts = residual_histogram(spark_backtests["xgboost"])
    assert sum(counts) == len(scored)
    assert len(edges) == len(counts) + 1
    assert edges[0] == -edges[-1]
    expected, _ = np.histogram(scored["error"].clip(edges[0], edges[-1]), edges)
    assert np.abs(expected - np.array(counts)).sum() <= 4  # rows on an edge


def test_a_perfect_forecast_has_a_histogram(spark_backtests: dict[str, DataFrame]) -> None:
    perfect = spark_backtests["xgboost"].selectExpr("* except (yhat)", "y as yhat")
    edges, counts = residual_histogram(perfect)
    assert sum(count > 0 for count in counts) == 1
    assert edges[0] < 0 < edges[-1]


def test_the_sample_is_the_same_in_every_run(spark_backtests: dict[str, DataFrame], scored: pd.DataFrame) -> None:
    rows = spark_backtests["xgboost"]
    sample = sample_pairs(rows, 500)
    pd.testing.assert_frame_equal(sample, sample_pairs(rows.repartition(5, "ds"), 500))
    assert len(sample) == 500
    assert sample["unique_id"].nunique() > 200
    assert not sample.equals(sample_pairs(rows, 500, seed=1))
    assert len(sample.merge(scored, on=["unique_id", "ds", "y", "yhat"])) == 500
