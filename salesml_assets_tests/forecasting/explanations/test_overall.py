"""Explanations of models as a whole, against independent computations and what must hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from salesml_assets.forecasting.explanations.overall import (
    REPEATS,
    dependence,
    effects,
    mean_contributions,
    permutation_importance,
    with_columns_of,
)
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.explain import shares_of
from salesml_assets.forecasting.model.models import Baseline
from salesml_assets_tests.forecasting.explanations.small_table import rows_of
from salesml_assets_tests.forecasting.small_models import bundle, learned

SPEC = FeatureSpec()


@dataclass(frozen=True)
class Known:
    """A model whose contributions are known: twice the weekday's number, and the last sale of the series."""

    def predict(self, rows: pl.DataFrame) -> np.ndarray:
        return (2 * rows["f_day_of_week"] + rows["f_last"]).to_numpy()

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(
            (pl.col("f_day_of_week") - 3.0) * 2.0, pl.col("f_last") - 1.0, pl.lit(0.0).alias("f_horizon"),
            pl.lit(7.0).alias("base"),
        )  # fmt: skip

    def importance(self) -> dict[str, float]:
        return {}


def test_groups_add_up_to_the_prediction_for_trees_and_baselines() -> None:
    rows = rows_of("score")
    for model in (learned(), Baseline("seasonal_naive"), Baseline("average_short")):
        shares = shares_of(model, bundle(2).features, rows)
        total = shares.base + sum(shares.by_group.values())
        np.testing.assert_allclose(total, model.predict(rows), rtol=1e-9)
        assert sorted(place for places in shares.groups.values() for place in places) == list(
            range(len(shares.features))
        )


def test_mean_contributions_are_those_of_the_groups() -> None:
    rows = rows_of("train")
    found = mean_contributions(shares_of(Known(), SPEC, rows), "x")
    groups = {row["group"]: row for row in found.filter(pl.col("feature").is_null()).iter_rows(named=True)}
    weekday = np.abs(2 * (rows["f_day_of_week"].to_numpy() - 3)).mean()
    level = np.abs(rows["f_last"].to_numpy() - 1).mean()
    assert groups["Weekday"]["amount"] == pytest.approx(weekday)
    assert groups["Recent level"]["share"] == pytest.approx(level / (weekday + level))
    assert groups["How far ahead"]["amount"] == 0


def test_shuffling_what_a_model_does_not_use_costs_nothing_and_what_it_uses_does() -> None:
    rows = rows_of("score").with_columns(y=2 * pl.col("f_day_of_week") + pl.col("f_last"))
    shares = shares_of(Known(), SPEC, rows)
    found = permutation_importance(Known(), rows, shares, "x", non_negative=True)
    grown = dict(found.select("group", "amount").iter_rows())
    assert grown["How far ahead"] == 0
    assert grown["Weekday"] > 1
    assert grown["Recent level"] > 0
    # A perfect model: the growth is the mean absolute distance between a row's own values and the donors'.
    from salesml_assets.forecasting.draws import uniform

    day = rows["f_day_of_week"].to_numpy()
    orders = [np.argsort(uniform(rows["unique_id"], rows["ds"], seed=seed).to_numpy()) for seed in range(REPEATS)]
    assert grown["Weekday"] == pytest.approx(np.mean([np.abs(2 * (day[order] - day)).mean() for order in orders]))


def test_effects_are_mean_contributions_by_weekday_and_month() -> None:
    rows = rows_of("train")
    shares = shares_of(Known(), SPEC, rows)
    found = effects(rows, shares, SPEC, "x")
    weekday = found.filter(pl.col("group") == "Weekday").sort("at")
    assert weekday["at_label"].to_list() == ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    np.testing.assert_allclose(np.diff(weekday["amount"].to_numpy()), 2.0)
    counts = rows["ds"].dt.weekday().value_counts().sort("ds")["count"].to_numpy()
    assert float((weekday["amount"].to_numpy() * counts).sum()) == pytest.approx(0.0, abs=1e-6)


def test_a_linear_model_has_straight_dependences() -> None:
    rows = rows_of("train")
    found = dependence(Known(), rows, shares_of(Known(), SPEC, rows), SPEC, "x")
    assert set(found["feature"]) == {"f_day_of_week", "f_last"}
    day = found.filter(pl.col("feature") == "f_day_of_week").sort("at")
    np.testing.assert_allclose(day["amount"], 2 * day["at"].to_numpy() + rows["f_last"].mean())


def test_amounts_of_another_series_come_at_this_ones_size() -> None:
    rows = pl.DataFrame({"scale": [10.0, 1.0], "seasonal_naive": [20.0, 1.0], "f_last": [2.0, 1.0]})
    swapped = with_columns_of(rows, rows[::-1], ["seasonal_naive", "f_last"])
    assert swapped["seasonal_naive"].to_list() == [10.0, 2.0]
    assert swapped["f_last"].to_list() == [1.0, 2.0]
