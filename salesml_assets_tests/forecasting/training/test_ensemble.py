"""Weights of the ensemble: convex, half shrunk, bias held; the model adds up and comes back from its files."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.model.models import BASE, Blend, model_from_files, model_to_files
from salesml_assets.forecasting.training.backtest import Backtest, backtest
from salesml_assets.forecasting.training.ensemble import MAX_BIAS, fixed_weights, shrunk_weights
from salesml_assets.forecasting.training.sample import TrainingPanel
from salesml_assets_tests.forecasting.small_lake import training_panel

FIXED = fixed_weights(2)
FAST = {"objective": ["reg:tweedie+reg:absoluteerror"], "n_estimators": [15]}


@pytest.fixture(scope="module")
def panel() -> TrainingPanel:
    chosen = Settings(
        forecast={"horizon": 7},
        training={"max_rows": 2_000, "tree_rows": 1_000, "grids": {"ensemble": FAST, "xgboost": FAST}},
    )
    return training_panel(chosen)


@pytest.fixture(scope="module")
def result(panel: TrainingPanel) -> Backtest:
    engines = Engines(2, lambda: pytest.fail("this needs no Spark"), "nowhere")
    entry = ALGORITHMS["ensemble"]
    return backtest(entry, panel, entry.candidates(panel.settings.training), engines)


@given(st.integers(0, 10_000), st.floats(0.2, 3.0), st.floats(0.2, 3.0), st.floats(0.2, 3.0))
@settings(max_examples=40, deadline=None)
def test_weights_are_convex_and_within_half_of_the_fixed_ones(seed: int, a: float, b: float, c: float) -> None:
    random = np.random.default_rng(seed)
    y = random.gamma(1.0, 5.0, 300)
    members = np.stack([y * factor * random.lognormal(0, 0.3, 300) for factor in (a, b, c)], axis=1)
    weights = shrunk_weights(y, members, FIXED)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= FIXED / 2 - 1e-6).all()
    assert (weights <= FIXED / 2 + 0.5 + 1e-6).all()


def test_the_best_member_gets_the_free_half() -> None:
    random = np.random.default_rng(1)
    y = random.gamma(2.0, 5.0, 2_000)
    members = np.stack([y + random.normal(0, size, 2_000) for size in (20.0, 20.0, 0.5)], axis=1)
    np.testing.assert_allclose(shrunk_weights(y, members, FIXED), FIXED / 2 + [0, 0, 0.5], atol=0.03)


def test_weights_are_the_best_of_a_fine_grid() -> None:
    """Without a bias beyond the bound, against all mixtures of two members in steps of 0.01."""
    random = np.random.default_rng(2)
    y = random.gamma(2.0, 5.0, 3_000)
    members = np.stack([y + random.normal(0, 3, 3_000), y + random.normal(0, 4, 3_000)], axis=1)
    fixed = np.array([0.5, 0.5])
    grid = np.arange(0, 1.001, 0.01)
    errors = [np.abs(members @ [share, 1 - share] - y).sum() for share in grid]
    best = grid[int(np.argmin(errors))]
    np.testing.assert_allclose(shrunk_weights(y, members, fixed)[0], (best + 0.5) / 2, atol=0.011)


def test_the_bias_of_a_median_is_held() -> None:
    """A member with the lowest error and a bias of -50 % does not get all of the free half."""
    random = np.random.default_rng(3)
    y = random.gamma(0.3, 10.0, 4_000)
    mean, low = np.full(4_000, y.mean()), np.full(4_000, y.mean() * 0.4)
    members = np.stack([mean, low, mean], axis=1)
    free = np.abs(members - y[:, None]).sum(axis=0)
    assert free[1] < free[0]
    weights = shrunk_weights(y, members, FIXED)
    bias = ((members @ weights - y).sum()) / y.sum()
    assert -0.13 - MAX_BIAS < bias < 0
    assert bias > -0.2


def test_nothing_sold_keeps_the_fixed_weights() -> None:
    assert shrunk_weights(np.zeros(5), np.ones((5, 3)), FIXED) is FIXED


def test_the_first_origin_has_fixed_weights_and_later_ones_their_own(result: Backtest, panel: TrainingPanel) -> None:
    blends = [result.models[fold.number] for fold in panel.folds]
    assert all(isinstance(model, Blend) for model in blends)
    assert blends[0].weights == pytest.approx((0.8, 0.2))
    assert len({model.weights for model in blends}) > 2


def test_weights_of_an_origin_do_not_change_when_later_sales_do(result: Backtest, panel: TrainingPanel) -> None:
    """Sales after the cutoff of the second scored origin are multiplied: its model stays the same."""
    cutoff = panel.folds[2].cutoff

    def changed(columns: object = None, filters: object = None) -> object:
        for batch in panel.source(None, filters):
            y = pl.when(pl.col("ds") > cutoff).then(pl.col("y") * 9).otherwise("y")
            yield batch.with_columns(y=y)

    engines = Engines(2, lambda: pytest.fail("this needs no Spark"), "nowhere")
    from salesml_assets.forecasting.training.backtest import refit

    again, _ = refit(
        ALGORITHMS["ensemble"],
        result.parameters,
        TrainingPanel(changed, panel.features, panel.settings),
        cutoff,
        engines,  # type: ignore[arg-type]
    )
    assert again.model.weights == result.models[2].weights


def test_shares_add_up_and_the_model_comes_back_from_its_files(result: Backtest, panel: TrainingPanel) -> None:
    rows = next(panel.to_forecast())
    values, files = model_to_files(result.model)
    loaded = model_from_files(values, files)
    np.testing.assert_array_equal(loaded.predict(rows), result.model.predict(rows))
    shares = loaded.explain(rows)
    assert shares.columns[-1] == BASE
    np.testing.assert_allclose(shares.to_numpy().sum(axis=1), loaded.predict(rows), rtol=1e-4, atol=1e-4)
    assert "calendar_weekday" in shares.columns
    assert sum(loaded.importance().values()) == pytest.approx(1.0)


def test_the_ensemble_takes_the_boosters_that_xgboost_has_fitted(panel: TrainingPanel, result: Backtest) -> None:
    before = len(panel.fits)
    entry = ALGORITHMS["xgboost"]
    engines = Engines(2, lambda: pytest.fail("this needs no Spark"), "nowhere")
    own = backtest(entry, panel, entry.candidates(panel.settings.training), engines)
    assert len(panel.fits) == before
    assert own.model.regressors[0] is result.model.members[0].regressors[0]
