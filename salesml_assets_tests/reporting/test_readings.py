"""The sentences follow the numbers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from salesml_assets.reporting import readings, tables
from salesml_assets.reporting.data import Business, DataQuality, Decision

from .sample import WAPES, bare_report, full_report, metrics, orders, timelines


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


def own_wape(table):
    """The rows of the overall total's WAPE."""
    return (table["dimension"] == "level") & (table["segment"] == "total") & (table["metric"] == "wape")


@pytest.mark.parametrize(("bias", "words"), [(-0.2, "20.0% below what was sold"), (0.25, "25.0% above"), (0.01, "")])
def test_totals_cancel_errors_but_not_bias(bias, words):
    table = metrics()
    own = (table["dimension"] == "level") & (table["metric"] == "bias") & (table["segment"] == "total")
    table.loc[own, "value"] = bias
    text = readings.added_up(bare_report(metrics=table))
    assert "off by 30.0% of them in a day" in text
    assert words in text
    assert ("one-sided" in text) == bool(words)
    assert "cancel out" not in text  # totals are no better here
    assert "reconciled" not in text
    better = table.assign(value=table["value"].where(~(own_wape(table)), 0.1))
    assert "Errors of single series partly cancel out." in readings.added_up(bare_report(metrics=better))
    reconciled = table.assign(segment=table["segment"].where(table["dimension"] != "level", "series"))
    both = pd.concat([table, reconciled]).drop_duplicates(["algorithm", "dimension", "segment", "metric"])
    assert "reconciled with those of the totals" in readings.added_up(bare_report(metrics=both))
    without = table[table["dimension"] != "level"]
    assert readings.added_up(bare_report(metrics=without)) is None


def test_what_the_errors_cost_names_the_assumption() -> None:
    data = full_report()
    assert readings.worth(data) == (
        "In 28 days the errors of XGBoost cost 30,000, 10,000 less than those of seasonal naive and 4,000 less "
        "than those of the model before. Assumed: each unit too few or too many costs its full price; what it costs in "
        "truth is set by orders.cost_under and orders.cost_over."
    )
    business = data.business | {"cost_under": 0.6, "cost_over": 0.25, "is_money": True}
    known = replace(data, business=business, has_costs=True)  # type: ignore[arg-type]
    assert str(readings.worth(known)).endswith(
        "Assumed: a unit too few costs 60% of its price, a unit too many 25% of its price."
    )
    units = replace(known, business=business | {"is_money": False})  # type: ignore[arg-type]
    assert str(readings.worth(units)).endswith("Assumed: a unit too few costs 0.600, a unit too many 0.250.")
    assert [card.value for card in readings.headline_cards(known)][-1] == "30,000"
    assert readings.worth(bare_report()) is None


def test_the_replay_compares_stock_at_the_same_availability() -> None:
    assert readings.replayed(full_report()) == (
        "Ordered every 7 days, delivered 1 day later, and with safety for 95% of the orders, XGBoost would have served "
        "95.0% of the demand with stock for 9.5 days. For the same availability seasonal naive needs stock for "
        "19.0 days, 100% more."
    )
    assert readings.replayed(bare_report()) is None
    # What was never reached is not guessed.
    assert readings.cover_for(orders().query("algorithm == 'xgboost'"), 0.99) is None


def test_coverage_of_the_order_stands_beside_the_intervals() -> None:
    rows = pd.DataFrame([("total", "all", 0.8, 0.79), ("total", "all", None, 0.76)],
                        columns=["dimension", "segment", "level", "coverage"])  # fmt: skip
    data = bare_report(coverage=rows, service_level=0.75)
    assert readings.covered(data) == (
        "Of 100 actual values in the backtests, 79 inside the 80% interval and 76 at or below the quantity to order, "
        "which should suffice at least 75 times."
    )
    table = tables.coverage_table(data)
    assert table is not None
    assert (table.header, table.rows) == (["Part", "80% interval", "Order for 75%"], [["All", "79.0%", "76.0%"]])


def test_costs_stand_by_category_and_against_baseline_and_the_model_before() -> None:
    table = tables.costs_table(full_report())
    assert table is not None
    assert table.header == ["Category", "XGBoost", "Seasonal naive", "Linear regression", "Against seasonal naive"]
    assert table.rows[0] == ["All", "30,000", "40,000", "34,000", "−25%"]
    assert [row[0] for row in table.rows] == ["All", "coffee", "tea"]
    replay = tables.orders_table(full_report())
    assert replay is not None
    assert replay.rows[replay.highlighted or 0] == ["95%", "95.0%", "9.5", "95.0%", "19.0"]


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
