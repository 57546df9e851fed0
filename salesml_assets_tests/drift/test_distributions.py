"""Distances against scipy, on weeks large enough to know them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from salesml_assets.drift.features import bins, feature_measures, wasserstein, weekly_quantiles
from salesml_assets.drift.forecasts import forecast_measures
from salesml_assets.drift.inputs import series_weeks
from salesml_assets.drift.measures import Measure
from salesml_assets.drift.mix import largest, mix_measures, stability
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, comparison
from salesml_assets_tests.drift import panels

ONE = DriftParameters(window=1, baseline=1, min_history=4)


def at(weeks: int, parameters: DriftParameters = ONE) -> Comparison:
    return comparison(weeks, weeks - 2, parameters)


def by_name(measures: list[Measure]) -> dict[tuple[str, str], Measure]:
    return {(measure.test, measure.subject): measure for measure in measures}


def test_stability_is_the_sum_of_both_divergences() -> None:
    rng = np.random.default_rng(0)
    sums = rng.uniform(10, 20, (6, 8))
    p, q = sums[:, 7] / sums[:, 7].sum(), sums[:, 6] / sums[:, 6].sum()
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert stability(sums, at(8))[-1] == pytest.approx(expected)


def test_equal_shares_are_stable_whatever_the_volume() -> None:
    sums = np.array([[1.0], [2.0], [0.0]]) * np.array([[1.0, 7.0, 3.0, 0.5]])
    np.testing.assert_allclose(stability(sums, at(4))[1:], 0.0, atol=1e-12)


def test_a_share_that_repeats_every_year_is_stable() -> None:
    weeks = np.arange(200)
    sums = np.stack([2 + np.sin(2 * np.pi * weeks / 52), np.full(200, 2.0)])
    parameters = DriftParameters()
    index = stability(sums, comparison(200, 197, parameters))
    assert index[-1] < 1e-9 < np.nanmax(stability(sums[:, -50:], comparison(50, 47, parameters)))


def test_the_smaller_groups_are_put_together() -> None:
    sums = np.array([[1.0, 1], [9, 9], [2, 2], [5, 5]])
    assert largest(sums, 2, at(2)).tolist() == [[9, 9], [5, 5], [3, 3]]


def test_wasserstein_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    earlier, recent = rng.gamma(2, 1, 200_000), rng.gamma(3, 1.2, 200_000)
    values = np.concatenate([earlier, earlier, recent])
    quantiles = weekly_quantiles(values, np.repeat([0, 1, 2], 200_000), 3)
    spread = np.abs(earlier - np.median(earlier)).mean()
    found = wasserstein(quantiles, at(3))
    assert found[-1] == pytest.approx(stats.wasserstein_distance(recent, earlier) / spread, rel=0.02)
    assert found[1] == 0


def test_wasserstein_has_no_unit() -> None:
    quantiles = np.sort(np.random.default_rng(2).normal(0, 1, (100, 5)), axis=0)
    np.testing.assert_allclose(wasserstein(quantiles, at(5)), wasserstein(1000 * quantiles, at(5)))


def test_frequent_values_have_bins_of_their_own_and_missing_ones_too() -> None:
    values = np.concatenate([np.full(50, 12.0), np.full(40, 24.0), np.linspace(0, 30, 61)[1:-1:2], [np.nan]])
    groups = bins(values, values)
    assert len({groups[0], groups[60], groups[-1]}) == 3
    others = groups[90:-1]
    linear = values[90:-1]
    assert set(others[(linear != 12) & (linear != 24)]).isdisjoint({groups[0], groups[60], groups[-1]})


@pytest.mark.parametrize("name", ["size", "channel"])
def test_a_feature_that_changes_stands_out(name: str) -> None:
    sample = panels.features()
    weeks = pd.date_range(panels.FIRST, panels.week(panels.WEEKS - 1), freq="7D")
    parameters = DriftParameters()
    changed = sample.copy()
    late = changed["week"] >= panels.week(panels.WEEKS - 2)
    if name == "size":
        changed.loc[late, "size"] *= 1.5
    else:
        changed.loc[late & (changed["channel"] == "phone"), "channel"] = "app"
    compared = comparison(panels.WEEKS, panels.WEEKS - 3, parameters)
    before = by_name(list(feature_measures(sample, weeks, compared, parameters)))
    after = by_name(list(feature_measures(changed, weeks, compared, parameters)))
    assert ("wasserstein", "channel") not in before
    for key, measure in after.items():
        usual = np.nanmax(before[key].values[:-1])
        assert (measure.values[-1] > 2 * usual) == (key[1] == name), key
        assert before[key].values[-1] <= 2 * usual


def test_predictions_are_compared_by_ks_2samp_itself() -> None:
    weekly = panels.weekly_sales()
    predictions = panels.weekly_predictions(weekly)
    weeks = pd.date_range(panels.FIRST, panels.week(panels.WEEKS - 1), freq="7D")
    parameters = DriftParameters()
    compared = comparison(panels.WEEKS, panels.WEEKS - 3, parameters)
    measures = by_name(list(forecast_measures(predictions, weeks, compared, parameters)))
    number = ((predictions["week"] - panels.FIRST).dt.days // 7).to_numpy()
    last = panels.WEEKS - 1
    recent = predictions["yhat"][number > last - 2]
    earlier = predictions["yhat"][(number > last - 10) & (number <= last - 2)]
    expected = stats.ks_2samp(recent, earlier, method="asymp")
    measure = measures["ks_2samp", "predictions"]
    assert measure.values[-1] == expected.statistic
    assert measure.plain_p == expected.pvalue
    wape = measures["wape", "forecasts"].values[-1]
    chosen = predictions[number > last - 2]
    assert wape == pytest.approx(chosen["error"].sum() / chosen["y"].sum())
    bias = measures["bias", "forecasts"].values[-1]
    assert bias == pytest.approx(np.log(chosen["y"].sum() / chosen["yhat"].sum()))


def test_weeks_without_forecasts_are_left_out() -> None:
    predictions = panels.weekly_predictions(panels.weekly_sales())
    kept = predictions[(predictions["week"] < panels.week(8)) | (predictions["week"] >= panels.week(12))]
    weeks = pd.date_range(panels.FIRST, panels.week(panels.WEEKS - 1), freq="7D")
    parameters = DriftParameters()
    compared = comparison(panels.WEEKS, panels.WEEKS - 3, parameters)
    values = by_name(list(forecast_measures(kept, weeks, compared, parameters)))["wape", "forecasts"].values
    assert np.flatnonzero(np.isnan(values)).tolist() == [0, 8, 9, 10, 11, 12]


def test_a_categorys_odds_are_taken_against_the_rest() -> None:
    weekly = panels.weekly_sales()
    series = series_weeks(panels.inputs(weekly))
    compared = comparison(panels.WEEKS, panels.WEEKS - 3, DriftParameters())
    measure = by_name(list(mix_measures(series, compared, DriftParameters())))["share", "c1"]
    sums = weekly.assign(own=weekly["category"] == "c1").pivot_table("y", "week", "own", aggfunc="sum")
    odds = [np.log(part[True].sum() / part[False].sum()) for part in (sums[-2:], sums[-10:-2])]
    assert measure.values[-1] == pytest.approx(odds[0] - odds[1])
