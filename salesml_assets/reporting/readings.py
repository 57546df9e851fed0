"""What the numbers say, one sentence per section; None where there is nothing to say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml_assets.language import _, current, stored
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.explained import dependences, effects, influence, shuffled, waterfalls
from salesml_assets.reporting.feature_names import feature_label
from salesml_assets.reporting.formats import (
    DASH,
    algorithm_label,
    amount,
    counted,
    day,
    is_number,
    number,
    percent,
    word,
)
from salesml_assets.text import clean

# Changes smaller than this share of a value are not worth a word.
SMALL = 0.02
# Nominal level of the interval at the head of the report.
LEVEL = 0.8
# From here on a reader should act: bias, missing coverage, growth of the error since the backtest, rows set aside.
NOTABLE_BIAS, NOTABLE_GAP, NOTABLE_GROWTH, NOTABLE_QUARANTINE = 0.05, 0.05, 1.25, 0.02
HIGH_ERROR = 0.5  # WAPE of single forecasts from which totals are the better plan


@dataclass(frozen=True)
class Card:
    """One number at the head of the report."""

    label: str
    value: str
    note: str


def headline_cards(data: ReportData) -> list[Card]:
    """The numbers that a manager looks for: model, accuracy, gain, bias, intervals, cost of the errors."""
    business, baseline = data.business, algorithm_label(data.baseline).lower()
    cards = [Card(_("Production model"), algorithm_label(data.winner), _version_note(data))]
    if is_number(accuracy := business.get("accuracy")):
        cards.append(Card(_("Forecast accuracy"), percent(accuracy / 100), _accuracy_note(data)))
    if data.winner != data.baseline and is_number(reduction := business.get("error_reduction")):
        if reduction < 0:
            label, note = _("Error increase"), _("above the baseline, {baseline}", baseline=baseline)
        else:
            label, note = _("Error reduction"), _("below the baseline, {baseline}", baseline=baseline)
        cards.append(Card(label, percent(abs(reduction) / 100), note))
    if is_number(bias := data.value(data.winner, "bias")):
        if abs(bias) < SMALL:
            note = _("in total neither too high nor too low")
        else:
            note = _("in total too high") if bias > 0 else _("in total too low")
        cards.append(Card(_("Bias"), percent(bias, sign=True), note))
    if is_number(share := _total_coverage(data)):
        note = _("of actual values in the backtests; it promises {level}", level=percent(LEVEL, 0))
        cards.append(Card(_("Inside the {level} interval", level=percent(LEVEL, 0)), percent(share), note))
    if data.has_costs and is_number(cost := business.get("cost")):
        baseline_cost = business.get("baseline_cost")
        against = is_number(baseline_cost) and data.winner != data.baseline
        note = _than_baseline(baseline_cost - cost) if against else ""  # type: ignore[operator]
        cards.append(Card(_("Cost of the errors, {period}", period=period(data)), amount(cost), note))
    elif is_number(error := business.get("error_value")):
        cards.append(_error_card(data, error))
    return cards


def _error_card(data: ReportData, error: float) -> Card:
    sold, saved, is_money = (data.business.get(name) for name in ("sold", "saved", "is_money"))
    parts = []
    if is_number(sold):
        text = _("of {amount} units sold", amount=amount(sold))
        parts.append(text if is_money is False else _("of {amount} sold", amount=amount(sold)))
    if data.winner != data.baseline and is_number(saved):
        parts.append(_than_baseline(saved))
    what = _("Error in units, {period}") if is_money is False else _("Value of the error, {period}")
    return Card(what.format(period=period(data)), amount(error), "; ".join(parts))


def period(data: ReportData, count: int | None = None) -> str:
    """A number of steps, the horizon by default, such as 28 days."""
    steps = data.horizon if count is None else count
    if data.weekly:
        return counted("{count} week", "{count} weeks", steps)
    return counted("{count} day", "{count} days", steps)


def headline(data: ReportData) -> str:
    """What is forecast, per what, how far ahead and from when."""
    target = _("Revenue") if data.target == "revenue" else _("Quantity")
    keys = " × ".join(word(key) for key in data.series_keys)
    return " · ".join(
        [
            _("{target} per {series}, {period} ahead", target=target, series=keys, period=period(data)),
            _("sales up to {day}", day=day(data.quality.get("last_date") or data.generated_for)),
            _("as of {day}", day=day(data.generated_for)),
        ]
    )


def outcome(data: ReportData) -> str:
    """The decision in two or three words."""
    if data.decision.get("promoted"):
        return _("Promoted.")
    if data.decision.get("candidate"):
        return _("A/B test.")
    return _("No change.") if data.decision.get("champion") else _("Baseline in production.")


def decided(data: ReportData) -> str | None:
    """The decision with its reason; in English where an earlier release decided."""
    text = data.decision.get("reasons", {}).get(current()) or data.decision.get("reason")
    return text[:1].upper() + text[1:] if text else None


def tested(data: ReportData) -> str | None:
    """The result of the latest A/B test."""
    if data.ab_test is None:
        return None
    return data.ab_test["sentences"].get(current()) or stored(data.ab_test["reason"])


def cause(data: ReportData) -> str | None:
    """What started the retrain."""
    if data.started_by is None:
        return None
    return _("This retrain was started by {cause}.", cause=stored(clean(data.started_by, 1000)))


def news(data: ReportData) -> list[str]:
    """What is new since the last report: why it was made, how the last forecasts did, what comes."""
    return [text for text in (cause(data), came_true(data), outlook(data)) if text]


def next_steps(data: ReportData) -> list[str]:
    """What a reader should do, the most urgent first."""
    steps = [*_failed_checks(data), *_weak_forecasts(data), *_weak_data(data)]
    if data.decision.get("candidate"):
        steps.append(_("Wait for the A/B test: it decides on the challenger by days to come."))
    return steps or [_("Nothing stands out: the forecasts can be used as they are.")]


def _failed_checks(data: ReportData) -> list[str]:
    failed = data.checks[~data.checks["passed"].astype(bool)]
    grave = failed["severity"].astype(str).str.upper() == "ERROR"
    steps = []
    if names := _few(failed[grave]["check"].tolist()):
        steps.append(_("Do not use the forecasts before these failed checks are understood: {checks}.", checks=names))
    if names := _few(failed[~grave]["check"].tolist()):
        steps.append(_("Look at the warnings of these checks: {checks}.", checks=names))
    return steps


def _few(names: list[str], most: int = 3) -> str:
    shown = ", ".join(clean(name, 60) for name in sorted(names)[:most])
    return shown + (f" (+{number(len(names) - most)})" if len(names) > most else "")


def _weak_forecasts(data: ReportData) -> list[str]:
    steps = []
    if data.winner == data.baseline:
        steps.append(
            _("No algorithm beats the baseline: give them a longer history, or what is planned (promotions, prices).")
        )
    bias = data.value(data.winner, "bias")
    if bias is not None and abs(bias) >= NOTABLE_BIAS:
        size = percent(abs(bias))
        high = _("Allow for forecasts that are {size} too high in total.", size=size)
        steps.append(high if bias > 0 else _("Allow for forecasts that are {size} too low in total.", size=size))
    share = _total_coverage(data)
    if share is not None and share < LEVEL - NOTABLE_GAP:
        steps.append(
            _(
                "Plan with wider ranges than the {level} intervals: they held {share} of the actual values.",
                level=percent(LEVEL, 0),
                share=percent(share),
            )
        )
    expected, present = data.value(data.winner, "wape"), data.decision.get("version")
    together = total_error(data)
    if expected is not None and together is not None and expected > HIGH_ERROR > together:
        steps.append(
            _(
                "Plan with totals of products and weeks: single forecasts miss by {error}, all together by {together}.",
                error=percent(expected),
                together=percent(together),
            )
        )
    errors = dict(zip(data.realised["model_version"].tolist(), data.realised["wape"].tolist(), strict=True))
    if expected and is_number(error := errors.get(present)) and error > NOTABLE_GROWTH * expected:
        steps.append(
            _(
                "Look at the drift report: past forecasts missed by {error}, the backtest promised {expected}.",
                error=percent(error),
                expected=percent(expected),
            )
        )
    return steps


def _weak_data(data: ReportData) -> list[str]:
    delivered, aside = data.quality.get("delivered", 0), data.quality.get("quarantined", 0)
    reasons = data.quality.get("reasons", {})
    if not delivered or aside < NOTABLE_QUARANTINE * delivered or not reasons:
        return []
    most = min(reasons, key=lambda name: (-reasons[name], name))
    return [
        _(
            "Correct rows at their source: {share} were set aside, most often “{rule}”.",
            share=percent(aside / delivered),
            rule=clean(word(most), 60),
        )
    ]


def _total_coverage(data: ReportData) -> float | None:
    rows = data.coverage[(data.coverage["dimension"] == "total") & (data.coverage["level"] == LEVEL)]
    known = [float(value) for value in rows["coverage"] if is_number(value)]
    return known[0] if known else None


def _accuracy_note(data: ReportData) -> str:
    single = _("for one series and {step}", step=data.step)
    error = total_error(data)
    if error is None:
        return single
    return _("{single}; {accuracy} for all series over {period}", single=single, accuracy=percent(1 - error),
             period=period(data))  # fmt: skip


def _version_note(data: ReportData) -> str:
    version, before = data.decision.get("version"), data.decision.get("champion")
    if data.decision.get("promoted"):
        replaces = _("replaces {model}", model=algorithm_label(before)) if before else ""
        note = replaces or _("the first one")
    else:
        note = _("unchanged") if before else _("no algorithm beat it")
    return note if version is None else _("version {version}, {note}", version=version, note=note)


def compared(data: ReportData) -> str | None:
    """How the winner stands among the algorithms."""
    wapes = data.by_algorithm("wape")
    if data.winner not in wapes:
        return None
    best, own = data.algorithms[0], wapes[data.winner]
    name, reference, error = algorithm_label(data.winner), algorithm_label(data.baseline).lower(), percent(own)
    baseline = wapes.get(data.baseline)
    if data.winner != data.baseline and baseline:
        change = 1 - own / baseline
        facts = {"model": name, "error": error, "change": percent(abs(change)), "baseline": reference}
        less = _("{model} misses by {error} of sales (WAPE), {change} less than the {baseline}.", **facts)
        more = _("{model} misses by {error} of sales (WAPE), {change} more than the {baseline}.", **facts)
        texts = [less if change >= 0 else more]
    else:
        texts = [_("{model} misses by {error} of sales (WAPE).", model=name, error=error)]
    bias = data.value(data.winner, "bias")
    if bias is not None and abs(bias) >= SMALL:
        size = percent(abs(bias))
        high = _("In total, its forecasts are {size} too high.", size=size)
        texts.append(high if bias > 0 else _("In total, its forecasts are {size} too low.", size=size))
    elif bias is not None:
        texts.append(_("In total, its forecasts are neither too high nor too low."))
    if best != data.winner:
        texts.append(
            _(
                "{model} has the lowest error, {error}; the decision says why it is not in production.",
                model=algorithm_label(best),
                error=percent(wapes[best]),
            )
        )
    return " ".join(texts)


def added_up(data: ReportData) -> str | None:
    """How much of the series' error cancels out in totals."""
    overall = data.by_algorithm("wape", "level", "total").get(data.winner)
    single = data.value(data.winner, "wape")
    if overall is None or single is None:
        return None
    text = _(
        "The forecast of all sales together is off by {overall} of them in a {step}, that of a single series by "
        "{single}.",
        overall=percent(overall),
        step=data.step,
        single=percent(single),
    )
    if overall < single:
        text += " " + _("Errors of single series partly cancel out.")
    bias = data.by_algorithm("bias", "level", "total").get(data.winner)
    if bias is not None and abs(bias) > overall / 2:
        share = percent(abs(bias))
        below = _("What remains is mostly one-sided: totals are forecast {share} below what was sold.", share=share)
        above = _("What remains is mostly one-sided: totals are forecast {share} above what was sold.", share=share)
        text += f" {below if bias < 0 else above}"
    if data.winner in data.by_algorithm("wape", "level", "series"):
        note = _(
            "Totals are sums of the series' forecasts, reconciled with those of the totals themselves; their intervals "
            "come from their own errors in the backtest."
        )
    else:
        note = _(
            "Totals are sums of the series' forecasts; their intervals come from their own errors in the backtest."
        )
    return f"{text} {note}"


