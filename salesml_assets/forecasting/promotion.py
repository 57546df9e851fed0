"""The promotion decision: which recipe serves, and why.

Recipes (algorithm and parameters) are compared, not fitted models: a fitted champion may have seen the days on
which its challengers are tested.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from salesml_assets.config.settings import Language, Settings
from salesml_assets.forecasting.metrics import total
from salesml_assets.forecasting.significance import DAILY_BLOCK, WEEKLY_BLOCK, PairedTest, holm, paired_test
from salesml_assets.language import N_, _, in_all_languages, with_point

BASELINE = "seasonal_naive"
METRICS = {"wape": "WAPE", "rmsse": N_("mean squared scaled error"), "cost": N_("cost per unit sold")}
ALGORITHMS = {  # as they stand in a sentence; of others, their name in words
    "seasonal_naive": N_("seasonal naive"),
    "moving_average": N_("moving average"),
    "linear_regression": N_("linear regression"),
    "random_forest": N_("random forest"),
    "calendar_regression": N_("calendar regression"),
    "ensemble": N_("ensemble"),
}


class Challenger(BaseModel):
    """One algorithm against the reference: the champion or, where there is none, the seasonal naive.

    `error` is the metric that decides (`promotion.metric`). `difference` is the reference's error minus this one's
    with its confidence interval (above zero: better), `relative_gain` the difference over the reference's error.
    p-values are one-sided, the adjusted one corrected for the number of challengers (Holm). `beats_naive` is null for
    the seasonal naive itself; `sound` says whether its total forecast is close enough to the total sold.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: str
    wape: float
    error: float
    bias: float
    difference: float
    difference_low: float
    difference_high: float
    relative_gain: float
    p_value: float
    p_value_adjusted: float
    beats_naive: bool | None
    sound: bool

    @model_validator(mode="before")
    @classmethod
    def _decided_by_wape(cls, values: Any) -> Any:
        """Decisions of earlier releases: WAPE decided."""
        return {"error": values.get("wape"), **values} if isinstance(values, dict) else values


class Decision(BaseModel):
    """The promotion decision: `winner` becomes the production model, `champion` was it before (null: nothing was).

    `promoted` says whether the winner is new. `candidate` is what an A/B test has to compare with the champion, which
    stays meanwhile; null where no test is called for. `reason` is in English, `reasons` has it by language. Names are
    those of the metrics table.
    """

    model_config = ConfigDict(frozen=True)

    champion: str | None
    winner: str
    promoted: bool
    candidate: str | None = None
    challengers: list[Challenger]
    metric: str = "wape"
    confidence_level: float
    method: str
    days: int
    reason: str
    reasons: dict[Language, str] = Field(default_factory=dict)


