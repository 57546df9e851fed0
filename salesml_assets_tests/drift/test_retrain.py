"""When a drift starts a retrain: by cases, and by replaying histories week by week."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.drift.retrain import Evaluation, Retrain, RetrainRules, drift_began, should_retrain

START = dt.datetime(2024, 1, 1, 6)
RULES = RetrainRules(cool_down=dt.timedelta(21), calm=2, attempts=2)
HOURS = dt.timedelta(hours=3)


def at(week: float) -> dt.datetime:
    return START + dt.timedelta(7 * week)


def history(pattern: str) -> list[Evaluation]:
    """`x` is drift, `.` is none, one each week."""
    return [Evaluation(at(number), mark == "x") for number, mark in enumerate(pattern)]


def retrain(week: float, **outcome: bool) -> Retrain:
    return Retrain(at(week), at(week) + HOURS, **outcome)


@pytest.mark.parametrize(
    ("pattern", "began"),
    [("", None), ("..", None), (".x", 1), ("xx.", 0), ("x.x", 0), ("x..", None), ("x..x", 3), ("x.x.x.", 0)],
)
def test_a_drift_lasts_until_it_has_been_calm_for_long_enough(pattern: str, began: int | None) -> None:
    assert drift_began(history(pattern), calm=2) == (None if began is None else at(began))


@pytest.mark.parametrize(
    ("pattern", "retrains", "starts", "reason"),
    [
        ("", [], False, "no drift"),
        ("..", [], False, "no drift"),
        ("x.", [], False, "no drift"),
        (".x", [], True, "which no retrain has answered"),
        (".x", [Retrain(at(1))], False, "runs"),
        (".x", [retrain(0.5, new_model=True)], True, "which no retrain has answered"),
        (".x", [retrain(1.1, new_model=True)], False, "not been evaluated"),
        (".xx", [retrain(1.1, new_model=True)], False, "cool-down"),
        (".xxxxx", [retrain(1.1, new_model=True)], True, "goes on"),
        (".xxxxxxxx", [retrain(1.1)], False, "no better model"),
        (".x..x", [retrain(1.1)], True, "which no retrain has answered"),
        (".xx", [retrain(1.1, failed=True)], False, "cool-down"),
        (".xxxxx", [retrain(1.1, failed=True)], True, "failed"),
        (".xxxxxxxxxx", [retrain(1.1, failed=True), retrain(5.1, failed=True)], False, "no more"),
        (".xxxxxxxxxx", [retrain(1.1, failed=True), retrain(5.1, new_model=True)], True, "goes on"),
    ],
)
def test_cases(pattern: str, retrains: list[Retrain], starts: bool, reason: str) -> None:
    decision = should_retrain(history(pattern), retrains, at(max(len(pattern) - 1, 0)) + HOURS, RULES)
    if len(retrains) and retrains[0].started > at(len(pattern) - 1):
        decision = should_retrain(history(pattern), retrains, at(len(pattern) - 0.5), RULES)
    assert (decision.start, decision.key is not None) == (starts, starts)
    assert reason in decision.reason


def test_an_evaluation_in_the_future_is_an_error() -> None:
    with pytest.raises(ValueError, match="after"):
        should_retrain(history("x"), [], at(-1))


def replay(pattern: str, outcomes: list[str], looks: int = 3) -> list[tuple[int, str]]:
    """Asks `looks` times a week, as a daemon does that may be restarted in between; gives week and key of each run."""
    retrains: list[Retrain] = []
    started: list[tuple[int, str]] = []
    for week in range(len(pattern)):
        for look in range(looks):
            now = at(week + look / looks)
            decision = should_retrain(history(pattern[: week + 1]), retrains, now, RULES)
            if decision.start:
                assert decision.key is not None
                outcome = outcomes[len(started) % len(outcomes)]
                started.append((week, decision.key))
                retrains.append(Retrain(now, now + HOURS, failed=outcome == "failed", new_model=outcome == "new model"))
    return started


def test_one_drift_is_one_retrain() -> None:
    assert [week for week, _ in replay("...xx.......x..", ["new model"])] == [3, 12]


def test_a_drift_that_outlives_its_new_model_starts_another_after_the_cool_down() -> None:
    assert [week for week, _ in replay("xxxxxxxxx", ["new model"])] == [0, 3, 6]


def test_failures_are_not_repeated_for_ever() -> None:
    assert [week for week, _ in replay("x" * 40, ["failed"])] == [0, 3]


@given(st.text("x.", max_size=40), st.lists(st.sampled_from(["new model", "kept", "failed"]), min_size=1, max_size=5))
def test_every_replay_keeps_the_rules(pattern: str, outcomes: list[str]) -> None:
    started = replay(pattern, outcomes)
    keys = [key for _, key in started]
    assert len(set(keys)) == len(keys)
    assert started == replay(pattern, outcomes, looks=3)
    assert all(pattern[week] == "x" for week, _ in started)
    began = [drift_began(history(pattern[: week + 1]), RULES.calm) for week, _ in started]
    for (first, _), (second, _), before, after in zip(started, started[1:], began, began[1:], strict=False):
        assert before != after or at(second) - at(first) >= RULES.cool_down
    # The first week of every drift starts one.
    seen = {drift_began(history(pattern[: week + 1]), RULES.calm) for week in range(len(pattern))}
    assert seen - {None} == set(began)
