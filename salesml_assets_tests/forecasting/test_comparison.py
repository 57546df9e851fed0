"""The comparison as a whole: what goes in, what comes out, and that it is the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.comparison import CHAMPION, Comparison, compare, comparison_json
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets_tests.forecasting.predictions import in_batches

SETTINGS = Settings()
RUNS: dict[str, dict[str, Any]] = {
    "seasonal_naive": {"parameters": {}, "seconds": 1.0, "rows": 0},
    "moving_average": {"parameters": {"window": "short"}, "seconds": 1.5, "rows": 0},
    "linear_regression": {"parameters": {"regParam": 0.1}, "seconds": 9.0, "rows": 1000},
    "xgboost": {"parameters": {"max_depth": 6}, "seconds": 20.0, "rows": 1000, "importance": {"f_last": 1.0}},
}


@pytest.fixture(scope="module")
def comparison(predictions: dict[str, Batches]) -> Comparison:
    return compare(predictions, SETTINGS, RUNS)


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
        "wape", "rmse", "mae", "r2", "bias", "rmsse", "cost", "coverage80", "coverage95", "rows", "series",
        "fill_rate", "stock_cover",
    }  # fmt: skip
    assert set(comparison.metrics["dimension"]) == {"total", "fold", "horizon", "category", "volume_class"}
    table = comparison.table()
    assert [row["algorithm"] for row in table] == ["xgboost", "linear_regression", "moving_average", "seasonal_naive"]
    assert all(0.7 < row["coverage80"] < row["coverage95"] < 1 for row in table)


def test_the_json_has_the_keys_that_teams_know(comparison: Comparison) -> None:
    found = json.loads(json.dumps(comparison_json(comparison), allow_nan=False))
    assert set(found) == {*RUNS, "_decision", "_folds"}
    assert found["xgboost"].keys() == {
        "rmse", "mae", "r2", "best_params", "wape", "bias", "rmsse", "change", "cost", "coverage80", "coverage95",
        "coverage_order", "seconds", "rows",
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
    for name in ("metrics", "coverage", "folds", "losses", "daily", "best_series", "worst_series", "sample", "orders"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(comparison, name), check_dtype=False, rtol=1e-12)


def test_neither_the_order_of_algorithms_nor_of_rows_matters(
    comparison: Comparison, tables: dict[str, pl.DataFrame]
) -> None:
    turned = {
        name: in_batches(rows.sample(fraction=1, shuffle=True, seed=len(name)), 30_000)
        for name, rows in reversed(tables.items())
    }
    again = compare(turned, SETTINGS, RUNS)
    assert again.to_json() == comparison.to_json()


def test_a_champion_with_the_tuned_parameters_stays(predictions: dict[str, Batches]) -> None:
    champion = Recipe(algorithm="xgboost", parameters={"max_depth": 6})
    found = compare(predictions, SETTINGS, RUNS, champion)
    assert (found.decision.winner, found.decision.promoted) == ("xgboost", False)
    assert found.recipe == champion


def test_a_champion_with_other_parameters_takes_part_alongside_the_tuned_ones(
    predictions: dict[str, Batches],
) -> None:
    old, tuned = (Recipe(algorithm="xgboost", parameters={"max_depth": depth}) for depth in (2, 6))
    found = compare(predictions, SETTINGS, RUNS, old, predictions["linear_regression"])
    assert found.decision.champion == CHAMPION
    assert (found.decision.winner, found.recipe) == ("xgboost", tuned)
    same = compare(predictions, SETTINGS, RUNS, old, predictions["xgboost"])
    assert (same.decision.winner, same.decision.promoted, same.recipe) == (CHAMPION, False, old)
    assert comparison_json(same)[CHAMPION]["best_params"] == {"max_depth": 2}


def test_rows_have_to_be_the_same_for_all(predictions: dict[str, Batches], tables: dict[str, pl.DataFrame]) -> None:
    fewer = in_batches(tables["xgboost"].filter(pl.col("unique_id") != "s000"))
    with pytest.raises(ValueError, match="not scored on the same rows"):
        compare(predictions | {"xgboost": fewer}, SETTINGS, RUNS)
    # As many rows, but those of one series twice, and none of another.
    twice = tables["xgboost"].with_columns(pl.col("unique_id").replace("s000", "s002"))
    with pytest.raises(ValueError, match="not scored on the same rows"):
        compare(predictions | {"xgboost": in_batches(twice)}, SETTINGS, RUNS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_predictions_have_to_be_numbers(
    predictions: dict[str, Batches], tables: dict[str, pl.DataFrame], value: float | None
) -> None:
    spoiled = tables["xgboost"].with_columns(
        yhat=pl.when(pl.col("horizon") == 1).then(pl.lit(value, pl.Float64)).otherwise("yhat")
    )
    with pytest.raises(ValueError, match=r"xgboost: 1200 predictions are not finite numbers"):
        compare(predictions | {"xgboost": in_batches(spoiled)}, SETTINGS, RUNS)


def test_where_nothing_was_sold_nothing_is_better(tables: dict[str, pl.DataFrame]) -> None:
    empty = {name: in_batches(rows.with_columns(y=0.0)) for name, rows in tables.items()}
    first = compare(empty, SETTINGS, RUNS)
    assert (first.decision.winner, first.decision.promoted) == ("seasonal_naive", True)
    assert "nothing was sold" in first.decision.reason
    assert Comparison.from_json(first.to_json()).table() == first.table()
    json.dumps(comparison_json(first), allow_nan=False)
    champion = Recipe(algorithm="xgboost", parameters={"max_depth": 6})
    assert compare(empty, SETTINGS, RUNS, champion).decision.winner == "xgboost"


def test_costs_bring_the_quantity_to_order_into_the_comparison(predictions: dict[str, Batches]) -> None:
    settings = Settings(orders={"cost_under": 0.6, "cost_over": 0.2})
    found = compare(predictions, settings, RUNS)
    totals = {row["algorithm"]: row for row in found.table()}
    assert all(row["coverage_order"] == pytest.approx(0.75, abs=0.06) for row in totals.values())
    assert found.service_level == 0.75
    # Categories add up to the total, and so do the folds to as many horizons.
    costs = found.metrics[found.metrics["metric"] == "cost"].set_index(["algorithm", "dimension", "segment"])["value"]
    for name in RUNS:
        assert costs[name, "category"].sum() == pytest.approx(costs[name, "total", "all"], rel=1e-8)
        assert costs[name, "fold"].mean() == pytest.approx(costs[name, "total", "all"], rel=1e-8)
    assert found.business.cost == totals["xgboost"]["cost"]
    assert found.business.baseline_cost == totals["seasonal_naive"]["cost"]
    assert (found.business.champion_cost, found.business.cost_under, found.business.cost_over) == (None, 0.6, 0.2)
    assert set(found.orders["algorithm"]) == {"xgboost", "seasonal_naive"}
    json.dumps(comparison_json(found), allow_nan=False)
    assert Comparison.from_json(found.to_json()).table() == found.table()


def test_a_comparison_of_an_earlier_release_has_no_replay(comparison: Comparison) -> None:
    values = json.loads(comparison.to_json())
    del values["orders"], values["service_level"]
    values["business"] = {name: values["business"][name] for name in ("accuracy", "error_reduction", "error_value",
                                                                      "saved", "sold", "is_money")}  # fmt: skip
    back = Comparison.from_json(json.dumps(values))
    assert back.orders.empty
    assert back.business.cost is None


def test_the_model_before_is_part_of_the_reading(predictions: dict[str, Batches]) -> None:
    old = Recipe(algorithm="xgboost", parameters={"max_depth": 2})
    found = compare(predictions, SETTINGS, RUNS, old, predictions["linear_regression"])
    totals = {row["algorithm"]: row["cost"] for row in found.table()}
    assert found.business.champion_cost == totals[CHAMPION] > found.business.cost
    assert set(found.orders["algorithm"]) == {"xgboost", "seasonal_naive", CHAMPION}


def test_prices_turn_units_into_money(
    predictions: dict[str, Batches], comparison: Comparison, settings_for: Callable[..., Settings]
) -> None:
    series = pl.DataFrame({"unique_id": [f"s{number:03d}" for number in range(300)], "price": 2.5})
    units = settings_for(forecast={"target": "quantity"})
    assert not compare(predictions, units, RUNS).business.is_money
    found = compare(predictions, units, RUNS, prices=series)
    assert found.business.is_money
    assert found.business.sold == pytest.approx(2.5 * comparison.business.sold)