def decide(
    losses: pd.DataFrame,
    metrics: pd.DataFrame,
    champion: str | None,
    settings: Settings,
    champion_algorithm: str | None = None,
) -> Decision:
    """Applies the promotion rule.

    A challenger wins when its error (`promotion.metric`) is lower than the champion's beyond chance (`paired_test`,
    corrected for the number of challengers, at `promotion.alpha`) and by at least `promotion.min_gain`, it beats the
    seasonal naive beyond chance, and its |bias| is within `training.max_bias` (or the smallest of all, where none is
    within). Of several, the one with the lowest error wins. Without a champion the seasonal naive has to be beaten; if
    nothing does, it becomes the production model. With a champion that nothing beats, the champion stays. Where
    `promotion.mode` is ab_test, a challenger that beats a champion becomes the candidate of an A/B test. Where nothing
    was sold, there is nothing to compare.

    Args:
        losses: Of `errors.decisive_losses`: one row per fold and step: `fold`, `ds`, `volume`, and the loss of each
            algorithm in a column of its name.
        metrics: Long table of `metrics_by`.
        champion: Name of the champion's column; None where nothing is in production.
        settings: The settings.
        champion_algorithm: The champion's algorithm, where that is not its name.

    Raises:
        ValueError: The champion or the seasonal naive is not among the losses.
    """
    names = sorted(set(losses.columns) - {"fold", "ds", "volume"})
    for needed in {BASELINE, champion or BASELINE} - set(names):
        raise ValueError(f"losses: none of {needed}, so there is nothing to compare with")
    reference = champion or BASELINE
    if not losses["volume"].sum():
        reasons = in_all_languages(lambda: _nothing_sold(champion))
        return Decision(
            champion=champion, winner=reference, promoted=champion is None, challengers=[],
            confidence_level=1 - settings.promotion.alpha, method="", days=len(losses),
            reason=reasons["en"], reasons=reasons,
        )  # fmt: skip
    others = [name for name in names if name != reference]
    against = {name: _test(losses, reference, name, settings) for name in others}
    against_naive = {name: _test(losses, BASELINE, name, settings) for name in others if name != BASELINE}
    adjusted = holm({name: test.p_value for name, test in against.items()})
    adjusted_naive = holm({name: test.p_value for name, test in against_naive.items()})
    wapes, biases = total(metrics, "wape"), total(metrics, "bias")
    volume = losses["volume"].sum()
    errors = wapes if settings.promotion.metric == "wape" else {name: losses[name].sum() / volume for name in names}
    max_bias = max(settings.training.max_bias, min(abs(biases[name]) for name in names))
    alpha = settings.promotion.alpha
    challengers = [
        Challenger(
            algorithm=name,
            wape=wapes[name],
            error=errors[name],
            bias=biases[name],
            difference=test.difference,
            difference_low=test.low,
            difference_high=test.high,
            relative_gain=test.relative_gain,
            p_value=test.p_value,
            p_value_adjusted=adjusted[name],
            beats_naive=adjusted_naive[name] <= alpha if name != BASELINE else None,
            sound=abs(biases[name]) <= max_bias,
        )
        for name, test in sorted(against.items(), key=lambda item: (errors[item[0]], item[0]))
    ]
    winner = next((entry for entry in challengers if _objection(entry, len(challengers), settings) is None), None)
    facts = next(iter(against.values()), None)
    present = _Champion(champion, champion_algorithm or champion) if champion else None
    reasons = in_all_languages(lambda: _reason(present, winner, challengers, errors[reference], settings))
    tested = winner is not None and champion is not None and settings.tests_challengers
    return Decision(
        champion=champion,
        winner=winner.algorithm if winner and not tested else reference,
        promoted=champion is None or (winner is not None and not tested),
        candidate=winner.algorithm if winner and tested else None,
        challengers=challengers,
        metric=settings.promotion.metric,
        confidence_level=1 - alpha,
        method=facts.method if facts else "",
        days=facts.days if facts else len(losses),
        reason=reasons["en"],
        reasons=reasons,
    )


def _test(losses: pd.DataFrame, champion: str, challenger: str, settings: Settings) -> PairedTest:
    pair = losses[["fold", "ds", "volume"]].assign(champion=losses[champion], challenger=losses[challenger])
    block = DAILY_BLOCK if settings.forecast.frequency == "D" else WEEKLY_BLOCK
    return paired_test(pair, settings.promotion.alpha, settings.training.seed, block)


def _objection(entry: Challenger, challengers: int, settings: Settings) -> str | None:
    """What keeps a challenger from winning, as the end of a sentence; None where nothing does."""
    gain, min_gain = _percent(entry.relative_gain), settings.promotion.min_gain
    facts = {"metric": _(METRICS[settings.promotion.metric]), "error": _number(entry.error)}
    if entry.difference <= 0:
        return _("is no better ({metric} {error})", **facts)
    if not entry.sound:
        facts |= {"bias": f"{entry.bias:+.0%}", "allowed": f"{settings.training.max_bias:.0%}"}
        return _(
            "has a lower {metric} ({error}), but its total is off by {bias}, more than the {allowed} that is allowed",
            **facts,
        )
    if entry.relative_gain < min_gain:
        needed = _percent(min_gain)
        return _("is {gain} better, less than the {needed} that makes a change worthwhile", gain=gain, needed=needed)
    if entry.p_value_adjusted > settings.promotion.alpha:
        p_value = _rounded(entry.p_value_adjusted)
        if challengers > 1:
            return _(
                "is {gain} better, but not beyond chance ({p_value} after correction for {count} challengers)",
                gain=gain,
                p_value=p_value,
                count=challengers,
            )
        return _("is {gain} better, but not beyond chance ({p_value})", gain=gain, p_value=p_value)
    if entry.beats_naive is False:
        return _("is {gain} better, but does not beat the seasonal naive beyond chance", gain=gain)
    return None


