"""The paired test: against an independent computation, by simulation, and by its symmetries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from salesml_assets.forecasting.significance import holm, paired_test
from salesml_assets_tests.forecasting.predictions import simulated_losses

PAIR = ["champion", "challenger"]


def losses(seed: int = 1, gain: float = 0.0, **options: float) -> pd.DataFrame:
    return simulated_losses(np.random.default_rng(seed), PAIR, [0.0, gain], **options)  # type: ignore[arg-type]


def hln_by_hand(gains: np.ndarray, steps: int) -> float:
    """Diebold-Mariano with the small-sample correction, written down from Harvey et al. (1997), one fold."""
    n = len(gains)
    mean = sum(gains) / n
    gamma = [sum((gains[t] - mean) * (gains[t - k] - mean) for t in range(k, n)) / n for k in range(steps)]
    statistic = mean / ((gamma[0] + 2 * sum(gamma[1:])) / n) ** 0.5
    corrected = ((n + 1 - 2 * steps + steps * (steps - 1) / n) / n) ** 0.5 * statistic
    return float(1 - stats.t.cdf(corrected, n - 1))


@pytest.mark.parametrize("seed", range(4))
def test_diebold_mariano_agrees_with_a_computation_by_hand(seed: int) -> None:
    table = losses(seed, 0.02, folds=1, horizon=84)
    found = paired_test(table)
    gains = (table["champion"] - table["challenger"]).to_numpy()
    assert found.p_diebold_mariano == pytest.approx(hln_by_hand(gains, 7), rel=1e-9)
    assert found.p_value == max(found.p_bootstrap, found.p_diebold_mariano)


def test_a_variance_below_zero_is_replaced_by_one_that_cannot_be() -> None:
    # Days that alternate have autocovariances whose plain sum is not positive.
    table = losses(1).assign(challenger=lambda frame: frame["champion"] - 1 + 3 * (-1.0) ** frame.index)
    found = paired_test(table, block_length=4)
    assert 0 < found.p_diebold_mariano < 0.5


def test_without_neighbours_it_is_the_paired_t_test() -> None:
    table = losses(3, 0.01, rho=0.0)
    n = len(table)
    # With blocks of one day the correction is (n - 1) / n, which turns the variance into the unbiased one.
    expected = stats.ttest_rel(table["champion"], table["challenger"], alternative="greater").pvalue
    found = paired_test(table, block_length=1)
    assert found.p_diebold_mariano == pytest.approx(expected, rel=1e-9)
    assert found.p_bootstrap == pytest.approx(expected, abs=0.05)
    assert (found.days, found.block_length) == (n, 1)


def test_difference_and_gain_are_those_of_wape() -> None:
    table = losses(4, 0.05)
    champion, challenger = (table[name].sum() / table["volume"].sum() for name in PAIR)
    found = paired_test(table)
    assert found.difference == pytest.approx(champion - challenger)
    assert found.relative_gain == pytest.approx(1 - challenger / champion)
    assert found.low < found.difference < found.high


def test_a_copy_is_no_better_even_with_rounding() -> None:
    table = losses(5)
    copy = table.assign(challenger=table["champion"] * (1 - 1e-14))
    found = paired_test(copy)
    assert (found.difference, found.p_value, found.low, found.high) == (0.0, 1.0, 0.0, 0.0)


def test_always_better_by_the_same_amount_is_significant() -> None:
    table = losses(6)
    assert paired_test(table.assign(challenger=table["champion"] - 1)).p_value < 1e-6
    assert paired_test(table.assign(challenger=table["champion"] + 1)).p_value > 1 - 1e-6


def test_blocks_are_never_longer_than_a_fold() -> None:
    found = paired_test(losses(7, 0.05, horizon=3))
    assert (found.block_length, found.days) == (3, 9)
    single = paired_test(losses(7, 0.05, horizon=1))
    assert (single.block_length, single.days) == (1, 3)
    assert 0 < single.p_value < 1


@pytest.mark.parametrize("spoil", [{"champion": np.nan}, {"challenger": np.inf}, {"volume": 0.0}])
def test_unusable_losses_are_an_error(spoil: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="losses"):
        paired_test(losses().assign(**spoil))


def rejections(gain: float, count: int, **options: float) -> tuple[float, float]:
    """Share of simulated comparisons that are significant, and of intervals that hold the true difference of zero."""
    rng = np.random.default_rng(11)
    results = [paired_test(simulated_losses(rng, PAIR, [0.0, gain], **options), seed=n) for n in range(count)]  # type: ignore[arg-type]
    return float(np.mean([r.p_value <= 0.05 for r in results])), float(np.mean([r.low <= 0 <= r.high for r in results]))


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_equally_good_forecasts_are_rarely_told_apart(rho: float) -> None:
    false_alarms, coverage = rejections(0.0, 300, rho=rho)
    # Two standard errors of a share of 5 % in 300 simulations are 2.5 %.
    assert false_alarms <= 0.075
    assert coverage >= 0.915


def test_power_grows_with_the_gain() -> None:
    power = [rejections(gain, 80)[0] for gain in (0.0, 0.06, 0.25)]
    assert power == sorted(power)
    assert power[-1] > 0.9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(-0.1, 0.1), unit=st.floats(1e-3, 1e6))
def test_neither_unit_nor_order_of_rows_matters(seed: int, gain: float, unit: float) -> None:
    table = losses(seed, gain, horizon=14)
    found = paired_test(table)
    shuffled = paired_test(table.sample(frac=1, random_state=seed))
    assert shuffled == found
    amounts = {name: unit * table[name] for name in (*PAIR, "volume")}
    scaled = paired_test(table.assign(**amounts))
    assert scaled.difference == pytest.approx(found.difference, rel=1e-6, abs=1e-12)
    assert scaled.p_value == pytest.approx(found.p_value, rel=1e-6, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gain=st.floats(-0.1, 0.1))
def test_turned_round_the_difference_changes_its_sign(seed: int, gain: float) -> None:
    table = losses(seed, gain, horizon=14)
    found, turned = (
        paired_test(table),
        paired_test(table.rename(columns={"champion": "challenger", "challenger": "champion"})),
    )
    assert turned.difference == pytest.approx(-found.difference)
    assert [turned.low, turned.high] == pytest.approx([-found.high, -found.low])
    assert turned.p_bootstrap == pytest.approx(1 - found.p_bootstrap)
    assert turned.p_diebold_mariano == pytest.approx(1 - found.p_diebold_mariano)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    assert adjusted.keys() == p_values.keys()
    assert all(p_values[name] <= adjusted[name] <= 1 for name in p_values)
    ordered = sorted(p_values, key=lambda name: p_values[name])
    assert [adjusted[name] for name in ordered] == sorted(adjusted.values())
    for name, value in adjusted.items():
        assert value <= min(1.0, len(p_values) * p_values[name])
