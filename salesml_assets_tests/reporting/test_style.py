"""Labels keep apart, colours keep to their algorithms, and no setting of matplotlib is left changed."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.reporting.figures import pictures
from salesml_assets.reporting.style import BASELINE, BLUE, colours, new_figure, spread_labels, value_axis

from .sample import full_report


@given(wanted=st.lists(st.floats(0, 10), max_size=12), gap=st.floats(0.01, 3))
def test_spread_labels_keep_apart_and_in_order(wanted, gap):
    placed = spread_labels(wanted, gap, 0.0, 10.0)
    assert len(placed) == len(wanted)
    assert all(-1e-9 <= place <= 10 + 1e-9 for place in placed)
    order = np.argsort(wanted, kind="stable")
    steps = np.diff([placed[index] for index in order])
    fits = (len(wanted) - 1) * gap < 10
    assert (steps >= (gap if fits else 0) - 1e-6).all()


@given(wanted=st.lists(st.floats(0, 10), min_size=1, max_size=6, unique_by=lambda value: round(value)))
def test_labels_that_do_not_touch_stay(wanted):
    assert spread_labels(wanted, 1e-6, 0.0, 10.0) == pytest.approx(wanted, abs=1e-5)


@given(low=st.floats(-2, 2), width=st.floats(0.01, 5))
def test_ticks_of_shares_say_where_they_are(low, width):
    axes = new_figure(4, 3).subplots()
    axes.set_xlim(low, low + width)
    value_axis(axes, "x", share=True)
    for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        written = float(label.get_text().replace("−", "-").replace(",", "").rstrip("%")) / 100
        assert written == pytest.approx(place, abs=1e-9)


def test_colours_do_not_depend_on_the_order():
    names = ["xgboost", "random_forest", "seasonal_naive", "moving_average"]
    palette = colours(names, "xgboost", "seasonal_naive")
    assert palette == colours(names[::-1], "xgboost", "seasonal_naive")
    assert palette["xgboost"] == BLUE
    assert palette["seasonal_naive"] == BASELINE
    assert len(set(palette.values())) == 4


def test_matplotlibs_settings_are_put_back():
    before = dict(mpl.rcParams)
    pictures(full_report())
    assert dict(mpl.rcParams) == before