def over_horizon(data: ReportData) -> str | None:
    """Whether the error grows with the distance."""
    table = data.by_segment("wape", "horizon")
    if data.winner not in table.index or table.shape[1] < 2:
        return None
    row = table.loc[data.winner].dropna()
    if len(row) < 2:
        return None
    near, far, change = row.iloc[0], row.iloc[-1], row.iloc[-1] / row.iloc[0] - 1 if row.iloc[0] else 0.0
    first, last = (f"{data.steps} {segment}" for segment in (row.index[0], row.index[-1]))
    facts = {"near": percent(near), "first": first, "far": percent(far), "last": last}
    if abs(change) < SMALL:
        return _("The error hardly depends on how far ahead is forecast: {near} in {first}, {far} in {last}.", **facts)
    if change > 0:
        return _("Looking further ahead, the error grows from {near} in {first} to {far} in {last}.", **facts)
    return _("Looking further ahead, the error falls from {near} in {first} to {far} in {last}.", **facts)


def over_folds(data: ReportData) -> str | None:
    """Whether the winner was better every time, or once by luck."""
    table = data.by_segment("wape", "fold")
    if data.winner not in table.index or data.baseline not in table.index or data.winner == data.baseline:
        return None
    pairs = table.loc[[data.winner, data.baseline]].dropna(axis=1)
    if pairs.shape[1] == 0:
        return None
    better = int(np.sum(pairs.loc[data.winner].to_numpy() < pairs.loc[data.baseline].to_numpy()))
    return counted(
        "{model} was better than the baseline in {better} of {count} backtest period.",
        "{model} was better than the baseline in {better} of {count} backtest periods.",
        pairs.shape[1],
        model=algorithm_label(data.winner),
        better=number(better),
    )


