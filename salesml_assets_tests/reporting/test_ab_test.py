"""The section of an A/B test in the report."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from salesml_assets.forecasting.sequential import confidence_sequence
from salesml_assets.reporting.data import ABTest, ReportData
from salesml_assets.reporting.figures import pictures
from salesml_assets.reporting.figures.ab_test import confidence_sequence as draw
from salesml_assets.reporting.html import render_report
from salesml_assets.reporting.tables import ab_test_table
from salesml_assets_tests.reporting.sample import full_report


def looks(days: int) -> pd.DataFrame:
    """The confidence sequence of a challenger that is some 6 % better, bounds null before four weeks."""
    random = np.random.default_rng(4)
    volume = random.gamma(50, 200, days)
    losses = pl.DataFrame(
        {
            "ds": [dt.date(2024, 1, 1) + dt.timedelta(day) for day in range(days)],
            "champion": 0.50 * volume * random.normal(1, 0.05, days),
            "challenger": 0.47 * volume * random.normal(1, 0.05, days),
            "volume": volume,
        }
    )
    found = confidence_sequence(losses).select("ds", "difference", "low", "high", "wape").to_pandas()
    return found.replace([np.inf, -np.inf], np.nan)


def test_of(days: int) -> ABTest:
    values: dict[str, Any] = dict.fromkeys(ABTest.__annotations__)
    values |= {
        "test": 3, "outcome": "running", "reason": "not yet known whether <b>.", "sentences": {}, "margin": 0.02,
        "looks": looks(days),
        "champion": "xgboost", "champion_wape": 0.5, "champion_requests": 9_000, "champion_failed": 2,
        "champion_p50_ms": 2.04, "champion_p99_ms": 9.5, "champion_served_wape": 0.43,
        "challenger": "random_forest", "challenger_wape": 0.47,
    }  # fmt: skip
    return values  # type: ignore[return-value]


test_of.__test__ = False  # type: ignore[attr-defined]


def with_test(days: int) -> ReportData:
    return full_report(ab_test=test_of(days))


def test_the_report_shows_the_test_and_both_arms() -> None:
    data = with_test(60)
    page = render_report(data, pictures(data))
    assert "A/B test 3: running" in page
    assert "not yet known whether &lt;b&gt;." in page
    found = ab_test_table(data)
    assert found is not None
    assert found.rows == [
        ["Champion: XGBoost", "50.00%", "9,000", "2", "2.0", "9.5", "43.0%"],
        ["Challenger: Random forest", "47.00%", "–", "–", "–", "–", "–"],
    ]
    assert "A/B test 3" not in render_report(full_report(), pictures(full_report()))


def test_the_figure_shows_the_sequence_as_far_as_there_is_one() -> None:
    assert draw(looks(1), 0.02) is None
    early, late = draw(looks(20), 0.02), draw(looks(60), 0.02)
    assert early is not None
    assert late is not None
    labels = [
        [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]
        for figure in (early, late)
    ]
    assert "Confidence sequence" not in labels[0]
    assert "Confidence sequence" in labels[1]
    low, high = late.axes[0].get_ylim()
    last = looks(60).iloc[-1]
    assert low < 0 < last["low"] < last["high"] < high