class _Champion(NamedTuple):
    """The champion in words: by name it is a column of the losses, which need not be that of its algorithm."""

    name: str
    algorithm: str

    def __str__(self) -> str:
        # With its parameters of today; the same algorithm is compared with newly tuned ones, too.
        if self.name == self.algorithm:
            return plain_name(self.algorithm)
        return _("the present {model}", model=plain_name(self.algorithm))


def _nothing_sold(champion: str | None) -> str:
    if champion is None:
        return _(
            "seasonal naive becomes the production model: nothing was sold at the scored origins, so that no algorithm "
            "can be better than another."
        )
    return _(
        "{model} stays in production: nothing was sold at the scored origins, so that no algorithm can be better than "
        "another.",
        model=plain_name(champion),
    )


def _reason(
    champion: _Champion | None,
    winner: Challenger | None,
    challengers: list[Challenger],
    reference_error: float,
    settings: Settings,
) -> str:
    """The decision in one plain sentence with its numbers, and what kept the one with the lowest error from winning."""
    label = _(METRICS[settings.promotion.metric])
    objections = {entry.algorithm: _objection(entry, len(challengers), settings) for entry in challengers}
    # The closest is the best among the sound ones: a biased one may lead in the error alone.
    chosen = winner or min(challengers, key=lambda entry: (not entry.sound, entry.error), default=None)
    leader = challengers[0].algorithm if challengers else ""
    over = f"; {plain_name(leader)} {objections[leader]}" if chosen and leader != chosen.algorithm else ""
    if winner is None:
        stays = _("seasonal naive becomes the production model")
        if champion:
            stays = _("{model} stays in production", model=champion)
        if chosen is None:
            return _("{decision}: there is no challenger.", decision=stays)
        return _(
            "{decision} ({metric} {error}): the closest challenger, {model}, {objection}.",
            decision=stays,
            metric=label,
            error=_number(reference_error),
            model=plain_name(chosen.algorithm),
            objection=(objections[chosen.algorithm] or "") + over,
        )
    level = f"{1 - settings.promotion.alpha:.0%}"
    evidence = _(
        "its {metric} of {error} is {gain} below {reference} ({level} interval of the difference {low} to {high}, "
        "{p_value})",
        metric=label,
        error=_number(winner.error),
        gain=_percent(winner.relative_gain),
        reference=_number(reference_error),
        level=level,
        low=_number(winner.difference_low),
        high=_number(winner.difference_high),
        p_value=_rounded(winner.p_value_adjusted),
    )
    name = plain_name(winner.algorithm)
    if champion is None:
        return _(
            "{model} becomes the first production model: against the seasonal naive, {evidence}.",
            model=name,
            evidence=evidence + over,
        )
    if BASELINE not in (champion.name, winner.algorithm):
        evidence = _("{evidence}, and it beats the seasonal naive", evidence=evidence)
    if winner.algorithm == champion.algorithm:
        name = _("{model} with new parameters", model=name)
    facts = {"model": name, "champion": champion, "evidence": evidence + over}
    if settings.tests_challengers:
        return _("{model} is tested against {champion}: {evidence}.", **facts)
    return _("{model} replaces {champion}: {evidence}.", **facts)


def plain_name(name: str) -> str:
    """The name of an algorithm in a sentence."""
    return _(ALGORITHMS[name]) if name in ALGORITHMS else name.replace("_", " ")


def _number(value: float) -> str:
    return with_point(f"{value:.3f}")


def _percent(share: float) -> str:
    return with_point(f"{share:.1%}")


def _rounded(p_value: float) -> str:
    if p_value < 0.001:
        return _("p under {bound}", bound=_number(0.001))
    return f"p = {_number(p_value)}"
