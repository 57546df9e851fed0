"""What the numbers say, one sentence per section; None where there is nothing to say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.explained import dependences, effects, influence, shuffled, waterfalls
from salesml_assets.reporting.feature_names import feature_label
from salesml_assets.reporting.formats import (
    DASH,
    algorithm_label,
    amount,
    day,
    is_number,
    number,
    percent,
    plural,
    sentence,
)
from salesml_assets.text import clean

# Changes smaller than this share of a value are not worth a word.
SMALL = 0.02


@dataclass(frozen=True)
class Card:
    """One number at the head of the report."""

    label: str
    value: str
    note: str


def headline_cards(data: ReportData) -> list[Card]:
    """The numbers that a manager looks for: model, accuracy, gain over the baseline, cost of the error."""
    business, baseline = data.business, algorithm_label(data.baseline)
    cards = [Card("Production model", algorithm_label(data.winner), _version_note(data))]
    if is_number(accuracy := business.get("accuracy")):
        cards.append(Card("Forecast accuracy", percent(accuracy / 100), _accuracy_note(data)))
    if data.winner != data.baseline and is_number(reduction := business.get("error_reduction")):
        worse = reduction < 0
        note = f"{'above' if worse else 'below'} the baseline, {baseline.lower()}"
        cards.append(Card("Error increase" if worse else "Error reduction", percent(abs(reduction) / 100), note))
    if is_number(error := business.get("error_value")):
        sold, saved, is_money = business.get("sold"), business.get("saved"), business.get("is_money", True)
        parts = [f"of {amount(sold)} {'sold' if is_money else 'units sold'}"] if is_number(sold) else []
        if data.winner != data.baseline and is_number(saved):
            parts.append(f"{amount(abs(saved))} {'less' if saved >= 0 else 'more'} than the baseline")
        what = "Value of the error" if is_money else "Error in units"
        cards.append(Card(f"{what}, {plural(data.horizon, data.step)}", amount(error), "; ".join(parts)))
    return cards


def _accuracy_note(data: ReportData) -> str:
    single = f"for one series and {data.step}"
    error = total_error(data)
    return (
        single
        if error is None
        else f"{single}; {percent(1 - error)} for all series over {plural(data.horizon, data.step)}"
    )


def _version_note(data: ReportData) -> str:
    version = data.decision.get("version")
    number_of = f"version {version}, " if version is not None else ""
    if not data.decision.get("promoted"):
        return f"{number_of}unchanged" if data.decision.get("champion") else f"{number_of}no algorithm beat it"
    before = data.decision.get("champion")
    return f"{number_of}replaces {algorithm_label(before)}" if before else f"{number_of}the first one"


def compared(data: ReportData) -> str | None:
    """How the winner stands among the algorithms."""
    wapes = data.by_algorithm("wape")
    if data.winner not in wapes:
        return None
    best, own = data.algorithms[0], wapes[data.winner]
    name = algorithm_label(data.winner)
    text = f"{name} misses by {percent(own)} of sales (WAPE)"
    baseline = wapes.get(data.baseline)
    if data.winner != data.baseline and baseline:
        change = 1 - own / baseline
        word = "less" if change >= 0 else "more"
        text += f", {percent(abs(change))} {word} than the {algorithm_label(data.baseline).lower()}"
    text += "."
    bias = data.value(data.winner, "bias")
    if bias is not None and abs(bias) >= SMALL:
        text += f" In total, its forecasts are {percent(abs(bias))} too {'high' if bias > 0 else 'low'}."
    elif bias is not None:
        text += " In total, its forecasts are neither too high nor too low."
    if best != data.winner:
        text += f" {algorithm_label(best)} has the lowest error, {percent(wapes[best])};"
        text += " the decision says why it is not in production."
    return text


def added_up(data: ReportData) -> str | None:
    """How much of the series' error cancels out in totals."""
    overall = data.by_algorithm("wape", "level", "total").get(data.winner)
    single = data.value(data.winner, "wape")
    if overall is None or single is None:
        return None
    text = (
        f"The forecast of all sales together is off by {percent(overall)} of them in a {data.step}, that of a single "
        f"series by {percent(single)}"
    )
    text += ": errors of single series partly cancel out." if overall < single else "."
    bias = data.by_algorithm("bias", "level", "total").get(data.winner)
    if bias is not None and abs(bias) > overall / 2:
        side = "below" if bias < 0 else "above"
        text += f" What remains is mostly one-sided: totals are forecast {percent(abs(bias))} {side} what was sold."
    is_reconciled = data.winner in data.by_algorithm("wape", "level", "series")
    added = (
        "the series' forecasts, reconciled with those of the totals themselves"
        if is_reconciled
        else ("the series' forecasts")
    )
    return f"{text} Totals are sums of {added}; their intervals come from their own errors in the backtest."


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
    if abs(change) < SMALL:
        both = f"{percent(near)} in {first}, {percent(far)} in {last}"
        return f"The error hardly depends on how far ahead is forecast: {both}."
    verb = "grows" if change > 0 else "falls"
    return f"Looking further ahead, the error {verb} from {percent(near)} in {first} to {percent(far)} in {last}."