def changed(data: ReportData) -> str | None:
    """How much forecasts for the same step move when they are renewed."""
    own, baseline = data.value(data.winner, "change"), data.value(data.baseline, "change")
    if own is None:
        return None
    facts = {"model": algorithm_label(data.winner), "step": data.step, "change": percent(own)}
    if data.winner == data.baseline or baseline is None:
        return _(
            "From one weekly forecast to the next, the forecast of {model} for the same series and {step} changes by "
            "{change}, by new sales alone: the model stays.",
            **facts,
        )
    return _(
        "From one weekly forecast to the next, the forecast of {model} for the same series and {step} changes by "
        "{change} (that of the {baseline} by {other}), by new sales alone: the model stays.",
        **facts,
        baseline=algorithm_label(data.baseline).lower(),
        other=percent(baseline),
    )


def covered(data: ReportData) -> str | None:
    """How often the intervals held what they promise."""
    rows = data.coverage[data.coverage["dimension"] == "total"].sort_values("level")
    parts = [
        _("{count} inside the {level} interval", count=number(100 * row["coverage"]), level=percent(row["level"], 0))
        for row in rows.to_dict("records")
        if is_number(row["coverage"]) and is_number(row["level"])
    ]
    parts += [
        _(
            "{count} at or below the quantity to order, which should suffice at least {wanted} times",
            count=number(100 * row["coverage"]),
            wanted=number(100 * data.service_level),
        )
        for row in rows.to_dict("records")
        if is_number(row["coverage"]) and not is_number(row["level"])
    ]
    return _("Of 100 actual values in the backtests, {parts}.", parts=listed(parts)) if parts else None


