"""The whole evaluation: what it finds, what it leaves alone, and its symmetries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from salesml_assets.drift.evaluate import COLUMNS, evaluate, summaries
from salesml_assets.drift.parameters import KINDS, DriftParameters
from salesml_assets_tests.drift.panels import WEEKS, inputs, late, third, trading_days, week, weekly_sales


def found(table: pd.DataFrame) -> set[tuple[str, str, str]]:
    return {(row.kind, row.test, row.subject) for row in table[table["drifted"]].itertuples()}  # type: ignore[misc]


def test_the_table_has_all_kinds_and_one_decision() -> None:
    table = evaluate(inputs(weekly_sales(), extra=True))
    assert tuple(table.columns) == COLUMNS
    assert list(dict.fromkeys(table["kind"])) == list(KINDS)
    assert not table[["kind", "test", "subject"]].duplicated().any()
    expected = stats.false_discovery_control(table["p_value"], method="bh")
    np.testing.assert_allclose(table["p_adjusted"], expected)
    assert table["detail"].str.endswith(".").all()
    assert not table.isna().any().any()


def test_quiet_weeks_and_shocks_to_all_are_left_alone() -> None:
    alarms = 0
    for seed in range(20):
        weekly = weekly_sales(seed)
        # The recent weeks are 15 % up everywhere; weeks like these have been before.
        shocked = weekly.assign(y=weekly["y"] * np.where(late(weekly), 1.15, 1.0))
        alarms += bool(found(evaluate(inputs(weekly, extra=True, seed=seed))))
        alarms += bool(found(evaluate(inputs(shocked, seed=seed))))
    assert alarms <= 2


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_shift_of_a_third_of_the_series_is_found_and_named(factor: float) -> None:
    weekly = weekly_sales()
    hit = late(weekly) & third(weekly)
    shifted = weekly.assign(
        y=weekly["y"].where(~hit, factor * weekly["y"]),
        log_quantity=weekly["log_quantity"] + np.where(hit, np.log(factor), 0.0) * weekly["rows"],
    )
    tests = found(evaluate(inputs(shifted)))
    assert ("target", "spread", "target") in tests
    assert ("input", "spread", "quantity_per_row") in tests
    assert not {test for test in tests if test[2] in ("price", "rows")}


def test_prices_are_told_from_quantities() -> None:
    weekly = weekly_sales()
    hit = late(weekly) & third(weekly)
    dearer = weekly.assign(
        y=weekly["y"].where(~hit, 1.3 * weekly["y"]),
        log_price=weekly["log_price"] + np.where(hit, np.log(1.3), 0.0) * weekly["rows"],
    )
    tests = found(evaluate(inputs(dearer)))
    assert {("input", "spread", "price"), ("input", "moved", "price")} <= tests
    assert not {test for test in tests if test[2] in ("quantity_per_row", "rows")}


def test_silence_counts_whether_zeros_or_nothing_is_delivered() -> None:
    weekly = weekly_sales()
    hit = late(weekly, last=1) & third(weekly)
    zeros = weekly.assign(**{name: weekly[name].where(~hit, 0) for name in ("y", "rows", "log_price", "log_quantity")})
    stopped = weekly[~hit]
    tables = [evaluate(inputs(frame)) for frame in (zeros, stopped)]
    pd.testing.assert_frame_equal(*tables)
    assert ("series", "silent", "series") in found(tables[0])


def test_new_series_in_a_new_category_are_found() -> None:
    weekly = weekly_sales()
    copies = weekly[late(weekly) & third(weekly)]
    new = copies.assign(unique_id="n" + copies["unique_id"], category="new")
    tests = found(evaluate(inputs(pd.concat([weekly, new]))))
    assert {
        ("series", "new_series", "series"),
        ("series", "new_volume", "series"),
        ("mix", "psi", "categories"),
    } <= tests


def test_a_feed_that_stops_altogether_is_found() -> None:
    weekly = weekly_sales()
    stopped = dataclasses.replace(inputs(weekly[~late(weekly, last=1)]), days=trading_days(WEEKS - 1))
    assert found(evaluate(stopped)) == {("series", "missing_days", "feed")}


@pytest.mark.parametrize("last_year", [0, 1])
def test_a_holiday_is_expected_when_it_closed_the_business_last_year(last_year: int) -> None:
    weeks = 64
    closed = {weeks - 1, weeks - 1 - 52 - 1} if last_year else {weeks - 1}
    days = trading_days(weeks)
    days = days[~days["week"].isin([week(number) for number in closed])]
    weekly = weekly_sales(weeks=weeks)
    frames = dataclasses.replace(inputs(weekly[weekly["week"].isin(days["week"])], weeks=weeks), days=days)
    assert (("series", "missing_days", "feed") in found(evaluate(frames))) == (not last_year)


def test_too_short_a_history_says_so_and_passes() -> None:
    weekly = weekly_sales(weeks=14)
    table = evaluate(inputs(weekly, weeks=14))
    assert not table["drifted"].any()
    assert table["detail"].str.contains("too few").all()


def test_small_effects_are_none_however_sure() -> None:
    weekly = weekly_sales()
    hit = late(weekly) & third(weekly)
    dearer = weekly.assign(log_price=weekly["log_price"] + np.where(hit, np.log(1.3), 0.0) * weekly["rows"])
    parameters = DriftParameters(min_spread=0.5, min_moved=0.9)
    assert found(evaluate(inputs(dearer))) > found(evaluate(inputs(dearer), parameters)) == set()


def test_neither_unit_nor_order_nor_names_matter() -> None:
    weekly = weekly_sales(3)
    table = evaluate(inputs(weekly))
    other = weekly.sample(frac=1, random_state=1).assign(y=lambda frame: 1000 * frame["y"])
    other["unique_id"] = "x" + other["unique_id"].str[::-1]
    again = evaluate(inputs(other))
    pd.testing.assert_frame_equal(table.drop(columns="detail"), again.drop(columns="detail"), rtol=1e-6, atol=1e-9)


def test_weeks_after_the_judged_one_do_not_matter() -> None:
    weekly = weekly_sales(4)
    table = evaluate(inputs(weekly[weekly["week"] < week(WEEKS - 5)], weeks=WEEKS - 5))
    pd.testing.assert_frame_equal(table, evaluate(inputs(weekly, weeks=WEEKS - 5)))


def test_summaries_agree_with_the_table() -> None:
    weekly = weekly_sales()
    hit = late(weekly) & third(weekly)
    table = evaluate(inputs(weekly[~hit], extra=True))
    kinds = {summary.kind: summary for summary in summaries(table)}
    assert set(kinds) == set(KINDS)
    for kind, tests in table.groupby("kind"):
        summary = kinds[str(kind)]
        assert summary.passed == (not tests["drifted"].any())
        assert summary.sentence.startswith(f"{kind}: {'none' if summary.passed else int(tests['drifted'].sum())} of")
    assert not kinds["series"].passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained_until": week(WEEKS)}, "trained"),
        ({"trained_until": week(-1)}, "trained"),
        ({"judged": week(-1)}, "no sales"),
        ({"judged": week(WEEKS - 1) + pd.Timedelta(1, "D")}, "whole weeks"),
    ],
)
def test_frames_that_do_not_fit_are_an_error(change: dict[str, pd.Timestamp], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(dataclasses.replace(inputs(weekly_sales()), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"alpha": 0.0}, {"window": 0}, {"min_history": 3}])
def test_parameters_that_cannot_work_are_an_error(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="alpha"):
        DriftParameters(**change)  # type: ignore[arg-type]