def over_folds(data: ReportData) -> str | None:
    """Whether the winner was better every time, or once by luck."""
    table = data.by_segment("wape", "fold")
    if data.winner not in table.index or data.baseline not in table.index or data.winner == data.baseline:
        return None
    pairs = table.loc[[data.winner, data.baseline]].dropna(axis=1)
    if pairs.shape[1] == 0:
        return None
    better = int(np.sum(pairs.loc[data.winner].to_numpy() < pairs.loc[data.baseline].to_numpy()))
    periods = plural(pairs.shape[1], "backtest period")
    return f"{algorithm_label(data.winner)} was better than the baseline in {better} of {periods}."


def changed(data: ReportData) -> str | None:
    """How much forecasts for the same step move when they are renewed."""
    own, baseline = data.value(data.winner, "change"), data.value(data.baseline, "change")
    if own is None:
        return None
    text = (
        f"From one weekly forecast to the next, the forecast of {algorithm_label(data.winner)} for the same series and "
        f"{data.step} changes by {percent(own)}"
    )
    if data.winner != data.baseline and baseline is not None:
        text += f" (that of the {algorithm_label(data.baseline).lower()} by {percent(baseline)})"
    return f"{text}, by new sales alone: the model stays."


def covered(data: ReportData) -> str | None:
    """How often the intervals held what they promise."""
    rows = data.coverage[data.coverage["dimension"] == "total"].sort_values("level")
    parts = [
        f"{number(100 * row['coverage'])} inside the {percent(row['level'], 0)} interval"
        for row in rows.to_dict("records")
        if is_number(row["coverage"])
    ]
    return f"Of 100 actual values in the backtests, {' and '.join(parts)}." if parts else None


def came_true(data: ReportData) -> str | None:
    """Error of the forecasts before the present model and with it."""
    present = data.decision.get("version")
    errors = dict(zip(data.realised["model_version"].tolist(), data.realised["wape"].tolist(), strict=True))
    before = [version for version in errors if present is None or version < present]
    parts = [f"version {version} missed by {percent(errors[version])} of the volume" for version in before[-1:]]
    if present in errors:
        parts.append(f"version {present}, in production now, missed by {percent(errors[present])}")
    elif before:
        expected = percent(data.value(data.winner, "wape"))
        parts.append(f"version {present}, in production now, missed by {expected} in its backtest and has no past yet")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else None


def driven_by(data: ReportData) -> str | None:
    """Which features matter most."""
    known = data.importance[data.importance["value"] > 0].sort_values(["value", "name"], ascending=[False, True])
    if known.empty:
        return None
    top = known.head(3)
    names = [f"“{clean(feature_label(name, data.step), 60)}”" for name in top["name"]]
    share = percent(top["value"].sum() / known["value"].sum(), 0)
    verb = "matters" if len(names) == 1 else "matter"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    of = f" to {algorithm_label(data.importance_of)}" if data.importance_of else ""
    return f"{listed} {verb} most{of}: {share} of the importance of all {plural(len(known), 'feature')}."


def moved_by(data: ReportData) -> str | None:
    """Which groups of features move the forecasts most, and what accuracy rests on."""
    strength = influence(data.explanations)
    if strength.empty:
        return None
    top = strength.head(2)
    names = [f"“{clean(group, 60)}”" for group in top["group"]]
    first = f"{' and '.join(names)} {'moves' if len(names) == 1 else 'move'} the forecasts most"
    text = f"{first}: {percent(top['share'].sum(), 0)} of all changes from an average row."
    lost = shuffled(data.explanations, data.importance_of)
    lost = lost[lost["share"] > 0].sort_values(["share", "group"], ascending=[False, True])
    if not lost.empty:
        most = lost.iloc[0]
        text += (
            f" Without “{clean(most['group'], 60)}” (its values shuffled among the backtest's rows) "
            f"{algorithm_label(data.importance_of)} would miss by {percent(most['share'])} of sales more."
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
                f"{clean(group, 40)}: {clean(high['at_label'], 20)} {percent(high['share'], 0, sign=True)}, "
                f"{clean(low['at_label'], 20)} {percent(low['share'], 0, sign=True)}"
            )
    return f"Highest and lowest, as a share of the mean forecast: {'; '.join(parts)}." if parts else None


def dependence_text(data: ReportData) -> str | None:
    """What the curves are, and how they can mislead."""
    if not dependences(data.explanations):
        return None
    return (
        "The mean forecast if one feature had the same value everywhere and all others stayed as they are. Amounts are "
        "multiples of the series' usual level. Features move together in real sales, so a curve is no promise."
    )


