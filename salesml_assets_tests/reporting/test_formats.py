"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.reporting import formats
from salesml_assets.reporting.feature_names import feature_label
from salesml_assets.text import clean

ANY_FLOAT = st.one_of(st.floats(-1e300, 1e300), st.sampled_from([math.nan, math.inf, -math.inf]))
FORMATTERS = [formats.number, formats.amount, formats.compact, formats.percent, formats.p_value, formats.duration]
UNDEFINED = [None, math.nan, math.inf, -math.inf, pd.NA, "text", True]


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("value", UNDEFINED)
def test_undefined_is_a_dash(formatter, value):
    assert formatter(value) == formats.DASH


@pytest.mark.parametrize("value", [None, pd.NaT, "2024-01-01"])
def test_an_undefined_day_is_a_dash(value):
    assert formats.day(value) == formats.DASH


@pytest.mark.parametrize("formatter", [formats.amount, formats.compact])
@given(value=ANY_FLOAT)
def test_amounts_keep_three_digits_of_any_number(formatter, value):
    text = formatter(value)
    if not math.isfinite(value):
        assert text == formats.DASH
        return
    powers = {"trillion": 1e12, "billion": 1e9, "million": 1e6, "T": 1e12, "B": 1e9, "M": 1e6, "k": 1e3}
    match = re.fullmatch(r"([\d.,]+(?:e[+-]?\d+)?) ?([a-zA-Z]*)", text.replace(formats.MINUS, "-").removeprefix("-"))
    read = float(match[1].replace(",", "")) * powers.get(match[2], 1)
    assert read == pytest.approx(abs(value), rel=5.1e-3, abs=1e-300)
    assert text.startswith(formats.MINUS) == (value < 0)
    assert len(text) <= 14


@given(value=st.floats(-1e9, 1e9), digits=st.integers(0, 4))
def test_no_number_is_minus_zero(value, digits):
    text = formats.number(value, digits)
    assert (formats.MINUS in text) == bool(text.startswith(formats.MINUS) and re.search("[1-9]", text))


def test_rounding_up_reaches_the_next_unit():
    assert formats.compact(999_600) == "1M"
    assert formats.amount(999_600) == "1.00 million"
    assert formats.compact(999.6) == "1k"


@given(text=st.text(max_size=300), width=st.integers(2, 100))
def test_cleaned_text_is_one_printable_line_of_the_width(text, width):
    cleaned = clean(text, width)
    assert len(cleaned) <= width
    assert not re.search(r"[\x00-\x1f\x7f]", cleaned)
    cleaned.encode("utf-8")


def test_lone_surrogates_become_encodable():
    assert clean("a\ud800b").encode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"maxDepth": 5, "rate": 0.1}', "maxDepth 5, rate 0.1"),
        ({"a": 1 / 3}, "a 0.3333"),
        ({}, formats.DASH),
        (math.nan, formats.DASH),
        ("as they are", "as they are"),
    ],
)
def test_parameters_are_read_from_dicts_json_and_text(value, text):
    assert formats.parameters(value) == text


@pytest.mark.parametrize(
    ("name", "step", "label"),
    [
        ("f_season_1", "day", "Same weekday, last known"),
        ("f_season_2", "week", "Same week of the year, 2 back"),
        ("sales_lag_7", "day", "Sales 7 days before"),
        ("moving_average_30", "day", "Mean of the last 30 days"),
        ("c_holiday", "day", "Holiday"),
        ("f_promo_like", "day", "Promo, sales at the planned value"),
        ("f_{step}", "day", "{step}"),
    ],
)
def test_features_are_named_in_words(name, step, label):
    assert feature_label(name, weekly=step == "week") == label
