"""Explanations as people read them."""

from __future__ import annotations

import pytest

from salesml_assets.forecasting.model.explain import explained
from salesml_assets.lake.store import LakeError
from salesml_assets.reporting.explained import effects, influence, shuffled, waterfall_text, waterfalls
from salesml_assets_tests.forecasting.explanations.small_table import rows_of, small_table
from salesml_assets_tests.forecasting.small_models import bundle


def test_a_waterfall_ends_at_the_forecast() -> None:
    (one,) = waterfalls(small_table())
    assert one.base + sum(size for _, size in one.parts) == pytest.approx(one.yhat)
    assert (one.unique_id, one.reason) == ("p6", "largest")
    sizes = [abs(size) for name, size in one.parts if name != "All others"]
    assert sizes == sorted(sizes, reverse=True)
    assert one.fit is not None


def test_groups_are_ordered_and_their_shares_are_a_whole() -> None:
    found = influence(small_table())
    assert found["share"].sum() == pytest.approx(1)
    assert found["amount"].is_monotonic_decreasing
    assert set(shuffled(small_table(), "xgboost")["group"]) == set(found["group"])


def test_effects_are_in_the_order_of_the_calendar() -> None:
    assert effects(small_table())["Weekday"]["at_label"].tolist()[:2] == ["Monday", "Tuesday"]


def test_a_forecast_as_text() -> None:
    found = explained(bundle(2), rows_of("future").filter(rows_of("future")["unique_id"] == "p6"))
    day = str(found.forecasts["ds"][2])
    text = waterfall_text(found, day).splitlines()
    assert text[0] == f"p6, {day} (xgboost, version 2)"
    assert text[-1].split() == ["Forecast", f"{found.forecasts['yhat'][2]:.1f}"]
    with pytest.raises(LakeError, match="no forecast for 2030-01-01: there are steps from"):
        waterfall_text(found, "2030-01-01")
