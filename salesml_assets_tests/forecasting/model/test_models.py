"""Models over rows of the panel: units, means, contributions."""

from __future__ import annotations

import numpy as np
import pytest

from salesml_assets.forecasting.model.models import Baseline, Learned, Model, predict_all
from salesml_assets.forecasting.model.predict import explain
from salesml_assets_tests.forecasting.model.fitted import ROWS, learned


def test_a_learned_model_is_the_mean_of_its_regressors_times_the_scale() -> None:
    model = learned()
    matrix = model.encoder.encode(ROWS)
    each = [regressor.predict(matrix) for regressor in model.regressors]
    np.testing.assert_allclose(model.predict(ROWS), np.mean(each, axis=0) * ROWS["scale"].to_numpy(), rtol=1e-12)


def test_several_models_at_once_are_each_of_them() -> None:
    model = learned()
    others = [model, Learned(model.encoder, model.regressors[:1]), Learned(model.encoder, model.regressors[1:])]
    together = predict_all(others, ROWS)
    for number, one in enumerate(others):
        np.testing.assert_array_equal(together[:, number], one.predict(ROWS))


@pytest.mark.parametrize("model", [Baseline("seasonal_naive"), learned()])
def test_shares_add_up_to_the_prediction_before_it_is_clipped(model: Model) -> None:
    shares = explain(model, ROWS)
    assert shares.columns[:4] == ["unique_id", "origin", "horizon", "ds"]
    total = shares.drop("unique_id", "origin", "horizon", "ds").sum_horizontal().to_numpy()
    assert np.abs(total - model.predict(ROWS)).max() <= 1e-4 * ROWS["scale"].to_numpy().min()


def test_each_feature_has_one_column_however_many_inputs_it_makes() -> None:
    assert learned().explain(ROWS).columns == ["f_level", "f_last", "product", "c_plan", "base"]


def test_importance_is_a_share() -> None:
    shares = learned().importance()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0
    assert Baseline("seasonal_naive").importance() == {}
