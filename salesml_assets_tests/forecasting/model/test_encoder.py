"""Rows as a matrix: indexes by frequency, one column per label, and nothing that is not a number."""

from __future__ import annotations

import json
import math

import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given

from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns

ROWS = pl.DataFrame(
    {
        "product": ["b", "b", "a", "a", "c", None],
        "f_one": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "f_two": [0.5, None, math.nan, math.inf, 1.5, -math.inf],
        "c_plan": ["flyer", "none", "none", "none", "flyer", None],
        "y": [0.0] * 6,
    }
)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder.fit(ROWS, PanelColumns.of(ROWS.columns))


def test_labels_go_by_frequency_and_then_by_name(encoder: Encoder) -> None:
    assert encoder.labels == {"product": ("a", "b", "c"), "c_plan": ("none", "flyer")}
    assert encoder.inputs == ("f_one", "f_two", "product_index", "c_plan_hot_none", "c_plan_hot_flyer")
    assert encoder.sources == ("f_one", "f_two", "product", "c_plan", "c_plan")


def test_the_matrix_is_what_one_would_write_by_hand(encoder: Encoder) -> None:
    expected = [
        [1.0, 0.5, 1.0, 0.0, 1.0],
        [2.0, 1.0, 1.0, 1.0, 0.0],  # missing: the mean of 0.5 and 1.5
        [3.0, 1.0, 0.0, 1.0, 0.0],
        [4.0, 1.5, 0.0, 1.0, 0.0],  # infinite: the largest value
        [5.0, 1.5, 2.0, 0.0, 1.0],
        [6.0, 0.5, 3.0, 0.0, 0.0],  # no label: a code of its own, and none of the columns
    ]
    matrix = encoder.encode(ROWS)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, np.float32))


def test_moments_are_those_of_the_training_rows(encoder: Encoder) -> None:
    np.testing.assert_allclose(encoder.means[:2], [3.5, 1.0])
    np.testing.assert_allclose(encoder.deviations[:2], [np.std(range(6), ddof=1), np.std([0.5, 1.5], ddof=1)])
    assert encoder.lows[:2].tolist() == [1.0, 0.5]
    assert encoder.highs[:2].tolist() == [6.0, 1.5]


def test_a_label_that_was_never_seen_has_a_code_of_its_own(encoder: Encoder) -> None:
    strange = ROWS.with_columns(product=pl.lit("z"), c_plan=pl.lit("z"))
    assert encoder.encode(strange)[:, 2:].tolist() == [[3.0, 0.0, 0.0]] * 6


def test_a_column_without_any_value_is_zero_and_harmless() -> None:
    rows = ROWS.with_columns(f_two=pl.lit(None, pl.Float64))
    encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
    assert encoder.encode(rows)[:, 1].tolist() == [0.0] * 6
    assert encoder.deviations[1] == 1.0


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="no rows"):
        Encoder.fit(ROWS.clear(), PanelColumns.of(ROWS.columns))


def test_json_brings_back_the_same_encoder(encoder: Encoder) -> None:
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.to_json() == encoder.to_json()
    np.testing.assert_array_equal(again.encode(ROWS), encoder.encode(ROWS))


@given(
    st.lists(
        st.tuples(st.floats(width=32), st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.text(max_size=3))),
        min_size=1,
        max_size=30,
    )
)
def test_every_matrix_is_finite_and_each_row_stands_for_itself(
    rows: list[tuple[float, float | None, str | None]],
) -> None:
    frame = pl.DataFrame(
        rows, schema={"f_one": pl.Float64, "f_two": pl.Float64, "product": pl.String}, orient="row", strict=False
    )
    encoder = Encoder.fit(frame, PanelColumns.of(frame.columns))
    matrix = encoder.encode(frame)
    assert np.isfinite(matrix).all()
    np.testing.assert_array_equal(matrix[-1:], encoder.encode(frame[-1]))
