"""XGBoost's boosters: those of the library, shared between candidates."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.model.models import Learned
from salesml_assets.forecasting.training.sample import Sample
from salesml_assets_tests.forecasting.small_lake import training_panel

SETTINGS = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


@pytest.fixture(scope="module")
def sample() -> Sample:
    panel = training_panel(SETTINGS)
    return panel.up_to(panel.last)


def models(sample: Sample, *candidates: dict[str, object]) -> list[Learned]:
    """Fitted models of some candidates; no Spark is there."""
    engines = Engines(2, lambda: pytest.fail("this needs no Spark"), "nowhere")
    fits = ALGORITHMS["xgboost"].fit(sample, candidates, SETTINGS.training, engines, sample.matrix)
    found = [fit.model for fit in fits]
    assert all(isinstance(model, Learned) for model in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:tweedie", "reg:absoluteerror"])
def test_a_booster_is_the_one_that_the_librarys_own_regressor_fits(sample: Sample, objective: str) -> None:
    taken = sample.at_most(SETTINGS.training.max_rows)
    parameters = {"n_estimators": 15, "max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.5}
    extra = {"tweedie_variance_power": 1.2} if objective == "reg:tweedie" else {}
    labels = taken.non_negative_labels if extra else taken.labels
    own = xgboost.XGBRegressor(
        objective=objective, tree_method="hist", max_bin=128, n_jobs=1, random_state=42, **parameters, **extra
    ).fit(taken.matrix, labels, sample_weight=taken.weights)
    (model,) = models(sample, {"objective": objective, **parameters})
    np.testing.assert_allclose(
        model.regressors[0].predict(taken.matrix), own.predict(taken.matrix), rtol=1e-5, atol=1e-6
    )


def test_candidates_share_boosters_and_a_mean_is_one(sample: Sample) -> None:
    single, mean = models(
        sample,
        {"objective": "reg:tweedie", "n_estimators": 5},
        {"objective": "reg:tweedie+reg:tweedie+reg:absoluteerror", "n_estimators": 5},
    )
    assert mean.regressors[0] is mean.regressors[1] is single.regressors[0]
    values = [regressor.predict(sample.matrix) for regressor in mean.regressors]
    from salesml_assets.forecasting.model.models import relative_predictions

    np.testing.assert_allclose(relative_predictions([mean], sample.matrix)[:, 0], np.mean(values, axis=0))


def test_one_core_and_two_give_the_same_trees(sample: Sample) -> None:
    parameters = {"objective": "reg:squarederror+reg:absoluteerror", "n_estimators": 5}
    results = []
    for cores in (1, 2):
        engines = Engines(cores, lambda: pytest.fail("this needs no Spark"), "nowhere")
        (fit,) = ALGORITHMS["xgboost"].fit(sample, [parameters], SETTINGS.training, engines, sample.matrix)
        assert isinstance(fit.model, Learned)
        results.append([regressor.content for regressor in fit.model.regressors])  # type: ignore[attr-defined]
    assert results[0] == results[1]
