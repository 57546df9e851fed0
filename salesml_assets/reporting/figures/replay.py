"""The figure of a replay: errors with and without retraining, above what drifted in which week."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num, num2date
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from salesml_assets.reporting.style import (
    BASELINE,
    BLUE,
    INK,
    MUTED,
    ORANGE,
    legend_above,
    new_figure,
    styled,
    value_axis,
)
from salesml_assets.text import clean

KINDS = ("input", "target", "prediction", "mix", "series", "error")
EVENT = "#fbe6d3"
HALF = 3.5  # days
MAX_LABELS = 9


@styled
def replay_figure(weeks: pd.DataFrame, events: pd.DataFrame) -> Figure:
    """WAPE and bias of each week, retrains, events, and the kinds of drift that were seen.

    Args:
        weeks: `monday`, `wape`, `bias`, `first_wape`, `first_bias` (of the model that is not retrained), `retrained`,
            `drifted` (list of kinds).
        events: `label`, `begins`, `ends` (days; the last one is not part of it).
    """
    figure = new_figure(11, 6)
    errors, biases, seen = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1.3, 1])
    days = _numbers(weeks["monday"])
    for axes, name, label in ((errors, "wape", "WAPE"), (biases, "bias", "Bias")):
        axes.plot(days, weeks[f"first_{name}"], color=BASELINE, linestyle=(0, (4, 2)))
        axes.plot(days, weeks[name], color=BLUE, linewidth=2, marker="o", markersize=3.5)
        axes.margins(y=0.15)
        value_axis(axes, "y", label, share=True, bins=5)
    biases.axhline(0, color=MUTED, linewidth=0.8)
    for axes in (errors, biases, seen):
        for begins, ends in zip(_numbers(events["begins"]), _numbers(events["ends"]), strict=True):
            axes.axvspan(begins - HALF, ends - HALF, color=EVENT, linewidth=0, zorder=0)
        for day in days[weeks["retrained"].to_numpy(dtype=bool)]:
            axes.axvline(day + HALF, color=INK, linewidth=1.1)
    _drift(seen, weeks, days)
    seen.set_xlim(days[0] - HALF, days[-1] + 2 * HALF)
    every = math.ceil(len(days) / MAX_LABELS)
    seen.set_xticks(days[::every], [f"{day.day} {day:%b %Y}" for day in num2date(days[::every])])  # type: ignore[no-untyped-call]
    _legend(errors, weeks, events)
    return figure


def _numbers(days: pd.Series) -> np.ndarray:
    return np.asarray(date2num(pd.to_datetime(days).to_numpy()), dtype=float)  # type: ignore[no-untyped-call]


def _drift(axes: Axes, weeks: pd.DataFrame, days: np.ndarray) -> None:
    for place, kind in enumerate(reversed(KINDS)):
        found = days[[kind in drifted for drifted in weeks["drifted"]]]
        axes.scatter(found, np.full(len(found), place), s=42, marker="s", color=ORANGE, linewidth=0)
    axes.set_yticks(range(len(KINDS)), list(reversed(KINDS)))
    axes.set_ylim(-0.7, len(KINDS) - 0.3)
    axes.set_ylabel("Drift of")
    axes.grid(True, axis="y")


def _legend(axes: Axes, weeks: pd.DataFrame, events: pd.DataFrame) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=BLUE, linewidth=2, marker="o", markersize=3.5, label="Production model"),
        Line2D([], [], color=BASELINE, linestyle=(0, (4, 2)), label="First model, without retraining"),
    ]
    if weeks["retrained"].any():
        handles.append(Line2D([], [], color=INK, linewidth=1.1, label="Retrain, after the week"))
    if len(events):
        names = ", ".join(dict.fromkeys(events["label"]))
        handles.append(Patch(color=EVENT, label=clean(f"Event: {names}", 60)))
    legend_above(axes, handles, labelcolor=MUTED)
