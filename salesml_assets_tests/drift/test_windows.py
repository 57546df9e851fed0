"""Windows against pandas, the season against one that is known, medians against a plain one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import comparison, rolling_sum, weighted_mean, weighted_median

PARAMETERS = DriftParameters(window=2, baseline=3, min_history=5)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(1, 8))
def test_rolling_sums_are_those_of_pandas(values: list[float], width: int) -> None:
    expected = pd.Series(values).rolling(width).sum().to_numpy()
    np.testing.assert_allclose(rolling_sum(np.array(values), width), expected, atol=1e-8)


def test_recent_and_earlier_weeks_are_those_that_were_meant() -> None:
    # Weeks 0 to 19; trained until 15, judged 19: recent are 18 and 19, gap 16 and 17, baseline 13 to 15.
    at = comparison(20, 15, PARAMETERS)
    weeks = np.arange(20.0)
    assert at.gap == 2
    assert at.recent(weeks)[-1] == 18 + 19
    assert at.earlier(weeks)[-1] == 13 + 14 + 15
    assert np.flatnonzero(at.usual).tolist() == list(range(16))


def test_a_window_that_reaches_into_the_training_pushes_the_baseline_back() -> None:
    at = comparison(20, 18, PARAMETERS)
    assert at.gap == 0
    assert at.earlier(np.arange(20.0))[-1] == 15 + 16 + 17
    assert np.flatnonzero(at.usual).tolist() == list(range(18))


def test_an_old_model_on_a_short_history_is_compared_over_less_distance() -> None:
    at = comparison(20, 12, PARAMETERS)
    assert at.gap == 13 - 2 - 3 - 5
    known = np.isfinite(at.earlier(np.arange(20.0))) & at.usual
    assert known.sum() >= PARAMETERS.min_history


@given(st.integers(1, 120), st.integers(0, 119))
def test_the_gap_is_never_below_zero_and_the_recent_weeks_are_never_usual(weeks: int, trained: int) -> None:
    if trained >= weeks:
        with pytest.raises(ValueError, match="not in the data"):
            comparison(weeks, trained, PARAMETERS)
        return
    at = comparison(weeks, trained, PARAMETERS)
    assert at.gap >= 0
    assert not at.usual[-PARAMETERS.window :].any()


def test_a_season_that_repeats_is_foretold_and_noise_is_not() -> None:
    at = comparison(200, 197, DriftParameters())
    rng = np.random.default_rng(0)
    season = np.sin(2 * np.pi * np.arange(200) / 52)[None] * rng.uniform(0.5, 1, (30, 1))
    foretold = at.seasonal_part(season)
    np.testing.assert_allclose(foretold[:, 60:], season[:, 60:], atol=1e-9)
    noise = rng.normal(0, 1, (30, 200))
    assert np.abs(at.seasonal_part(noise)).mean() < 0.1


def test_without_a_year_there_is_no_season() -> None:
    change = np.random.default_rng(0).normal(0, 1, (3, 60))
    assert not comparison(60, 57, DriftParameters()).seasonal_part(change).any()
    assert not comparison(30, 27, DriftParameters()).seasonal_part(change[:, :30]).any()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 5)), min_size=1, max_size=20))
def test_weighted_mean_and_median_are_those_of_repeated_values(pairs: list[tuple[int, int]]) -> None:
    values, weights = (np.array(column, float)[:, None] for column in zip(*pairs, strict=True))
    repeated = np.repeat(values[:, 0], weights[:, 0].astype(int))
    mean, median = weighted_mean(values, weights)[0], weighted_median(values, weights)[0]
    if len(repeated) == 0:
        assert np.isnan(mean)
        assert np.isnan(median)
    else:
        assert mean == pytest.approx(repeated.mean())
        assert np.quantile(repeated, 0.5, method="lower") <= median <= np.quantile(repeated, 0.5, method="higher")


def test_unknown_values_do_not_count() -> None:
    values, weights = np.array([[1.0], [np.nan], [3.0]]), np.array([[1.0], [9.0], [2.0]])
    assert weighted_mean(values, weights)[0] == pytest.approx(7 / 3)
    assert weighted_median(values, weights)[0] == 3.0
