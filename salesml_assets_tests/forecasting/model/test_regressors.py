"""Linear models and boosters: predictions against independent ones, contributions that add up."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost

from salesml_assets.forecasting.model.regressors import Linear, Trees

RANDOM = np.random.default_rng(5)
MATRIX = RANDOM.normal(size=(200, 3)).astype(np.float32)


def booster(objective: str) -> Trees:
    """A small booster with one objective."""
    label = np.exp(MATRIX[:, 0]) + MATRIX[:, 1] ** 2
    data = xgboost.QuantileDMatrix(MATRIX, label)
    trained = xgboost.train({"objective": objective, "max_depth": 3, "nthread": 1}, data, 20)
    return Trees(bytes(trained.save_raw("ubj")))


def linear() -> Linear:
    """A linear model of scaled inputs."""
    return Linear(np.array([0.5, -2.0, 0.0]), 3.0, np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.5, 1.0]))


def test_a_linear_model_is_its_formula() -> None:
    values = MATRIX.astype(float)
    expected = 3.0 + 0.5 * values[:, 0] / 2.0 - 2.0 * values[:, 1] / 0.5
    np.testing.assert_allclose(linear().predict(MATRIX), expected, rtol=1e-12)
    shares = linear().contributions(MATRIX)
    np.testing.assert_allclose(shares.sum(axis=1), linear().predict(MATRIX), rtol=1e-12)
    np.testing.assert_allclose(shares[:, 0], 0.25 * (values[:, 0] - 1.0))
    assert Linear.from_json(json.loads(json.dumps(linear().to_json()))).to_json() == linear().to_json()


@pytest.mark.parametrize("model", [linear(), booster("reg:squarederror"), booster("reg:tweedie")])
def test_a_row_is_predicted_the_same_alone_and_among_others(model: Linear | Trees) -> None:
    together = model.predict(MATRIX)
    alone = [model.predict(np.ascontiguousarray(MATRIX[row : row + 1]))[0] for row in range(len(MATRIX))]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:absoluteerror", "reg:tweedie"])
def test_contributions_of_a_booster_add_up_to_its_prediction(objective: str) -> None:
    trees = booster(objective)
    assert trees.has_log_link == (objective == "reg:tweedie")
    np.testing.assert_allclose(trees.contributions(MATRIX).sum(axis=1), trees.predict(MATRIX), rtol=1e-5, atol=1e-5)
    assert np.abs(trees.contributions(MATRIX)[:, 2]).max() < np.abs(trees.contributions(MATRIX)[:, 0]).max()


def test_shares_of_a_logarithm_keep_their_sign_and_proportion() -> None:
    trees = booster("reg:tweedie")
    raw = trees.booster.predict(xgboost.DMatrix(MATRIX), pred_contribs=True)
    shares = trees.contributions(MATRIX)
    assert (np.sign(shares[:, :-1]) == np.sign(raw[:, :-1])).all()
    ratio = shares[:, 0] / raw[:, 0]
    np.testing.assert_allclose(shares[:, 1], ratio * raw[:, 1], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(shares[:, -1], np.exp(raw[:, -1]), rtol=1e-6)
