"""The sentences follow the numbers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from salesml_assets.reporting import readings
from salesml_assets.reporting.data import Business, DataQuality, Decision

from .sample import WAPES, bare_report, full_report, metrics, timelines


@pytest.mark.parametrize(
    ("wapes", "words"),
    [
        ({"xgboost": 0.3, "seasonal_naive": 0.4}, "25.0% less than the seasonal naive"),
        ({"xgboost": 0.5, "seasonal_naive": 0.4}, "25.0% more than the seasonal naive"),
    ],
)
def test_the_comparison_goes_either_way(wapes, words):
    assert words in readings.compared(bare_report(metrics=metrics(wapes)))


@pytest.mark.parametrize(
    ("factor", "words"), [(1.5, "grows from 30.0%"), (0.5, "falls from 30.0%"), (1.001, "hardly depends")]
)
def test_the_horizon_goes_either_way(factor, words):
    table = metrics()
    far = (table["dimension"] == "horizon") & (table["segment"] == "15-28") & (table["algorithm"] == "xgboost")
    table.loc[far & (table["metric"] == "wape"), "value"] = 0.3 * factor
    assert words in readings.over_horizon(bare_report(metrics=table))


@pytest.mark.parametrize(
    ("bias", "words"), [(0.2, "20.0% too high"), (-0.2, "20.0% too low"), (0.001, "neither too high nor too low")]
)
def test_the_bias_is_named_by_its_side(bias, words):
    table = metrics()
    table.loc[table["metric"] == "bias", "value"] = bias
    assert words in readings.compared(bare_report(metrics=table))


@pytest.mark.parametrize(("factor", "words"), [(1.5, "50.0% more"), (0.5, "50.0% less"), (1.0, "about as much")])
def test_the_outlook_compares_with_as_many_steps_before(factor, words):
    lines = timelines()
    before = lines["total_actual"].tail(28)["y"].sum()
    future = lines["total_future"].assign(yhat=factor * before / 28)
    text = readings.outlook(full_report(total_future=future))
    assert words in text
    assert "the 28 days before" in text
    assert text.startswith("Until 28 Jul 2024, revenue of")


def test_the_total_error_is_the_mean_over_folds_of_summed_errors():
    lines = timelines()
    perfect = lines["total_backtest"].merge(lines["total_actual"], on="ds").assign(yhat=lambda frame: frame["y"])
    assert readings.total_error(full_report(total_backtest=perfect)) == 0
    off = perfect.assign(yhat=perfect["y"] * perfect["fold"].map({1: 0.9, 2: 1.1, 3: 1.4}))
    assert readings.total_error(full_report(total_backtest=off)) == pytest.approx((0.1 + 0.1 + 0.4) / 3)
    assert readings.total_error(bare_report()) is None


def test_an_error_above_the_baselines_is_no_reduction():
    worse = Business(accuracy=10.0, error_reduction=-12.0, error_value=100.0, saved=-20.0, sold=110.0, is_money=True)
    cards = {card.label: card for card in readings.headline_cards(full_report(business=worse))}
    assert cards["Error increase"].value == "12.0%"
    assert "20.0 more than the baseline" in cards["Value of the error, 28 days"].note


@pytest.mark.parametrize(
    ("decision", "note"),
    [
        (Decision(winner="xgboost", champion=None, promoted=True), "the first one"),
        (
            Decision(winner="xgboost", champion="random_forest", promoted=True, version=2),
            "version 2, replaces Random forest",
        ),
        (Decision(winner="xgboost", champion="xgboost", promoted=False, version=2), "version 2, unchanged"),
        (Decision(winner="seasonal_naive", champion=None, promoted=False), "no algorithm beat it"),
    ],
)
def test_the_model_card_says_how_it_came_there(decision, note):
    assert readings.headline_cards(bare_report(decision=decision))[0].note == note


def test_nothing_is_said_without_numbers():
    data = bare_report(metrics=metrics()[lambda table: table["metric"] == "rows"])
    for reading in (
        readings.compared,
        readings.over_horizon,
        readings.over_folds,
        readings.covered,
        readings.driven_by,
        readings.typical_error,
        readings.outlook,
        readings.total_error_text,
        readings.single_series,
        readings.data_quality,
    ):
        assert reading(data) is None


def test_past_forecasts_before_and_with_the_present_model():
    both = full_report()
    assert readings.came_true(both) == (
        "Version 3 missed by 45.7% of the volume. Version 4, in production now, missed by 31.2%."
    )
    before = full_report(realised=both.realised.head(1))
    assert "missed by 30.0% in its backtest and has no past yet" in readings.came_true(before)
    only = full_report(realised=both.realised.tail(1))
    assert readings.came_true(only) == "Version 4, in production now, missed by 31.2%."
    assert readings.came_true(bare_report()) is None


def steps_of(**changes):
    return " ".join(readings.next_steps(full_report(**changes)))


def test_what_to_do_next_follows_from_bounds():
    calm = full_report(checks=full_report().checks.assign(passed=True), realised=full_report().realised.head(0),
                       quality=DataQuality())  # fmt: skip
    assert readings.next_steps(calm) == ["Nothing stands out: the forecasts can be used as they are."]
    biased = replace(calm, metrics=metrics({**WAPES, "xgboost": 0.85}))  # the sample's bias is a tenth of WAPE less 3%
    assert readings.next_steps(biased)[0] == "Allow for forecasts that are 5.5% too high in total."
    assert "single forecasts miss by 85.0%" in " ".join(readings.next_steps(biased))
    narrow = replace(calm, coverage=calm.coverage.assign(coverage=0.7))
    assert readings.next_steps(narrow) == [
        "Plan with wider ranges than the 80% intervals: they held 70.0% of the actual values."
    ]
    dirty = replace(calm, quality=DataQuality(delivered=100, accepted=97, quarantined=3, reasons={"invalid_date": 3}))
    assert readings.next_steps(dirty) == [
        "Correct rows at their source: 3.0% were set aside, most often “invalid date”."
    ]


def test_failed_checks_come_first_and_are_not_all_listed():
    checks = pd.DataFrame(
        {
            "check": [f"forecasts: c{number}" for number in range(5)] + ["sales: freshness"],
            "passed": [False] * 6,
            "severity": ["ERROR"] * 5 + ["WARN"],
            "detail": "",
        }
    )
    first, second, *_ = readings.next_steps(full_report(checks=checks))
    assert first == (
        "Do not use the forecasts before these failed checks are understood: forecasts: c0, forecasts: c1, forecasts: "
        "c2 (+2)."
    )
    assert second == "Look at the warnings of these checks: sales: freshness."


def test_past_forecasts_far_worse_than_the_backtest_lead_to_the_drift_report():
    realised = full_report().realised.assign(wape=0.6)
    assert "past forecasts missed by 60.0%, the backtest promised 30.0%" in steps_of(realised=realised)


def test_bias_and_coverage_stand_at_the_head():
    cards = {card.label: card for card in readings.headline_cards(full_report())}
    assert cards["Bias"].value == "0.0%"
    assert cards["Inside the 80% interval"].value == "79.0%"
