"""The tables of the report as text cells: a header row, rows, and which row stands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from salesml_assets.forecasting.hierarchy import OVERALL, SERIES
from salesml_assets.language import _, stored
from salesml_assets.reporting.data import ReportData, natural_order
from salesml_assets.reporting.explained import influence
from salesml_assets.reporting.formats import (
    DASH,
    algorithm_label,
    amount,
    day,
    duration,
    is_number,
    number,
    p_value,
    parameters,
    percent,
    sentence,
    word,
)
from salesml_assets.reporting.readings import listed, period
from salesml_assets.text import clean

TOP_SEGMENTS = 12


@dataclass(frozen=True)
class Table:
    """A table to print: the first column names the row, `text_columns` are set left, all others right."""

    caption: str
    header: list[str]
    rows: list[list[str]]
    highlighted: int | None = None
    text_columns: set[int] = field(default_factory=lambda: {0})


def algorithms_table(data: ReportData) -> Table:
    """All metrics of all algorithms, best first."""
    metrics = (
        ("wape", "WAPE"),
        ("mae", "MAE"),
        ("rmse", "RMSE"),
        ("rmsse", "RMSSE"),
        ("r2", "R²"),
        ("bias", _("Bias")),
        ("coverage80", _("In {level}", level=percent(0.8, 0))),
        ("coverage95", _("In {level}", level=percent(0.95, 0))),
        ("change", _("Change")),
    )
    known = [(metric, label, values) for metric, label in metrics if (values := data.by_algorithm(metric))]
    runs = data.runs.set_index("algorithm")
    timed = runs["seconds"].notna().any() if len(runs) else False
    rows = []
    for name in data.algorithms:
        cells = [algorithm_label(name), *[_metric_cell(metric, values.get(name)) for metric, _label, values in known]]
        if timed:
            cells.append(duration(runs["seconds"].get(name)))
        rows.append(cells)
    header = [_("Algorithm"), *[label for _metric, label, _values in known], *([_("Time")] if timed else [])]
    return Table(
        _("Metrics of all algorithms on the same backtest rows"), header, rows, data.algorithms.index(data.winner)
    )


def _metric_cell(metric: str, value: float | None) -> str:
    if metric == "bias":
        return percent(value, sign=True)
    if metric in {"wape", "coverage80", "coverage95", "change"}:
        return percent(value)
    return number(value, 3) if metric in {"r2", "rmsse"} else amount(value)


def parameters_table(data: ReportData) -> Table | None:
    """The chosen parameters of each algorithm, its training rows and time."""
    if data.runs.empty:
        return None
    runs = {row["algorithm"]: row for row in data.runs.to_dict("records")}
    names = [name for name in data.algorithms if name in runs]
    rows = [
        [
            algorithm_label(name),
            parameters(runs[name]["parameters"]),
            number(runs[name]["rows"]),
            duration(runs[name]["seconds"]),
        ]
        for name in names
    ]
    marked = names.index(data.winner) if data.winner in names else None
    header = [_("Algorithm"), _("Parameters"), _("Training rows"), _("Time")]
    return Table(_("Chosen parameters"), header, rows, marked, {0, 1})


def challengers_table(data: ReportData) -> Table | None:
    """The evidence of the promotion decision."""
    challengers = data.decision.get("challengers", [])
    if not challengers:
        return None
    level = data.decision.get("confidence_level", 0.95)
    rows = []
    for row in challengers:
        low, high = row.get("difference_low"), row.get("difference_high")
        interval = DASH
        if is_number(low) and is_number(high):
            interval = _("{low} to {high}", low=_points(low), high=_points(high))
        beats = row.get("beats_naive")
        rows.append(
            [
                algorithm_label(row["algorithm"]),
                percent(row.get("wape")),
                _points(row.get("difference")),
                interval,
                percent(row.get("relative_gain"), sign=True),
                p_value(row.get("p_value")),
                p_value(row.get("p_value_adjusted")),
                DASH if beats is None else _("yes") if beats else _("no"),
            ]
        )
    names = [row["algorithm"] for row in challengers]
    header = [
        _("Challenger"),
        "WAPE",
        _("Gain in WAPE points"),
        _("{level} confidence interval", level=percent(level, 0)),
        _("Relative gain"),
        "p",
        _("p, all tests"),
        _("Beats baseline"),
    ]
    marked = names.index(data.winner) if data.winner in names else None
    return Table(_("Challengers against the reference"), header, rows, marked)


def _points(share: object) -> str:
    """A difference of two percentages, in percentage points."""
    return percent(share, 2, sign=True).removesuffix("%")


def coverage_table(data: ReportData) -> Table | None:
    """Measured coverage of the intervals, in total and by part."""
    known = data.coverage
    if known.empty:
        return None
    levels = sorted(known["level"].dropna().unique())
    has_orders = bool(known["level"].isna().any())
    names = {
        "total": _("All"),
        "fold": _("Backtest period"),
        "horizon": ahead(data),
        "volume_class": _("Volume class"),
    }
    rows = []
    for dimension, name in names.items():
        part = known[known["dimension"] == dimension]
        segments = part["segment"].fillna("").astype(str)
        for segment in natural_order(set(segments)):
            values = part[segments == segment]
            by_level = dict(zip(values["level"], values["coverage"], strict=True))
            label = name if dimension == "total" else f"{name} {clean(segment, 40)}"
            ordered = values["coverage"][values["level"].isna()].tolist()
            cells = [percent(by_level.get(level)) for level in levels]
            rows.append([label, *cells, *([percent(ordered[0] if ordered else None)] if has_orders else [])])
    if not rows:
        return None
    return Table(
        _("Share of actual values inside the intervals, and at or below the order quantity")
        if has_orders
        else _("Share of actual values inside the intervals"),
        [
            _("Part"),
            *[_("{level} interval", level=percent(level, 0)) for level in levels],
            *([_("Order for {level}", level=percent(data.service_level, 0))] if has_orders else []),
        ],
        rows,
    )


def ahead(data: ReportData) -> str:
    """The distance of a forecast, as a heading."""
    return _("Weeks ahead") if data.weekly else _("Days ahead")


def costs_table(data: ReportData) -> Table | None:
    """Cost of the errors of one horizon: of the winner, the baseline and the model before, in total and by category."""
    total, categories = data.by_segment("cost", "total"), data.by_segment("cost", "category")
    if data.winner not in total.index:
        return None
    names = [data.winner, data.baseline, data.decision.get("champion")]
    shown = [name for name in dict.fromkeys(names) if name in total.index]
    parts = [(_("All"), total[total.columns[0]])]
    if data.winner in categories.index:
        own_costs = categories.loc[data.winner].astype(float).fillna(0.0)
        largest = sorted(categories.columns, key=lambda name: (-own_costs[name], name))
        parts += [(clean(name or _("(none)"), 60), categories[name]) for name in largest[:TOP_SEGMENTS]]
    against = data.baseline in shown and data.baseline != data.winner
    rows = []
    for label, costs in parts:
        cells = [label, *[amount(costs.get(name)) for name in shown]]
        if against:
            own, baseline = costs.get(data.winner), costs.get(data.baseline)
            if is_number(own) and is_number(baseline) and baseline > 0:
                cells.append(percent(own / baseline - 1, 0, sign=True))
            else:
                cells.append(DASH)
        rows.append(cells)
    header = [_("Category"), *[str(algorithm_label(str(name))) for name in shown]]
    header += [_("Against {model}", model=algorithm_label(data.baseline).lower())] if against else []
    caption = _("Cost of the errors in {period}, by category", period=period(data))
    if categories.shape[1] > TOP_SEGMENTS:
        caption += " " + _("(the {count} costliest of {all})", count=TOP_SEGMENTS, all=categories.shape[1])
    return Table(caption, header, rows, 0)


def orders_table(data: ReportData) -> Table | None:
    """Availability and stock by the service level of the orders, for the winner, the baseline and the model before."""
    known = data.orders
    if known.empty:
        return None
    names = list(dict.fromkeys(known["algorithm"]))
    levels = sorted(known["service_level"].unique())
    cells = {(row["algorithm"], row["service_level"]): row for row in known.to_dict("records")}
    rows = []
    for level in levels:
        row = [percent(level, 0 if round(100 * level, 6) == round(100 * level) else 1)]
        for name in names:
            found = cells.get((name, level), {})
            row += [percent(found.get("fill_rate")), number(found.get("cover"), 1)]
        rows.append(row)
    header = [_("Safety for")]
    for name in names:
        label = algorithm_label(str(name))
        header += [
            _("{model}: demand served", model=label),
            _("{model}: stock, {steps}", model=label, steps=data.steps),
        ]
    marked = levels.index(data.service_level) if data.service_level in levels else None
    return Table(_("Availability and stock in the replay"), header, rows, marked)


def realised_table(data: ReportData) -> Table | None:
    """What came of the forecasts of each model version, the present one highlighted."""
    if data.realised.empty:
        return None
    versions = data.realised["model_version"].tolist()
    rows = [
        [
            str(row["model_version"]),
            _("{low} to {high}", low=day(row["first"]), high=day(row["last"])),
            percent(row["wape"]),
            percent(row["bias"], sign=True),
            percent(row["baseline_wape"]),
        ]
        for row in data.realised.to_dict("records")
    ]
    present = data.decision.get("version")
    return Table(
        _("Forecasts that have come true or not"),
        [_("Model version"), _("Weeks from"), "WAPE", _("Bias"), _wape_of(data.baseline)],
        rows,
        highlighted=versions.index(present) if present in versions else None,
        text_columns={0, 1},
    )


def _wape_of(algorithm: str) -> str:
    return _("WAPE, {model}", model=algorithm_label(algorithm))


def ab_test_table(data: ReportData) -> Table | None:
    """The two arms of the latest A/B test: error on the same rows, and what the prediction service noted of each."""
    test = data.ab_test
    if test is None:
        return None
    values: dict[str, Any] = {**test}
    arms = (("champion", _("Champion")), ("challenger", _("Challenger")))
    rows = [
        [
            f"{label}: {algorithm_label(str(values[arm]))}",
            percent(values[f"{arm}_wape"], 2),
            number(values[f"{arm}_requests"]),
            number(values[f"{arm}_failed"]),
            number(values[f"{arm}_p50_ms"], 1),
            number(values[f"{arm}_p99_ms"], 1),
            percent(values[f"{arm}_served_wape"]),
        ]
        for arm, label in arms
    ]
    header = [
        _("Model"), _("WAPE, same rows"), _("Requests"), _("Failed"), "p50, ms", "p99, ms",
        _("WAPE of what was served"),
    ]  # fmt: skip
    return Table(_("Champion and challenger"), header, rows)


def segments_table(data: ReportData, dimension: str) -> Table | None:
    """The winner's and the baseline's error per category or volume class, the largest segments first."""
    table = data.by_segment("wape", dimension)
    if data.winner not in table.index:
        return None
    rows_of = data.by_segment("rows", dimension)
    sizes = rows_of.loc[data.winner] if data.winner in rows_of.index else None
    segments = list(table.columns)
    if sizes is not None and dimension == "category":
        segments.sort(key=lambda segment: (-sizes.get(segment, 0), segment))
    against = data.baseline in table.index and data.baseline != data.winner
    rows = []
    for segment in segments[:TOP_SEGMENTS]:
        cells = [clean(segment or _("(none)"), 60), percent(table.loc[data.winner, segment])]
        if against:
            cells.append(percent(table.loc[data.baseline, segment]))
        if sizes is not None:
            cells.append(number(sizes.get(segment)))
        rows.append(cells)
    by_class = dimension == "volume_class"
    header = [_("Volume class") if by_class else _("Category"), _wape_of(data.winner)]
    header += [_wape_of(data.baseline)] if against else []
    header += [_("Backtest rows")] if sizes is not None else []
    caption = _("Error by volume class") if by_class else _("Error by category")
    if len(segments) > TOP_SEGMENTS:
        caption += " " + _("(the {count} largest of {all})", count=TOP_SEGMENTS, all=len(segments))
    return Table(caption, header, rows)


def levels_table(data: ReportData) -> Table | None:
    """The winner's and the baseline's error by level: of totals, and of the series themselves."""
    wapes = data.by_segment("wape", "level")
    if data.winner not in wapes.index:
        return None
    found = dict.fromkeys([*data.totals["level"], *wapes.columns])
    segments = sorted(found, key=lambda name: name == SERIES)  # the series last
    metrics = ("wape", "bias", "coverage80", "coverage95")
    against = data.baseline in wapes.index and data.baseline != data.winner
    rows = []
    for segment in [name for name in segments if name in wapes.columns]:
        values = [data.by_algorithm(metric, "level", segment).get(data.winner) for metric in metrics]
        count = data.by_algorithm("series", "level", segment).get(data.winner)
        base = [percent(wapes.loc[data.baseline, segment])] if against else []
        rows.append([level_label(segment), number(count), *_level_cells(values, base)])
    own = [data.value(data.winner, metric) for metric in metrics]
    base = [percent(data.value(data.baseline, "wape"))] if against else []
    rows.append([_("Single series"), number(data.value(data.winner, "series")), *_level_cells(own, base)])
    header = [_("Forecasts"), _("Number"), _wape_of(data.winner)]
    header += [_wape_of(data.baseline)] if against else []
    inside = [_("In {level}", level=percent(level, 0)) for level in (0.8, 0.95)]
    return Table(_("Error by level"), [*header, _("Bias"), *inside], rows)


def _level_cells(values: list[float | None], base: list[str]) -> list[str]:
    wape, bias, *coverage = values
    return [percent(wape), *base, percent(bias, sign=True), *[percent(value) for value in coverage]]


def level_label(level: str) -> str:
    """A level in words.

    >>> level_label("total"), level_label("store/category")
    ('Overall', 'By store and category')
    """
    if level == SERIES:
        return _("Single series, reconciled")
    keys = [clean(word(key), 40) for key in level.split("/")]
    return _("Overall") if level == OVERALL else _("By {keys}", keys=listed(keys))


def totals_table(data: ReportData) -> Table | None:
    """What is forecast over the horizon for the largest totals, next to what they sold in as many steps before."""
    if data.totals.empty:
        return None
    rows: list[list[str]] = []
    marked = None
    for level, own in data.totals.groupby("level", sort=False):
        for row in own.head(TOP_SEGMENTS).to_dict("records"):
            known = is_number(row["sold"]) and row["sold"] > 0
            change = percent(row["forecast"] / row["sold"] - 1, sign=True) if known else DASH
            if level == "total":
                marked = len(rows)
            name = _("All series") if level == "total" else clean(row["node"] or _("(none)"), 60)
            rows.append(
                [level_label(str(level)), name, number(row["series"]), amount(row["sold"]), amount(row["forecast"]),
                 change]
            )  # fmt: skip
    before, after = _("Last {period}", period=period(data)), _("Next {period}", period=period(data))
    header = [_("Level"), _("Total"), _("Series"), before, after]
    sizes = data.totals.groupby("level").size()
    caption = _("Totals")
    if (sizes > TOP_SEGMENTS).any():
        caption += " " + _("(the {count} largest of each level)", count=TOP_SEGMENTS)
    return Table(caption, [*header, _("Change")], rows, marked, {0, 1})


def drivers_table(data: ReportData) -> Table | None:
    """What each algorithm looks at: shares of the mean absolute contributions of its groups of features."""
    known = {name: influence(data.explanations, name).set_index("group")["share"] for name in data.algorithms}
    known = {name: shares for name, shares in known.items() if len(shares)}
    own = influence(data.explanations)
    if own.empty or not known:
        return None
    others = sorted({group for shares in known.values() for group in shares.index} - set(own["group"]))
    groups = [*own["group"], *others]
    rows = [
        [algorithm_label(name), *[percent(shares.get(group), 0) for group in groups]] for name, shares in known.items()
    ]
    marked = list(known).index(data.winner) if data.winner in known else None
    header = [_("Algorithm"), *[clean(stored(group), 40) for group in groups]]
    caption = _("Share of each group in the changes from an average row, by algorithm")
    return Table(caption, header, rows, marked)


def reasons_table(data: ReportData) -> Table | None:
    """Every rule that set rows aside or flagged them, with its meaning."""
    quality = data.quality
    texts = quality.get("descriptions", {})
    rows = [
        [sentence(name), clean(stored(texts.get(name, DASH)), 160), kind, number(count)]
        for kind, counts in ((_("set aside"), quality.get("reasons", {})), (_("flagged"), quality.get("flags", {})))
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    header = [_("Rule"), _("Meaning"), _("Action"), _("Rows")]
    return Table(_("Rules that rows broke"), header, rows, None, {0, 1, 2}) if rows else None


def checks_table(data: ReportData) -> Table | None:
    """Results of the asset checks, failed ones first."""
    if data.checks.empty:
        return None
    ordered = data.checks.assign(passed=data.checks["passed"].astype(bool)).sort_values(
        ["passed", "check"], kind="stable"
    )
    rows = [
        [
            clean(row["check"], 80),
            result(bool(row["passed"]), str(row["severity"])),
            clean(stored(row["detail"]) if isinstance(row["detail"], str) else DASH, 160),
        ]
        for row in ordered.to_dict("records")
    ]
    return Table(_("Checks of this run"), [_("Check"), _("Result"), _("Measured")], rows, None, {0, 1, 2})


def result(passed: bool, severity: str) -> str:
    """The result of a check."""
    if passed:
        return _("passed")
    return _("failed") if severity.upper() == "ERROR" else _("warning")
