"""The promotion rule: who wins, who stays, and that the sentence says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.promotion import BASELINE, Decision, decide
from salesml_assets_tests.forecasting.predictions import metrics_of, simulated_losses

NAMES = [BASELINE, "moving_average", "random_forest", "xgboost"]
SETTINGS = Settings()


def decision(
    gains: list[float],
    champion: str | None,
    names: list[str] = NAMES,
    biases: dict[str, float] | None = None,
    seed: int = 1,
    settings: Settings = SETTINGS,
) -> Decision:
    losses = simulated_losses(np.random.default_rng(seed), names, gains)
    return decide(losses, metrics_of(losses, biases), champion, settings)


def test_a_clearly_better_challenger_replaces_the_champion() -> None:
    found = decision([0.0, 0.3, 0.35, 0.7], "moving_average")
    assert (found.winner, found.promoted, found.champion) == ("xgboost", True, "moving_average")
    assert "xgboost replaces moving average" in found.reason
    assert "beats the seasonal naive" in found.reason
    best = found.challengers[0]
    assert best.algorithm == "xgboost"
    assert best.difference_low > 0
    assert best.p_value <= best.p_value_adjusted <= 0.05
    assert found.confidence_level == 0.95
    assert found.days == 84


def test_the_first_model_has_to_beat_the_seasonal_naive() -> None:
    found = decision([0.0, 0.0, 0.5, 0.6], None)
    assert (found.winner, found.promoted) == ("xgboost", True)
    assert "first production model" in found.reason
    assert all(entry.beats_naive is not None for entry in found.challengers)


def test_if_nothing_beats_the_seasonal_naive_it_is_the_production_model() -> None:
    found = decision([0.0, -0.2, -0.3, 0.0], None)
    assert (found.winner, found.promoted) == (BASELINE, True)
    assert found.reason.startswith("seasonal naive becomes the production model")
    again = decision([0.0, -0.2, -0.3, 0.0], BASELINE)
    assert (again.winner, again.promoted) == (BASELINE, False)
    assert again.reason.startswith("seasonal naive stays in production")


def test_better_by_chance_is_not_enough() -> None:
    found = decision([-0.6, 0.0, 0.01, 0.02], "moving_average", seed=3)
    assert (found.winner, found.promoted) == ("moving_average", False)
    assert "but not beyond chance" in found.reason or "is no better" in found.reason


def shifted(by: dict[str, float]) -> pd.DataFrame:
    """Losses that differ by the same share on every day: significant however small."""
    losses = simulated_losses(np.random.default_rng(5), [BASELINE], [0.0])
    return losses.assign(**{name: losses[BASELINE] * (1 - gain) for name, gain in by.items()})


def test_significant_but_too_small_a_gain_is_not_enough() -> None:
    losses = shifted({"moving_average": 0.2, "xgboost": 0.2 + 0.8 * 0.004})
    found = decide(losses, metrics_of(losses), "moving_average", SETTINGS)
    assert not found.promoted
    assert found.challengers[0].p_value_adjusted < 0.05
    assert "0.4% better, less than the 0.5% that makes a change worthwhile" in found.reason
    generous = SETTINGS.model_copy(update={"promotion": SETTINGS.promotion.model_copy(update={"min_gain": 0.0})})
    assert decide(losses, metrics_of(losses), "moving_average", generous).winner == "xgboost"


def test_a_challenger_that_does_not_beat_the_naive_does_not_win() -> None:
    losses = shifted({"moving_average": -0.5})
    noise = np.random.default_rng(1).normal(0, 0.3, len(losses))
    losses["xgboost"] = losses[BASELINE] * (1 + noise - noise.mean() - 0.001)
    found = decide(losses, metrics_of(losses), "moving_average", SETTINGS)
    by_name = {entry.algorithm: entry for entry in found.challengers}
    assert by_name["xgboost"].beats_naive is False
    assert by_name["xgboost"].relative_gain > 0.2
    # A champion that is worse than the baseline gives way to it.
    assert (found.winner, by_name[BASELINE].beats_naive) == (BASELINE, None)


def test_a_biased_challenger_does_not_win_with_its_wape() -> None:
    losses = shifted({"xgboost": 0.4, "random_forest": 0.2})
    biases = {"xgboost": -0.45, "random_forest": 0.1}
    both = decide(losses, metrics_of(losses, biases), None, SETTINGS)
    assert both.winner == "random_forest"
    assert "; xgboost has a lower WAPE (0." in both.reason
    allowed = f"{SETTINGS.training.max_bias:.0%}"
    assert both.reason.endswith(f"its total is off by -45%, more than the {allowed} that is allowed.")
    alone = losses.drop(columns="random_forest")
    found = decide(alone, metrics_of(alone, biases), None, SETTINGS)
    assert found.winner == BASELINE
    assert f"its total is off by -45%, more than the {allowed} that is allowed" in found.reason


def test_a_champion_that_stays_may_have_two_challengers_worth_a_word() -> None:
    losses = shifted({"xgboost": 0.4, "random_forest": -0.1})
    found = decide(losses, metrics_of(losses, {"xgboost": -0.45}), BASELINE, SETTINGS)
    assert found.winner == BASELINE
    assert "the closest challenger, random forest, is no better" in found.reason
    assert "; xgboost has a lower WAPE" in found.reason


def test_where_all_are_biased_the_least_biased_may_win() -> None:
    losses = shifted({"xgboost": 0.4, "random_forest": 0.2})
    biases = {BASELINE: 0.5, "xgboost": 0.4, "random_forest": 0.3}
    assert decide(losses, metrics_of(losses, biases), None, SETTINGS).winner == "random_forest"


def test_without_challengers_the_baseline_serves() -> None:
    losses = shifted({})
    found = decide(losses, metrics_of(losses), None, SETTINGS)
    assert (found.winner, found.promoted, found.challengers) == (BASELINE, True, [])
    assert found.reason.endswith("there is no challenger.")


@pytest.mark.parametrize(("missing", "champion"), [(BASELINE, "xgboost"), ("xgboost", "xgboost")])
def test_baseline_and_champion_have_to_take_part(missing: str, champion: str) -> None:
    losses = shifted({"xgboost": 0.4, "random_forest": 0.2}).drop(columns=missing)
    with pytest.raises(ValueError, match=missing):
        decide(losses, metrics_of(losses), champion, SETTINGS)


gains = st.lists(st.floats(-0.5, 0.7), min_size=4, max_size=4)


@hypothesis_settings(max_examples=15, deadline=None)
@given(gains=gains, order=st.permutations(NAMES), champion=st.sampled_from([None, *NAMES]), seed=st.integers(0, 99))
def test_the_order_of_algorithms_and_rows_does_not_matter(
    gains: list[float], order: list[str], champion: str | None, seed: int
) -> None:
    losses = simulated_losses(np.random.default_rng(seed), NAMES, gains, horizon=14)
    turned = losses[["ds", "volume", *order, "fold"]].sample(frac=1, random_state=seed)
    metrics = metrics_of(losses)
    assert decide(losses, metrics, champion, SETTINGS) == decide(turned, metrics.iloc[::-1], champion, SETTINGS)


@hypothesis_settings(max_examples=15, deadline=None)
@given(
    gains=gains, champion=st.sampled_from(NAMES), seed=st.integers(0, 99), name=st.sampled_from(["a_copy", "z_copy"])
)
def test_an_identical_copy_of_the_champion_is_never_promoted(
    gains: list[float], champion: str, seed: int, name: str
) -> None:
    losses = simulated_losses(np.random.default_rng(seed), NAMES, gains, horizon=14)
    losses[name] = losses[champion]
    generous = SETTINGS.model_copy(update={"promotion": SETTINGS.promotion.model_copy(update={"min_gain": 0.0})})
    found = decide(losses, metrics_of(losses), champion, generous)
    assert found.winner != name
    copy = next(entry for entry in found.challengers if entry.algorithm == name)
    assert (copy.difference, copy.p_value) == (0.0, 1.0)


@hypothesis_settings(max_examples=10, deadline=None)
@given(gains=gains, champion=st.sampled_from([None, *NAMES]), seed=st.integers(0, 99))
def test_whoever_wins_has_earned_it(gains: list[float], champion: str | None, seed: int) -> None:
    losses = simulated_losses(np.random.default_rng(seed), NAMES, gains, horizon=14)
    found = decide(losses, metrics_of(losses), champion, SETTINGS)
    if found.winner == (champion or BASELINE):
        assert found.promoted is (champion is None)
        return
    entry = next(entry for entry in found.challengers if entry.algorithm == found.winner)
    assert found.promoted
    assert entry.p_value_adjusted <= 0.05
    assert entry.relative_gain >= SETTINGS.promotion.min_gain
    assert entry.beats_naive is not False
    assert Decision.model_validate_json(found.model_dump_json()) == found


def test_equally_good_challengers_are_rarely_promoted() -> None:
    """Three challengers as good as the champion: at most about 5 % of decisions change anything."""
    rng = np.random.default_rng(2)
    promoted = 0
    for _ in range(100):
        losses = simulated_losses(rng, NAMES, [-1.0, 0.0, 0.0, 0.0])
        promoted += decide(losses, metrics_of(losses), "moving_average", SETTINGS).promoted
    assert promoted <= 9  # 5 % and two standard errors


def test_settings_reach_the_test(settings_for: Callable[..., Any]) -> None:
    weekly = settings_for(forecast={"frequency": "W"}, promotion={"alpha": 0.1})
    found = decision([0.0, 0.3, 0.35, 0.7], "moving_average", settings=weekly)
    assert found.confidence_level == 0.9


def test_the_reason_names_the_metric_that_decided() -> None:
    by_cost = Settings(promotion={"metric": "cost"}, orders={"cost_under": 3.0, "cost_over": 1.0})
    found = decision([0.0, 0.3, 0.35, 0.7], "moving_average", settings=by_cost)
    assert found.metric == "cost"
    assert "its cost per unit sold of" in found.reason
    errors = [entry.error for entry in found.challengers]
    assert errors == sorted(errors)
