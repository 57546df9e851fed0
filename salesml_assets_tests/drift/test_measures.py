"""p-values by simulation: right on independent weeks, not too small on dependent and skewed ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from salesml_assets.drift.measures import Measure, autocorrelation, read
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import comparison

WEEKS = 60
AT = comparison(WEEKS, WEEKS - 3, DriftParameters())


def signed(values: np.ndarray, least: float = 0.1) -> Measure:
    return Measure("target", "level", "target", values, least, "change", signed=True)


def share(values: np.ndarray, least: float = 0.05, plain_p: float = 0.0) -> Measure:
    return Measure("series", "new", "series", values, least, "share", plain_p=plain_p)


def p_values(rho: float, count: int = 2_000) -> np.ndarray:
    """Of overlapping windows of two weeks of a process whose weeks hang together."""
    rng = np.random.default_rng(1)
    shocks = rng.normal(0, 1, (count, WEEKS + 20))
    for step in range(1, shocks.shape[1]):
        shocks[:, step] += rho * shocks[:, step - 1]
    windows = shocks[:, 1:] + shocks[:, :-1]
    return np.array([read(signed(row[-WEEKS:], 1e-9), AT).p_value for row in windows])


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_quiet_weeks_are_rarely_significant(rho: float, alpha: float) -> None:
    rate = (p_values(rho) <= alpha).mean()
    assert rate <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 2_000) + 0.005


def test_shares_with_a_long_tail_are_rarely_significant() -> None:
    rng = np.random.default_rng(2)
    rows = rng.gamma(2.0, 0.01, (2_000, WEEKS))
    assert (np.array([read(share(row), AT).p_value for row in rows]) <= 0.01).mean() <= 0.025


def test_independent_weeks_give_the_prediction_interval_of_the_textbook() -> None:
    values = np.tile([0.0, 1.0, 0.3, 0.9], 15)
    values[-1] = 3.0
    history = values[: WEEKS - 2]
    assert autocorrelation(history) == 0
    # Windows overlap: 58 weeks are worth 29, and their variance has 57 degrees of freedom.
    t = (3.0 - history.mean()) / (history.std(ddof=1) * np.sqrt(1 + 2 / 58))
    assert read(signed(values), AT).p_value == pytest.approx(2 * stats.t.sf(t, 57))


def test_a_jump_is_significant_both_ways_and_a_fall_of_a_share_is_none() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 0.1, WEEKS)
    for jump in (1.0, -1.0):
        values[-1] = jump
        found = read(signed(values), AT)
        assert found.p_value < 1e-6
        assert found.effect == pytest.approx(jump - np.median(values[: WEEKS - 2]))
    shares = rng.uniform(0.2, 0.3, WEEKS)
    shares[-1] = 0.6
    assert read(share(shares), AT).p_value < 1e-6
    shares[-1] = 0.0
    assert read(share(shares), AT).p_value > 0.99


def test_a_history_without_variation_is_bounded_by_the_min_effect() -> None:
    values = np.zeros(WEEKS)
    assert read(share(values), AT).p_value == pytest.approx(0.5)
    values[-1] = 0.2
    assert read(share(values), AT).p_value < 1e-6
    trivial = np.zeros(WEEKS)
    trivial[-1] = 0.005
    assert read(signed(trivial, 0.1), AT).p_value > 0.05


def test_the_larger_p_value_counts() -> None:
    values = np.full(WEEKS, 0.1)
    values[-1] = 0.9
    assert read(share(values, plain_p=0.3), AT).p_value == 0.3


def test_too_short_a_history_or_a_missing_value_passes() -> None:
    values = np.full(WEEKS, np.nan)
    values[-9:] = [0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 9.0]
    found = read(share(values), AT)
    assert (found.p_value, found.weeks) == (1.0, 7)
    gone = np.full(WEEKS, 0.1)
    gone[-1] = np.nan
    assert read(share(gone), AT).p_value == 1.0
