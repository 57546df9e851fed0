"""Rolling origins."""

from __future__ import annotations

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.forecasting.folds import rolling_folds


@given(st.integers(1, 60), st.integers(3, 8), st.sampled_from([1, 7]))
def test_folds_touch_but_do_not_overlap_and_end_with_the_data(horizon: int, folds: int, step_days: int) -> None:
    last = dt.date(2024, 6, 30)
    made = rolling_folds(last, horizon, folds, step_days)
    assert [fold.number for fold in made] == list(range(folds + 1))
    assert made[-1].last == last
    for earlier, later in itertools.pairwise(made):
        assert earlier.last == later.cutoff
        assert (later.cutoff - earlier.cutoff).days == horizon * step_days
