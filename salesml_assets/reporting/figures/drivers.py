"""Figures of what drives the forecasts: groups of features, effects by value, dependences, single forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from salesml_assets.forecasting.panel_features import WEEKDAY, YEAR
from salesml_assets.language import _, stored
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.explained import (
    Waterfall,
    dependences,
    effects,
    influence,
    shuffled,
    waterfalls,
)
from salesml_assets.reporting.formats import amount, day, percent
from salesml_assets.reporting.style import BLUE, INK, MUTED, ORANGE, PALE, new_figure, styled, value_axis
from salesml_assets.text import clean

SHOWN_WATERFALLS = 4
SHOWN_EFFECTS = 4


@styled
def group_influence(data: ReportData) -> Figure | None:
    """How much each group of features moves a forecast, and how much the error grows without it."""
    strength = influence(data.explanations)
    if strength.empty:
        return None
    lost = shuffled(data.explanations, data.importance_of).set_index("group")
    groups = strength["group"].tolist()
    figure = new_figure(11, 1.1 + 0.34 * len(groups), between=0.05)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(groups))
    _bars(left, places, strength["amount"], [f"{amount(v)}  ({percent(s, 0)})" for v, s in _pairs(strength)])
    value_axis(left, "x", _("Mean change of a forecast ({unit} per {step} and series)", unit=data.unit, step=data.step))
    left.set_title(_("How much it moves the forecasts"))
    if len(lost):
        shares = [float(lost["share"].get(group, np.nan)) for group in groups]
        _bars(right, places, shares, [percent(share, 1, sign=True) for share in shares])
        value_axis(right, "x", _("WAPE points added when its values are shuffled"), share=True)
        right.set_title(_("How much accuracy depends on it"))
    else:
        right.set_visible(False)
    left.set_yticks(places, [clean(stored(group), 40) for group in groups])
    left.tick_params(axis="y", colors=INK)
    left.set_ylim(len(groups) - 0.4, -0.6)
    return figure


def _pairs(frame: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(frame["amount"], frame["share"], strict=True))


def _bars(axes: Axes, places: np.ndarray, sizes: object, texts: list[str]) -> None:
    values = np.nan_to_num(np.asarray(sizes, dtype=float))  # what is not known has no bar
    axes.barh(places, values, height=0.68, color=np.where(values < 0, PALE, BLUE))
    for place, value, text in zip(places, values, texts, strict=True):
        axes.annotate(
            text, (max(float(value), 0.0), place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8, color=MUTED,
        )  # fmt: skip
    reach = float(np.abs(values).max()) or 1.0
    axes.set_xlim(min(0.0, 1.15 * float(values.min())), 1.3 * reach)
    axes.axvline(0, color=PALE, linewidth=0.8)


@styled
def effects_by_value(data: ReportData) -> Figure | None:
    """What a weekday, a month, the distance or a planned value adds or takes away, on average."""
    known = list(effects(data.explanations).items())[:SHOWN_EFFECTS]
    # The calendar first: it is what planners compare their own experience with.
    known.sort(key=lambda item: (item[0].startswith("Planned"), -len(item[1])))
    if not known:
        return None
    figure = new_figure(11, 2.9, between=0.06)
    grid = figure.subplots(1, len(known), squeeze=False, gridspec_kw={"width_ratios": [3 + len(p) for __, p in known]})
    for axes, (group, part) in zip(grid.flat, known, strict=True):
        sizes = part["share"].to_numpy(dtype=float)
        axes.bar(range(len(part)), sizes, width=0.72, color=np.where(sizes < 0, ORANGE, BLUE))
        length = 3 if group in (WEEKDAY, YEAR) else 10
        axes.set_xticks(
            range(len(part)), [clean(stored(label), 40)[:length] for label in part["at_label"].fillna("none")]
        )
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_title(clean(stored(group), 30))
        value_axis(axes, "y", _("Share of the mean forecast") if axes is grid.flat[0] else "", share=True)
    return figure


@styled
def partial_dependence(data: ReportData) -> Figure | None:
    """The mean forecast as one feature alone is moved through its range."""
    known = dependences(data.explanations)
    if not known:
        return None
    columns = 3
    rows = -(-len(known) // columns)
    figure = new_figure(11, 2.3 * rows, between=0.05)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(known) :]:
        axes.set_visible(False)
    for place, (axes, (label, part)) in enumerate(zip(grid.flat, known.items(), strict=False)):
        axes.plot(part["at"], part["amount"], color=BLUE, linewidth=1.8, marker="o", markersize=3.5)
        axes.set_title(clean(stored(label), 44))
        value_axis(axes, "x", bins=5)
        value_axis(axes, "y", _("Mean forecast ({unit})", unit=data.unit) if place % columns == 0 else "", bins=4)
        axes.set_ylim(bottom=min(0.0, float(part["amount"].min())))
    return figure


@styled
def forecast_waterfalls(data: ReportData) -> Figure | None:
    """Chosen forecasts from the base to the forecast, group by group."""
    known = _varied(waterfalls(data.explanations))
    if not known:
        return None
    rows = -(-len(known) // 2)
    height = max(len(one.parts) for one in known)
    figure = new_figure(11, rows * (1.0 + 0.24 * (height + 2)), between=0.06)
    grid = figure.subplots(rows, 2, squeeze=False)
    for axes in grid.flat[len(known) :]:
        axes.set_visible(False)
    for axes, one in zip(grid.flat, known, strict=False):
        _waterfall(axes, one, data.unit)
    return figure


def _varied(known: list[Waterfall]) -> list[Waterfall]:
    """At most `SHOWN_WATERFALLS`, of as many reasons as there are, in the order of the table."""
    taken: dict[str, int] = {}
    ranks = []
    for one in known:
        ranks.append(taken.get(one.reason, 0))
        taken[one.reason] = ranks[-1] + 1
    order = sorted(range(len(known)), key=lambda place: (ranks[place], place))[:SHOWN_WATERFALLS]
    return [known[place] for place in sorted(order)]


def _waterfall(axes: Axes, one: Waterfall, unit: str) -> None:
    names = [_("Base"), *[stored(group) for group, __ in one.parts], _("Forecast")]
    starts, sizes, colours = [0.0], [one.base], ["#9aa7b3"]
    reached = one.base
    for __, size in one.parts:
        starts.append(reached)
        sizes.append(size)
        colours.append(BLUE if size >= 0 else ORANGE)
        reached += size
    starts.append(0.0)
    sizes.append(one.yhat)
    colours.append(INK)
    places = np.arange(len(names))
    axes.barh(places, sizes, left=starts, height=0.64, color=colours)
    ends = np.array(starts) + np.array(sizes)
    low, high = min(0.0, *starts, *ends), max(*starts, *ends)
    room = (high - low) or 1.0
    for place, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        sign = "+" if 0 < place < len(names) - 1 and size >= 0 else ""
        axes.annotate(
            f"{sign}{amount(size)}", (max(start, start + size), place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=INK if place in (0, len(names) - 1) else MUTED,
        )  # fmt: skip
    axes.set_xlim(low - 0.02 * room, high + 0.2 * room)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(places, [clean(name, 40) for name in names])
    axes.tick_params(axis="y", colors=INK)
    axes.axvline(0, color=PALE, linewidth=0.8)
    value_axis(axes, "x", unit, bins=5)
    axes.set_title(f"{clean(one.unique_id, 30)}, {day(one.ds.date())}")
    fit = "" if one.fit is None else " · " + _("surrogate fits {share}", share=percent(one.fit, 0))
    axes.set_title(f"{stored(one.reason)}{fit}", loc="right", fontsize=7.5, fontweight="normal", color=MUTED)