def taken_apart(data: ReportData) -> str | None:
    """How a waterfall is read."""
    known = waterfalls(data.explanations)
    if not known:
        return None
    fits = [one.fit for one in known if one.fit is not None]
    text = (
        f"The base is what the model forecasts of an average row of its training at the series' size; each bar is what "
        f"a group of features adds or takes away (SHAP values), and they add up to the forecast. Shown is each "
        f"series' {data.step} with the highest forecast."
    )
    if fits:
        text += f" A linear model around these forecasts (LIME) explains {percent(float(np.median(fits)), 0)} of what"
        text += " the model does there: the lower, the more the groups act together."
    return text


def typical_error(data: ReportData) -> str | None:
    """How far off a single forecast is, from the sample."""
    error = (data.sample["yhat"] - data.sample["y"]).to_numpy(dtype=float)
    error = error[np.isfinite(error)]
    if error.size == 0:
        return None
    half = amount(float(np.median(np.abs(error))))
    what = f"in {data.unit}" if data.target == "revenue" else data.unit
    return (
        f"Half of all forecasts for one series and {data.step} are off by less than {half} {what}; "
        f"{percent(float((error > 0).mean()), 0)} are too high, {percent(float((error < 0).mean()), 0)} too low."
    )


def outlook(data: ReportData) -> str | None:
    """What the next horizon brings against the one before."""
    if data.total_future.empty or data.total_actual.empty:
        return None
    future = data.total_future.sort_values("ds")
    actual = data.total_actual.assign(ds=pd.to_datetime(data.total_actual["ds"])).sort_values("ds")
    expected, before = float(future["yhat"].sum()), float(actual.tail(len(future))["y"].sum())
    until = f"Until {day(pd.Timestamp(future['ds'].max()).date())}"
    if data.target == "revenue":
        text = f"{until}, revenue of {amount(expected)} is expected"
    else:
        text = f"{until}, sales of {amount(expected)} units are expected"
    if before > 0 and len(actual) >= len(future):
        change = expected / before - 1
        span = f"the {plural(len(future), data.step)} before"
        text += (
            f", about as much as in {span}"
            if abs(change) < SMALL
            else (f", {percent(abs(change))} {'more' if change > 0 else 'less'} than in {span}")
        )
    return text + "."


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
    return (
        f"Added up over all series and {data.horizon} {data.steps if data.horizon > 1 else data.step}, "
        f"the backtests were off by {percent(error)} on average: errors of single series even out."
    )


def single_series(data: ReportData) -> str | None:
    """The best and the worst series."""
    parts = []
    for word, frame in (("best", data.best_series), ("worst", data.worst_series)):
        if not frame.empty:
            row = frame.iloc[0]
            label = row["label"] if "label" in frame and isinstance(row["label"], str) else row["unique_id"]
            parts.append(f"“{clean(label, 60)}” is forecast {word} (WAPE {percent(row['wape'], 0)})")
    return f"Of the series with enough sales, {' and '.join(parts)}." if parts else None


def data_quality(data: ReportData) -> str | None:
    """What became of the delivered rows."""
    quality = data.quality
    delivered = quality.get("delivered")
    if not delivered:
        return None
    aside = quality.get("quarantined", 0)
    text = f"Of {plural(delivered, 'delivered row')}, {percent(quality.get('accepted', 0) / delivered)} are used"
    if aside:
        text += f" and {plural(aside, 'row')} ({percent(aside / delivered)}) set aside with a reason"
        if reasons := quality.get("reasons"):
            most = min(reasons, key=lambda name: (-reasons[name], name))
            text += f", most often “{clean(sentence(most), 60).lower()}”"
    return text + "."


def quality_facts(data: ReportData) -> list[tuple[str, str]]:
    """Name and value of what is known about rows and series."""
    quality = data.quality
    counts = (
        ("Rows delivered", "delivered"),
        ("Left out by the filter", "filtered_out"),
        ("Rows used", "accepted"),
        ("Rows set aside", "quarantined"),
        ("Rows flagged, and used", "flagged"),
        ("Series", "series"),
        (f"Closed {data.steps}", "closed_days"),
    )
    facts = [(label, number(quality[key])) for label, key in counts if key in quality]  # type: ignore[literal-required]
    if quality.get("first_date") and quality.get("last_date"):
        facts.append(("Period", f"{day(quality['first_date'])} {DASH} {day(quality['last_date'])}"))
    if "short_series" in quality:
        by = f", forecast by {algorithm_label(str(quality['fallback'])).lower()}" if quality.get("fallback") else ""
        facts.append(
            (
                "Series too short for the model",
                number(quality["short_series"]) + (by if quality["short_series"] else ""),
            )
        )
    if quality.get("ended_series"):
        facts.append(("Series that stopped selling", f"{number(quality['ended_series'])}, forecast by zero"))
    return facts
