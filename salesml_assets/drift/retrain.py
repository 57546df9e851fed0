"""Should a drift start a retrain now? One drift, one retrain; nothing is repeated for ever."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """A past evaluation: when it was made, and whether it found drift."""

    at: dt.datetime
    drifted: bool


@dataclass(frozen=True)
class Retrain:
    """A past or running retrain, whatever started it.

    Attributes:
        started: When it started.
        ended: When it ended; None while it runs or waits.
        failed: Whether it ended without success.
        new_model: Whether it put a new model into production.
    """

    started: dt.datetime
    ended: dt.datetime | None = None
    failed: bool = False
    new_model: bool = False


@dataclass(frozen=True)
class RetrainRules:
    """When a retrain may follow another one.

    Attributes:
        cool_down: Least time after a retrain's end before the same drift may start another one.
        calm: Evaluations without drift, one after the other, that end a drift.
        attempts: How often the same drift may start a retrain that fails.
    """

    cool_down: dt.timedelta = dt.timedelta(28)
    calm: int = 2
    attempts: int = 2


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to start, why, and under which key.

    `key` names the drift (by its first evaluation) and the number of its retrains so far: asked again with the same
    history, after a restart, say, it is the same, so that a run key made of it starts one run only.
    """

    start: bool
    reason: str
    key: str | None = None


def drift_began(evaluations: Sequence[Evaluation], calm: int) -> dt.datetime | None:
    """When the present drift was first seen; None if there is none or it has ended.

    A drift ends after `calm` evaluations without one, so that a value that swings around its bound is one drift.
    """
    began, quiet = None, 0
    for evaluation in sorted(evaluations, key=lambda evaluation: evaluation.at):
        quiet = 0 if evaluation.drifted else quiet + 1
        if evaluation.drifted and began is None:
            began = evaluation.at
        if quiet >= calm:
            began = None
    return began


def should_retrain(
    evaluations: Sequence[Evaluation],
    retrains: Sequence[Retrain],
    now: dt.datetime,
    rules: RetrainRules | None = None,
) -> RetrainDecision:
    """Decides whether a retrain should start.

    It starts when the last evaluation found drift and no retrain of this drift prevents it: none runs; after one that
    succeeded, the drift has to be measured again, on a new model, when the cool-down is over; after one that
    failed, another attempt waits for the cool-down, up to `attempts`.

    Args:
        evaluations: All evaluations so far, in any order.
        retrains: All retrains so far, in any order.
        now: The present.
        rules: Cool-down, calm and attempts.

    Raises:
        ValueError: An evaluation is in the future.
    """
    rules = rules or RetrainRules()
    if any(evaluation.at > now for evaluation in evaluations):
        raise ValueError(f"evaluations: at least one was made after {now}")
    if any(retrain.ended is None for retrain in retrains):
        return RetrainDecision(False, "a retrain runs")
    last = max(evaluations, key=lambda evaluation: evaluation.at, default=None)
    began = drift_began(evaluations, rules.calm)
    if last is None or began is None or not last.drifted:
        return RetrainDecision(False, "the last evaluation found no drift")
    since = f"the drift seen first on {began:%Y-%m-%d}"
    own = sorted((retrain for retrain in retrains if retrain.started >= began), key=lambda retrain: retrain.started)
    key = f"drift-{began:%Y%m%dT%H%M%S}-{len(own)}"
    if not own:
        return RetrainDecision(True, f"{since}, which no retrain has answered before", key)
    ended = own[-1].ended or now
    if own[-1].failed and sum(retrain.failed for retrain in own) >= rules.attempts:
        return RetrainDecision(False, f"{since}: retrains failed {rules.attempts} times, no more are tried")
    if not own[-1].failed and not own[-1].new_model:
        return RetrainDecision(False, f"{since}: a retrain found no better model, and the drift has not ended since")
    if not own[-1].failed and last.at <= ended:
        return RetrainDecision(False, f"{since}: the new model has not been evaluated yet")
    if now < ended + rules.cool_down:
        return RetrainDecision(False, f"{since}: cool-down until {ended + rules.cool_down:%Y-%m-%d %H:%M}")
    outcome = "failed" if own[-1].failed else "made a new model, but the drift goes on"
    return RetrainDecision(True, f"{since}: the last retrain {outcome}, and the cool-down is over", key)
