"""The report's data refuse what cannot be shown, and order what can."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from salesml_assets.reporting.data import Decision

from .sample import WAPES, bare_report, full_report, metrics


def test_a_frame_without_a_column_is_named():
    with pytest.raises(ValueError, match="sample: the frame lacks yhat"):
        bare_report(sample=pd.DataFrame({"y": [1.0]}))


def test_a_winner_without_metrics_is_refused():
    with pytest.raises(ValueError, match="winner 'other' has no metrics"):
        bare_report(decision=Decision(winner="other"))


def test_edges_and_counts_have_to_fit():
    with pytest.raises(ValueError, match="residual_edges"):
        bare_report(residual_edges=[0.0, 1.0], residual_counts=[1, 2])


def test_algorithms_stand_by_error_whatever_the_order_of_rows():
    shuffled = metrics().sample(frac=1, random_state=5)
    assert bare_report(metrics=shuffled).algorithms == ["xgboost", "linear_regression", "seasonal_naive"]


def test_an_algorithm_without_an_error_stands_last():
    table = metrics()
    table.loc[(table["algorithm"] == "xgboost") & (table["metric"] == "wape"), "value"] = None
    data = bare_report(metrics=table)
    assert data.algorithms == ["linear_regression", "seasonal_naive", "xgboost"]
    assert data.value("xgboost", "wape") is None


def test_undefined_values_are_no_values():
    table = metrics()
    table.loc[table["metric"] == "r2", "value"] = math.nan
    assert bare_report(metrics=table).by_algorithm("r2") == {}


def test_segments_stand_in_their_natural_order():
    table = full_report().by_segment("wape", "horizon")
    assert list(table.columns) == ["1-7", "8-14", "15-28"]
    assert list(table.index) == list(WAPES)
    assert table.loc["xgboost"].tolist() == pytest.approx([0.30, 0.33, 0.36])


def test_folds_given_as_numbers_are_read_too():
    table = metrics()
    table["segment"] = table["segment"].map(lambda segment: int(segment) if segment.isdigit() else segment)
    assert list(bare_report(metrics=table).by_segment("wape", "fold").columns) == ["1", "2", "3"]


def test_an_unknown_dimension_has_no_segments():
    assert bare_report().by_segment("wape", "weather").empty
