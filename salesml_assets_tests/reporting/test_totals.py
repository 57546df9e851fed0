"""Intervals of the sum hold what they promise where its errors are exchangeable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.reporting.totals import total_intervals


def _frames(
    random: np.random.Generator, past: int, ahead: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, np.ndarray]:
    days = pd.date_range("2024-01-01", periods=past + ahead)
    yhat = random.uniform(50, 200, past + ahead)
    y = yhat + np.sqrt(yhat) * random.gumbel(0, 3, past + ahead)
    actual = pd.DataFrame({"ds": days[:past], "y": y[:past]})
    backtest = pd.DataFrame({"ds": days[:past], "yhat": yhat[:past]})
    return actual, backtest, pd.DataFrame({"ds": days[past:], "yhat": yhat[past:]}), y[past:]


def test_coverage_is_nominal_over_many_draws():
    random = np.random.default_rng(11)
    inside = {80: [], 95: []}
    for _ in range(400):
        actual, backtest, future, truth = _frames(random, 84, 5)
        bands = total_intervals(actual, backtest, future, non_negative=False)
        for level, hits in inside.items():
            hits += ((truth >= bands[f"lo{level}"]) & (truth <= bands[f"hi{level}"])).tolist()
    assert np.mean(inside[80]) == pytest.approx(0.80, abs=0.02)
    assert np.mean(inside[95]) == pytest.approx(0.955, abs=0.015)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), past=st.integers(40, 90))
def test_bands_are_nested_around_the_forecast_and_never_negative(seed, past):
    actual, backtest, future, _ = _frames(np.random.default_rng(seed), past, 10)
    bands = total_intervals(actual, backtest, future)
    ordered = bands[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert (ordered >= 0).all()


def test_a_level_without_enough_errors_is_left_out():
    actual, backtest, future, _ = _frames(np.random.default_rng(0), 38, 3)
    assert set(total_intervals(actual, backtest, future)) == {"ds", "yhat", "lo80", "hi80"}
    assert list(total_intervals(actual.head(0), backtest.head(0), future)) == ["ds", "yhat"]


def test_a_closed_day_has_no_width():
    actual, backtest, future, _ = _frames(np.random.default_rng(0), 84, 3)
    future.loc[1, "yhat"] = 0.0
    assert total_intervals(actual, backtest, future).loc[1, ["lo80", "hi80", "lo95", "hi95"]].tolist() == [0, 0, 0, 0]
