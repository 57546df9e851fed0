"""Figures that compare algorithms: metrics, error by horizon and fold, evidence for the promotion."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Hashable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from salesml_assets.language import N_, _
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.formats import algorithm_label, amount, day, is_number, metric_label, percent
from salesml_assets.reporting.style import (
    BLUE,
    INK,
    MUTED,
    PALE,
    colours,
    emphasis,
    line_labels,
    markers,
    new_figure,
    styled,
    value_axis,
)
from salesml_assets.reporting.tables import ahead
from salesml_assets.text import clean

SHARES = {"wape", "bias"}
BAR_METRICS = ("wape", "mae", "rmse", "rmsse", "r2", "bias")
_LOWER = N_("lower is better")
_BETTER = {"r2": N_("higher is better"), "bias": N_("nearer to zero is better")}
_BAR_HEIGHT = 0.23
MIN_MARGIN = 1e-6


@styled
def metric_bars(data: ReportData) -> Figure | None:
    """One bar per algorithm for each metric, the winner in blue; None where nothing was measured."""
    metrics = [metric for metric in BAR_METRICS if data.by_algorithm(metric)]
    if not metrics:
        return None
    rows = math.ceil(len(metrics) / 3)
    height = rows * (0.7 + _BAR_HEIGHT * len(data.algorithms))
    figure = new_figure(11, height, between=0.05)
    columns = min(3, len(metrics))
    grid = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(metrics):
            axes.set_visible(False)
        else:
            _bars(axes, data, metrics[index], named=index % columns == 0)
    return figure


def _bars(axes: Axes, data: ReportData, metric: str, *, named: bool) -> None:
    values = data.by_algorithm(metric)
    names = data.algorithms
    drawn = [values.get(name, 0.0) for name in names]
    bars = axes.barh(range(len(names)), drawn, height=0.72, color=[_bar_colour(name, data) for name in names])
    reach = max(abs(value) for value in drawn) or 1.0
    low, high = min(0.0, *drawn), max(0.0, *drawn)
    for bar, name in zip(bars, names, strict=True):
        value = values.get(name)
        outward = -1 if value is not None and value < 0 else 1
        text = (percent(value) if metric in SHARES else amount(value)) if value is not None else _("not defined")
        axes.annotate(
            text,
            xy=(value or 0.0, bar.get_y() + bar.get_height() / 2),
            xytext=(4 * outward, 0),
            textcoords="offset points",
            ha="left" if outward > 0 else "right",
            va="center",
            fontsize=8,
            color=INK if name == data.winner else MUTED,
            fontweight="bold" if name == data.winner else "normal",
        )
    axes.set_xlim(low - (0.34 * reach if low < 0 else 0.0), high + (0.34 * reach if high > 0 or low == 0 else 0.0))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_yticks(range(len(names)), [algorithm_label(name) if named else "" for name in names])
    _mark_winner(axes, names, data.winner)
    axes.set_title(metric_label(metric))
    unit = f"{data.unit}, " if metric in {"mae", "rmse"} else ""
    better = _(_BETTER.get(metric, _LOWER))
    axes.set_title(unit + better, loc="right", fontsize=7.5, fontweight="normal", color=MUTED)


def _bar_colour(name: str, data: ReportData) -> str:
    if name == data.winner:
        return BLUE
    return "#9aa7b3" if name == data.baseline else "#ccd5dd"


def _mark_winner(axes: Axes, names: list[str], winner: str) -> None:
    for name, label in zip(names, axes.get_yticklabels(), strict=True):
        if name == winner:
            label.set_color(INK)
            label.set_fontweight("bold")


@styled
def error_by_horizon(data: ReportData) -> Figure | None:
    """WAPE per bucket of the horizon, one line per algorithm; None without such metrics."""
    segments = list(data.by_segment("wape", "horizon").columns)
    return _lines(data, "horizon", segments, ahead(data))


@styled
def error_by_fold(data: ReportData) -> Figure | None:
    """WAPE per fold, oldest first, one line per algorithm; None without such metrics."""
    segments = list(data.by_segment("wape", "fold").columns)
    periods = data.total_backtest.assign(fold=data.total_backtest["fold"].astype(str)).groupby("fold")["ds"]
    starts, ends = periods.min().to_dict(), periods.max().to_dict()
    labels = [_period(starts, ends, name) for name in segments]
    return _lines(data, "fold", labels, _("Backtest period"))


def _period(starts: Mapping[Hashable, dt.date], ends: Mapping[Hashable, dt.date], fold: str) -> str:
    if fold not in starts:
        return _("Fold {fold}", fold=fold)
    return _("{first}\nto {last}", first=day(starts[fold]), last=day(ends[fold]))


def _lines(data: ReportData, dimension: str, ticks: list[str], title: str) -> Figure | None:
    table = data.by_segment("wape", dimension)
    if table.empty:
        return None
    figure = new_figure(5.4, 3.5)
    axes = figure.subplots()
    palette = colours(data.algorithms, data.winner, data.baseline)
    shapes = markers(data.algorithms, data.winner, data.baseline)
    places = np.arange(len(ticks))
    ends = []
    for name in table.index:
        values = table.loc[name].to_numpy(dtype=float)
        leading = name == data.winner
        axes.plot(
            places,
            values,
            color=palette[name],
            marker=shapes[name],
            markersize=6 if leading else 4.5,
            **emphasis(name, data.winner, data.baseline),
            label=name,
        )
        known = values[np.isfinite(values)]
        ends.append((algorithm_label(name), float(known[-1]), palette[name]))
    values = table.to_numpy(dtype=float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    # Differences that are none still get an axis, and one on which labels can be placed.
    margin = max(0.12 * (high - low) or 0.1 * abs(high) or 0.1, MIN_MARGIN)
    axes.set_ylim(max(0.0, low - margin), high + margin)
    axes.set_xlim(-0.25, len(ticks) - 0.75 if len(ticks) > 1 else 0.5)
    axes.set_xticks(places, ticks)
    value_axis(axes, "y", _("WAPE (error as a share of sales)"), share=True)
    axes.set_xlabel(title)
    line_labels(axes, ends, float(places[-1]), bold=algorithm_label(data.winner))
    return figure


@styled
def gain_intervals(data: ReportData) -> Figure | None:
    """Each challenger's gain over the reference with its confidence interval; None where no interval is known."""
    rows = []
    for row in data.decision.get("challengers", []):
        low, middle, high = row.get("difference_low"), row.get("difference"), row.get("difference_high")
        if is_number(low) and is_number(middle) and is_number(high):
            rows.append((row["algorithm"], low, middle, high))
    if not rows:
        return None
    figure = new_figure(11, 0.85 + 0.34 * len(rows))
    axes = figure.subplots()
    for place, (name, low, middle, high) in enumerate(rows):
        colour = BLUE if name == data.winner else MUTED
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2)
        axes.plot([middle], [place], "o", color=colour, markersize=6)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    names = [name for name, *_ in rows]
    axes.set_yticks(range(len(names)), [algorithm_label(name) for name in names])
    _mark_winner(axes, names, data.winner)
    axes.margins(x=0.08)
    reference = algorithm_label(data.decision.get("champion") or data.baseline)
    label = _("WAPE below that of {model} (right of zero: better)", model=clean(reference, 40))
    value_axis(axes, "x", label, share=True, bins=8)
    axes.spines["left"].set_visible(False)
    return figure
