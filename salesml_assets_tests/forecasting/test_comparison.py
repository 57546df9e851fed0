"""The comparison as a whole: what goes in, what comes out, and that it is the same every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.comparison import CHAMPION, Comparison, compare, comparison_json
from salesml_assets.forecasting.promotion import Recipe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SETTINGS = Settings()
RUNS: dict[str, dict[str, Any]] = {
    "seasonal_naive": {"parameters": {}, "seconds": 1.0, "rows": 0},
    "moving_average": {"parameters": {"window": "short"}, "seconds": 1.5, "rows": 0},
    "linear_regression": {"parameters": {"regParam": 0.1}, "seconds": 9.0, "rows": 1000},
    "xgboost": {"parameters": {"max_depth": 6}, "seconds": 20.0, "rows": 1000, "importance": {"f_last": 1.0}},
}


@pytest.fixture(scope="module")
def comparison(spark_backtests: dict[str, DataFrame]) -> Comparison:
    return compare(spark_backtests, SETTINGS, RUNS)


def test_the_best_becomes_the_first_model(comparison: Comparison) -> None:
    assert (comparison.decision.winner, comparison.decision.promoted) == ("xgboost", True)
    assert comparison.recipe == Recipe(algorithm="xgboost", parameters={"max_depth": 6})
    assert comparison.sample_rows == 300 * 84
    assert len(comparison.sample) == 5_000
    assert len(comparison.daily) == 84
    assert sum(comparison.residual_counts) == 300 * 84
    wapes = {row["algorithm"]: row["wape"] for row in comparison.table()}
    reduction = 100 * (1 - wapes["xgboost"] / wapes["seasonal_naive"])
    assert comparison.business.error_reduction == pytest.approx(reduction, rel=1e-6)


def test_metrics_hold_coverage_too(comparison: Comparison) -> None:
    assert comparison.metrics.columns.tolist() == ["algorithm", "dimension", "segment", "metric", "value"]
    assert not comparison.metrics.duplicated(["algorithm", "dimension", "segment", "metric"]).any()
    assert set(comparison.metrics["metric"]) == {
        "wape", "rmse", "mae", "r2", "bias", "rmsse", "coverage80", "coverage95", "rows", "series",
    }  # fmt: skip
    assert set(comparison.metrics["dimension"]) == {"total", "fold", "horizon", "category", "volume_class"}
    table = comparison.table()
    assert [row["algorithm"] for row in table] == ["xgboost", "linear_regression", "moving_average", "seasonal_naive"]
    assert all(0.7 < row["coverage80"] < row["coverage95"] < 1 for row in table)


def test_the_json_has_the_keys_that_teams_know(comparison: Comparison) -> None:
    found = json.loads(json.dumps(comparison_json(comparison), allow_nan=False))
    assert set(found) == {*RUNS, "_decision", "_folds"}
    assert found["xgboost"].keys() == {
        "rmse", "mae", "r2", "best_params", "wape", "bias", "rmsse", "coverage80", "coverage95", "seconds", "rows",
    }  # fmt: skip
    assert found["linear_regression"]["best_params"] == {"regParam": 0.1}
    assert found["xgboost"]["seconds"] == 20.0
    assert found["_decision"]["reason"] == comparison.decision.reason
    assert [fold["fold"] for fold in found["_folds"]] == [1, 2, 3]
    assert found["_folds"][0]["origin"] == "2024-01-29"


def test_it_is_read_back_as_it_was(comparison: Comparison) -> None:
    back = Comparison.from_json(comparison.to_json())
    for name in ("decision", "recipes", "business", "runs", "residual_edges", "residual_counts"):
        assert getattr(back, name) == getattr(comparison, name)
    for name in ("metrics", "coverage", "folds", "losses", "daily", "best_series", "worst_series", "sample"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(comparison, name), check_dtype=False, rtol=1e-12)


def test_neither_the_order_of_algorithms_nor_of_rows_matters(
    comparison: Comparison, spark_backtests: dict[str, DataFrame]
) -> None:
    turned = {name: spark_backtests[name].repartition(3, "ds") for name in reversed(spark_backtests)}
    again = compare(turned, SETTINGS, RUNS)
    assert again.to_json() == comparison.to_json()


def test_a_champion_with_the_tuned_parameters_stays(spark_backtests: dict[str, DataFrame]) -> None:
    champion = Recipe(algorithm="xgboost", parameters={"max_depth": 6})
    found = compare(spark_backtests, SETTINGS, RUNS, champion)
    assert (found.decision.winner, found.decision.promoted) == ("xgboost", False)
    assert found.recipe == champion


def test_a_champion_with_other_parameters_takes_part_beside_the_tuned_ones(
    spark_backtests: dict[str, DataFrame],
) -> None:
    old, tuned = (Recipe(algorithm="xgboost", parameters={"max_depth": depth}) for depth in (2, 6))
    found = compare(spark_backtests, SETTINGS, RUNS, old, spark_backtests["linear_regression"])
    assert found.decision.champion == CHAMPION
    assert (found.decision.winner, found.recipe) == ("xgboost", tuned)
    same = compare(spark_backtests, SETTINGS, RUNS, old, spark_backtests["xgboost"])
    assert (same.decision.winner, same.decision.promoted, same.recipe) == (CHAMPION, False, old)
    assert comparison_json(same)[CHAMPION]["best_params"] == {"max_depth": 2}


def test_rows_have_to_be_the_same_for_all(spark_backtests: dict[str, DataFrame]) -> None:
    fewer = spark_backtests | {"xgboost": spark_backtests["xgboost"].where("unique_id <> 's000'")}
    with pytest.raises(ValueError, match="not scored on the same rows"):
        compare(fewer, SETTINGS, RUNS)


def test_predictions_have_to_be_numbers(spark_backtests: dict[str, DataFrame]) -> None:
    spoiled = spark_backtests["xgboost"].selectExpr("* except (yhat)", "if(horizon = 1, double('nan'), yhat) as yhat")
    with pytest.raises(ValueError, match=r"xgboost: 1200 predictions are no finite numbers"):
        compare(spark_backtests | {"xgboost": spoiled}, SETTINGS, RUNS)


def test_something_has_to_be_sold(spark_backtests: dict[str, DataFrame]) -> None:
    empty = {name: rows.selectExpr("* except (y)", "0D as y") for name, rows in spark_backtests.items()}
    with pytest.raises(ValueError, match="nothing was sold"):
        compare(empty, SETTINGS, RUNS)