def listed(parts: list[str]) -> str:
    """Several things in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(parts) < 2:
        return "".join(parts)
    return _("{first} and {last}", first=", ".join(parts[:-1]), last=parts[-1])


def worth(data: ReportData) -> str | None:
    """What the errors cost, and on what assumption."""
    business = data.business
    cost, baseline, champion = (business.get(name) for name in ("cost", "baseline_cost", "champion_cost"))
    if not is_number(cost):
        return None
    against = []
    if data.winner != data.baseline and is_number(baseline):
        name = algorithm_label(data.baseline).lower()
        size = amount(abs(baseline - cost))
        less = _("{amount} less than those of {model}", amount=size, model=name)
        against.append(less if cost <= baseline else _("{amount} more than those of {model}", amount=size, model=name))
    if data.decision.get("promoted") and is_number(champion):
        size = amount(abs(champion - cost))
        less = _("{amount} less than those of the model before", amount=size)
        against.append(less if cost <= champion else _("{amount} more than those of the model before", amount=size))
    text = _(
        "In {period} the errors of {model} cost {amount}",
        period=period(data),
        model=algorithm_label(data.winner),
        amount=amount(cost),
    )
    text += f", {listed(against)}. " if against else ". "
    under, over = business.get("cost_under", 1.0), business.get("cost_over", 1.0)
    is_money = business.get("is_money", True)
    if data.has_costs and is_money:
        return text + _(
            "Assumed: a unit too few costs {under} of its price, a unit too many {over} of its price.",
            under=percent(under, 0),
            over=percent(over, 0),
        )
    if data.has_costs:
        return text + _(
            "Assumed: a unit too few costs {under}, a unit too many {over}.", under=amount(under), over=amount(over)
        )
    each = (
        _("Assumed: each unit too few or too many costs its full price; what it costs in truth is set by {keys}.")
        if is_money
        else _("Assumed: each unit too few or too many costs one unit; what it costs in truth is set by {keys}.")
    )
    return text + each.format(keys=listed(["orders.cost_under", "orders.cost_over"]))


def _than_baseline(saved: float) -> str:
    """What is saved against the baseline, or what is spent more, in words."""
    size = amount(abs(saved))
    less = _("{amount} less than the baseline", amount=size)
    return less if saved >= 0 else _("{amount} more than the baseline", amount=size)


def replayed(data: ReportData) -> str | None:
    """How available the goods would have been by these forecasts, and with how much stock."""
    known = data.orders
    own = known[(known["algorithm"] == data.winner) & (known["service_level"] == data.service_level)]
    if own.empty or not is_number(rate := own["fill_rate"].iloc[0]) or not is_number(cover := own["cover"].iloc[0]):
        return None
    text = _(
        "Ordered every {review}, delivered {lead_time} later, and with safety for {level} of the orders, {model} would "
        "have served {rate} of the demand with stock for {cover}.",
        review=period(data, data.review) if data.review > 1 else data.step,
        lead_time=period(data, data.lead_time),
        level=percent(data.service_level, 0),
        model=algorithm_label(data.winner),
        rate=percent(rate),
        cover=_cover(data, cover),
    )
    needed = cover_for(known[known["algorithm"] == data.baseline], rate)
    if data.winner != data.baseline and needed is not None:
        values = {
            "model": algorithm_label(data.baseline).lower(),
            "cover": _cover(data, needed),
            "share": percent(abs(needed / cover - 1), 0) if cover > 0 else DASH,
        }
        more = _("For the same availability {model} needs stock for {cover}, {share} more.", **values)
        less = _("For the same availability {model} needs stock for {cover}, {share} less.", **values)
        text += " " + (more if needed >= cover else less)
    return text


def _cover(data: ReportData, steps: float) -> str:
    return f"{number(steps, 1)} {data.steps}"


def cover_for(orders: pd.DataFrame, fill_rate: float) -> float | None:
    """The stock with which one algorithm reaches a fill rate; None outside of what was replayed.

    Args:
        orders: Rows of one algorithm of the replay.
        fill_rate: The share of the demand that is served.
    """
    ordered = orders.dropna(subset=["fill_rate", "cover"]).sort_values("service_level")
    rates = ordered["fill_rate"].to_numpy(dtype=float)
    if rates.size == 0 or not rates.min() <= fill_rate <= rates.max():
        return None
    order = np.argsort(rates, kind="stable")
    return float(np.interp(fill_rate, rates[order], ordered["cover"].to_numpy(dtype=float)[order]))


def came_true(data: ReportData) -> str | None:
    """Error of the forecasts before the present model and with it."""
    present = data.decision.get("version")
    errors = dict(zip(data.realised["model_version"].tolist(), data.realised["wape"].tolist(), strict=True))
    before = [version for version in errors if present is None or version < present]
    texts = [
        _("Version {version} missed by {error} of the volume.", version=version, error=percent(errors[version]))
        for version in before[-1:]
    ]
    if present in errors:
        error = percent(errors[present])
        texts.append(_("Version {version}, in production now, missed by {error}.", version=present, error=error))
    elif before:
        expected = percent(data.value(data.winner, "wape"))
        texts.append(
            _(
                "Version {version}, in production now, missed by {error} in its backtest and has no past yet.",
                version=present,
                error=expected,
            )
        )
    return " ".join(texts) or None


def driven_by(data: ReportData) -> str | None:
    """Which features matter most."""
    known = data.importance[data.importance["value"] > 0].sort_values(["value", "name"], ascending=[False, True])
    if known.empty:
        return None
    top = known.head(3)
    names = [f"“{clean(feature_label(name, weekly=data.weekly), 60)}”" for name in top["name"]]
    facts = {"features": listed(names), "share": percent(top["value"].sum() / known["value"].sum(), 0)}
    if len(names) == 1:
        return _("{features} matters most: {share} of the importance of all features.", **facts)
    if not data.importance_of:
        return _("{features} matter most: {share} of the importance of all features.", **facts)
    return counted(
        "{features} matter most to {model}: {share} of the importance of its {count} feature.",
        "{features} matter most to {model}: {share} of the importance of all {count} features.",
        len(known),
        model=algorithm_label(data.importance_of),
        **facts,
    )


def moved_by(data: ReportData) -> str | None:
    """Which groups of features move the forecasts most, and what accuracy rests on."""
    strength = influence(data.explanations)
    if strength.empty:
        return None
    top = strength.head(2)
    names = [f"“{clean(stored(group), 60)}”" for group in top["group"]]
    facts = {"groups": listed(names), "share": percent(top["share"].sum(), 0)}
    one = _("{groups} moves the forecasts most: {share} of all changes from an average row.", **facts)
    two = _("{groups} move the forecasts most: {share} of all changes from an average row.", **facts)
    text = one if len(names) == 1 else two
    lost = shuffled(data.explanations, data.importance_of)
    lost = lost[lost["share"] > 0].sort_values(["share", "group"], ascending=[False, True])
    if not lost.empty:
        most = lost.iloc[0]
        text += " " + _(
            "Without “{group}” (its values shuffled among the backtest's rows) {model} would miss by {share} of sales "
            "more.",
            group=clean(stored(most["group"]), 60),
            model=algorithm_label(data.importance_of),
            share=percent(most["share"]),
        )
    return text


def effects_text(data: ReportData) -> str | None:
    """The weekdays and months that add and take away most."""
    parts = []
    for group, part in effects(data.explanations).items():
        ordered = part.sort_values(["share", "at_label"])
        low, high = ordered.iloc[0], ordered.iloc[-1]
        if high["share"] - low["share"] >= SMALL:
            parts.append(
                f"{clean(stored(group), 40)}: "
                f"{clean(stored(high['at_label']), 20)} {percent(high['share'], 0, sign=True)}, "
                f"{clean(stored(low['at_label']), 20)} {percent(low['share'], 0, sign=True)}"
            )
    if not parts:
        return None
    return _("Highest and lowest, as a share of the mean forecast: {parts}.", parts="; ".join(parts))


def dependence_text(data: ReportData) -> str | None:
    """What the curves are, and how they can mislead."""
    if not dependences(data.explanations):
        return None
    return _(
        "The mean forecast if one feature had the same value everywhere and all others stayed as they are. Amounts are "
        "multiples of the series' usual level. Features move together in real sales, so a curve is no promise."
    )


def taken_apart(data: ReportData) -> str | None:
    """How a waterfall is read."""
    known = waterfalls(data.explanations)
    if not known:
        return None
    fits = [one.fit for one in known if one.fit is not None]
    text = _(
        "The base is what the model forecasts of an average row of its training at the series' size; each bar is what "
        "a group of features adds or takes away (SHAP values), and they add up to the forecast. Shown is each "
        "series' {step} with the highest forecast.",
        step=data.step,
    )
    if fits:
        text += " " + _(
            "A linear model around these forecasts (LIME) explains {share} of what the model does there: the lower, "
            "the more the groups act together.",
            share=percent(float(np.median(fits)), 0),
        )
    return text


def typical_error(data: ReportData) -> str | None:
    """How far off a single forecast is, from the sample."""
    error = (data.sample["yhat"] - data.sample["y"]).to_numpy(dtype=float)
    error = error[np.isfinite(error)]
    if error.size == 0:
        return None
    facts = {
        "step": data.step,
        "half": amount(float(np.median(np.abs(error)))),
        "high": percent(float((error > 0).mean()), 0),
        "low": percent(float((error < 0).mean()), 0),
    }
    if data.target == "revenue":
        return _(
            "Half of all forecasts for one series and {step} are off by less than {half} in revenue; {high} are too "
            "high, {low} too low.",
            **facts,
        )
    return _(
        "Half of all forecasts for one series and {step} are off by less than {half} units; {high} are too high, {low} "
        "too low.",
        **facts,
    )


def outlook(data: ReportData) -> str | None:
    """What the next horizon brings against the one before."""
    if data.total_future.empty or data.total_actual.empty:
        return None
    future = data.total_future.sort_values("ds")
    actual = data.total_actual.assign(ds=pd.to_datetime(data.total_actual["ds"])).sort_values("ds")
    expected, before = float(future["yhat"].sum()), float(actual.tail(len(future))["y"].sum())
    facts = {"day": day(pd.Timestamp(future["ds"].max()).date()), "amount": amount(expected)}
    revenue = data.target == "revenue"
    if before <= 0 or len(actual) < len(future):
        money = _("Until {day}, revenue of {amount} is expected.", **facts)
        return money if revenue else _("Until {day}, sales of {amount} units are expected.", **facts)
    change = expected / before - 1
    span, size = period(data, len(future)), percent(abs(change))
    if abs(change) < SMALL:
        against = _("about as much as in the {period} before", period=span)
    elif change > 0:
        against = _("{change} more than in the {period} before", change=size, period=span)
    else:
        against = _("{change} less than in the {period} before", change=size, period=span)
    facts["against"] = against
    money = _("Until {day}, revenue of {amount} is expected, {against}.", **facts)
    return money if revenue else _("Until {day}, sales of {amount} units are expected, {against}.", **facts)


def total_error(data: ReportData) -> float | None:
    """The mean over folds of |Σ forecast − Σ actual| / |Σ actual|, all series and steps of a fold added up."""
    backtest, actual = (
        frame[columns].assign(ds=pd.to_datetime(frame["ds"]))
        for frame, columns in ((data.total_backtest, ["fold", "ds", "yhat"]), (data.total_actual, ["ds", "y"]))
    )
    both = backtest.merge(actual, on="ds").dropna()
    sums = both.groupby("fold")[["y", "yhat"]].sum()
    sums = sums[sums["y"] != 0]
    return None if sums.empty else float(((sums["yhat"] - sums["y"]).abs() / sums["y"].abs()).mean())


def total_error_text(data: ReportData) -> str | None:
    """How far off the sum of all forecasts was."""
    error = total_error(data)
    if error is None:
        return None
    return _(
        "Added up over all series and {period}, the backtests were off by {error} on average: errors of single series "
        "even out.",
        period=period(data),
        error=percent(error),
    )


def reference_text(data: ReportData) -> str:
    """What challengers are compared with."""
    if champion := data.decision.get("champion"):
        return _(
            "A challenger is promoted only when it is better beyond chance and beats the baseline; the reference is "
            "the current model, {model}.",
            model=algorithm_label(champion),
        )
    return _(
        "A challenger is promoted only when it is better beyond chance and beats the baseline; there was no model "
        "before, so the reference is the baseline, {model}.",
        model=algorithm_label(data.baseline),
    )


def single_series(data: ReportData) -> str | None:
    """The best and the worst series."""
    best, worst = (None if frame.empty else frame.iloc[0] for frame in (data.best_series, data.worst_series))
    parts = []
    if best is not None:
        parts.append(_("“{series}” is forecast best (WAPE {error})", **_named(best)))
    if worst is not None:
        parts.append(_("“{series}” is forecast worst (WAPE {error})", **_named(worst)))
    return _("Of the series with enough sales, {parts}.", parts=listed(parts)) if parts else None


def _named(row: pd.Series) -> dict[str, str]:
    label = row["label"] if "label" in row and isinstance(row["label"], str) else row["unique_id"]
    return {"series": clean(label, 60), "error": percent(row["wape"], 0)}


def data_quality(data: ReportData) -> str | None:
    """What became of the delivered rows."""
    quality = data.quality
    delivered = quality.get("delivered")
    if not delivered:
        return None
    aside = quality.get("quarantined", 0)
    facts = {"used": percent(quality.get("accepted", 0) / delivered), "aside": number(aside)}
    facts["share"] = percent(aside / delivered)
    if not aside:
        return counted("Of {count} delivered row, {used} are used.", "Of {count} delivered rows, {used} are used.",
                       delivered, **facts)  # fmt: skip
    reasons = quality.get("reasons")
    if not reasons:
        return counted(
            "Of {count} delivered row, {used} are used and {aside} ({share}) set aside with a reason.",
            "Of {count} delivered rows, {used} are used and {aside} ({share}) set aside with a reason.",
            delivered,
            **facts,
        )
    most = min(reasons, key=lambda name: (-reasons[name], name))
    return counted(
        "Of {count} delivered row, {used} are used and {aside} ({share}) set aside with a reason, most often “{rule}”.",
        "Of {count} delivered rows, {used} are used and {aside} ({share}) set aside with a reason, most often "
        "“{rule}”.",
        delivered,
        **facts,
        rule=clean(word(most), 60).lower(),
    )


def quality_facts(data: ReportData) -> list[tuple[str, str]]:
    """Name and value of what is known about rows and series."""
    quality = data.quality
    counts = (
        (_("Rows delivered"), "delivered"),
        (_("Left out by the filter"), "filtered_out"),
        (_("Rows used"), "accepted"),
        (_("Rows set aside"), "quarantined"),
        (_("Rows flagged, and used"), "flagged"),
        (_("Series"), "series"),
        (_("Closed weeks") if data.weekly else _("Closed days"), "closed_days"),
    )
    facts = [(label, number(quality[key])) for label, key in counts if key in quality]  # type: ignore[literal-required]
    if quality.get("first_date") and quality.get("last_date"):
        facts.append((_("Period"), f"{day(quality['first_date'])} {DASH} {day(quality['last_date'])}"))
    if "short_series" in quality:
        count, fallback = number(quality["short_series"]), quality.get("fallback")
        if quality["short_series"] and fallback:
            by = algorithm_label(str(fallback)).lower()
            count = _("{count}, forecast by {fallback}", count=count, fallback=by)
        facts.append((_("Series too short for the model"), count))
    if quality.get("ended_series"):
        count = _("{count}, forecast by zero", count=number(quality["ended_series"]))
        facts.append((_("Series that stopped selling"), count))
    return facts
