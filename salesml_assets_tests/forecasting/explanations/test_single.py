"""Single forecasts taken apart."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.explanations.columns import LOCAL, SCHEMA
from salesml_assets.forecasting.explanations.single import DONORS, local_rows, surrogate
from salesml_assets.forecasting.feature_words import RULES
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.explain import explained, shares_of
from salesml_assets_tests.forecasting.explanations.small_table import rows_of, small_table
from salesml_assets_tests.forecasting.explanations.test_overall import Known
from salesml_assets_tests.forecasting.small_models import bundle, learned


@pytest.mark.parametrize("version", [1, 2], ids=["seasonal naive", "trees"])
def test_shares_add_up_to_every_published_forecast(version: int) -> None:
    rows = rows_of("future")
    found = explained(bundle(version), rows)
    table = local_rows(found, "largest")
    assert table.schema == SCHEMA
    sums = table.group_by("unique_id", "ds").agg(pl.col("amount").sum())
    both = found.forecasts.join(sums, on=["unique_id", "ds"])
    assert both.height == rows.height
    np.testing.assert_allclose(both["amount"], both["yhat"], atol=1e-9)
    closed = table.join(rows.filter("closed").select("unique_id", "ds"), on=["unique_id", "ds"])
    assert closed["unique_id"].n_unique() == 8
    assert RULES in set(closed["group"]), "closed days are forecast as zero by a rule, not by the model"


def test_the_surrogate_of_a_linear_model_is_that_model() -> None:
    background, row = rows_of("train"), rows_of("future")[3:4]
    found = surrogate(Known(), row, background, shares_of(Known(), FeatureSpec(), row))
    assert found.fit is not None
    assert found.fit > 0.999
    chosen = (uniform(pl.Series(range(DONORS)), seed=100) * background.height).floor().cast(pl.Int64)
    own = 2 * (row["f_day_of_week"][0] - background[chosen.to_numpy()]["f_day_of_week"].mean())
    assert found.amounts["Weekday"] == pytest.approx(own, rel=0.05)
    assert found.amounts["How far ahead"] == pytest.approx(0, abs=0.01)  # the ridge penalty moves it a little


def test_the_surrogate_of_trees_says_how_well_it_fits_and_is_the_same_each_time() -> None:
    background, row = rows_of("train"), rows_of("future")[3:4]
    shares = shares_of(learned(), bundle(2).features, row)
    first, second = (surrogate(learned(), row, background, shares) for _ in range(2))
    assert first == second
    assert first.fit is not None
    assert 0 < first.fit <= 1


def test_a_model_that_nothing_moves_has_no_fit() -> None:
    class Constant(Known):
        def predict(self, rows: pl.DataFrame) -> np.ndarray:
            return np.full(rows.height, 5.0)

    row = rows_of("future")[3:4]
    found = surrogate(Constant(), row, rows_of("train"), shares_of(Known(), FeatureSpec(), row))
    assert found.fit is None
    assert all(abs(value) < 1e-9 for value in found.amounts.values())


def test_the_table_has_all_its_parts() -> None:
    table = small_table()
    assert set(table["kind"]) == {"contribution", "permutation", "effect", "dependence", LOCAL, "surrogate"}
