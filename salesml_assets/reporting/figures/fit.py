"""Figures of the winner alone: what it predicts, how it errs, what it looks at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from salesml_assets.language import _, bound
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.feature_names import feature_label
from salesml_assets.reporting.formats import compact, percent
from salesml_assets.reporting.style import BLUE, INK, MUTED, ORANGE, PALE, amount_tick, new_figure, styled, value_axis
from salesml_assets.text import clean

MANY_POINTS = 800
TOP_FEATURES = 15
# Amounts whose largest is this many times their median are drawn on a logarithmic scale.
SKEWED = 20.0
# So are bins of which the fullest holds this many times the median.
PEAKED = 40.0
DENSITY = LinearSegmentedColormap.from_list("density", ["#dcebf7", "#6fb0de", BLUE, "#00284a"])


@styled
def predicted_against_actual(data: ReportData) -> Figure | None:
    """Predicted against actual values of the winner, with the diagonal of perfect forecasts.

    Skewed amounts are drawn on an inverse-hyperbolic-sine scale, which is logarithmic for large amounts of either
    sign and still has a place for zero; many points are drawn as hexagons shaded by their number.
    """
    finite = np.isfinite(data.sample[["y", "yhat"]].to_numpy(dtype=float)).all(axis=1)
    pairs = data.sample[finite]
    if pairs.empty:
        return None
    actual, predicted = pairs["y"].to_numpy(dtype=float), pairs["yhat"].to_numpy(dtype=float)
    width = linear_width(actual)
    shown = [actual, predicted] if width is None else [np.arcsinh(actual / width), np.arcsinh(predicted / width)]
    low, high = min(values.min() for values in shown), max(values.max() for values in shown)
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    figure = new_figure(5.4, 4.2)
    axes = figure.subplots()
    if len(actual) > MANY_POINTS:
        hexagons = axes.hexbin(
            *shown, gridsize=34, extent=limits * 2, mincnt=1, cmap=DENSITY, norm=LogNorm(), linewidths=0.2
        )
        bar = figure.colorbar(hexagons, ax=axes, shrink=0.6, aspect=16, pad=0.02)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(amount_tick()))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label(_("{steps} of a series", steps=data.steps))
        bar.outline.set_visible(False)
    else:
        axes.plot(*shown, "o", color=BLUE, alpha=0.35, markersize=4, markeredgewidth=0)
    axes.plot(limits, limits, color=ORANGE, linewidth=1.3, label=_("perfect forecast"))
    # The axes are equal, so the diagonal stands at 45 degrees.
    axes.annotate(
        _("perfect forecast"),
        (limits[1], limits[1]),
        xytext=(-8, -2),
        textcoords="offset points",
        rotation=45,
        rotation_mode="anchor",
        ha="right",
        va="bottom",
        color=ORANGE,
        fontsize=8,
    )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    unit = data.unit if width is None else _("{unit}, logarithmic", unit=data.unit)
    for which, label in (("x", _("Actual ({unit})", unit=unit)), ("y", _("Forecast ({unit})", unit=unit))):
        value_axis(axes, which, label)
        if width is not None:
            _power_ticks(axes, which, max(np.abs(actual).max(), np.abs(predicted).max()), width)
    return figure


def linear_width(values: np.ndarray) -> float | None:
    """The amount below which a skewed axis is linear: a tenth of the median amount; None where nothing is skewed."""
    sizes = np.abs(values[values != 0])
    if sizes.size == 0 or sizes.max() < SKEWED * np.median(sizes):
        return None
    return float(np.median(sizes)) / 10


def _power_ticks(axes: Axes, which: str, largest: float, width: float) -> None:
    """Ticks at zero and at powers of ten, at most about seven of either sign."""
    first, last = int(np.ceil(np.log10(width))), int(np.floor(np.log10(largest)))
    powers = 10.0 ** np.arange(first, last + 1, max(1, (last - first) // 6))
    amounts = np.concatenate([-powers[::-1], [0.0], powers])
    low, high = axes.get_xlim()
    places = np.arcsinh(amounts / width)
    inside = (places >= low) & (places <= high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(places[inside], [compact(value) for value in amounts[inside]])


@styled
def residual_histogram(data: ReportData) -> Figure | None:
    """How far actual values lay from the forecasts of the winner, in shares of all rows."""
    counts = np.asarray(data.residual_counts, dtype=float)
    if counts.sum() <= 0:
        return None
    edges = np.asarray(data.residual_edges, dtype=float)
    figure = new_figure(5.4, 4.2)
    axes = figure.subplots()
    # The bin around zero is neither.
    tints = np.where(edges[1:] <= 0, "#e39a66", np.where(edges[:-1] >= 0, "#6fa8d1", PALE))
    shares = counts / counts.sum()
    axes.bar(edges[:-1], shares, width=np.diff(edges), align="edge", color=tints, edgecolor="white", linewidth=0.4)
    axes.axvline(0, color=INK, linewidth=1)
    low, high = _central_range(edges, counts)
    axes.set_xlim(low, high)
    cut = counts.size > 1 and (counts[0] > counts[1] or counts[-1] > counts[-2])
    unit = _("{unit}; the outer bars hold all beyond", unit=data.unit) if cut else data.unit
    value_axis(axes, "x", _("Actual minus forecast ({unit})", unit=unit))
    value_axis(axes, "y", _("Share of forecasts"), share=True)
    seen = shares[(shares > 0) & (edges[1:] > low) & (edges[:-1] < high)]
    if seen.max() > PEAKED * np.median(seen):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_plain_share()))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(_("Share of forecasts (logarithmic)"))
        axes.set_ylim(seen.min() / 2, 3 * seen.max())
    else:
        axes.set_ylim(0, 1.18 * seen.max())
    notes = ((0.02, "left", _("forecast too high"), ORANGE), (0.98, "right", _("forecast too low"), BLUE))
    for place, side, text, colour in notes:
        axes.text(place, 0.97, text, transform=axes.transAxes, ha=side, va="top", fontsize=8, color=colour)
    return figure


def _plain_share() -> Callable[[float, int], str]:
    """Percents of any size, with the digits that they have."""
    in_language = bound(lambda share: f"{compact(100 * share)}%")
    return lambda share, _place: in_language(share)


def _central_range(edges: np.ndarray, counts: np.ndarray, share: float = 0.995) -> tuple[float, float]:
    """The range of bins that holds this share of the rows, zero within it: a far bin must not squeeze the rest."""
    cumulated = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(cumulated, (1 - share) / 2, side="right"))
    last = int(np.searchsorted(cumulated, 1 - (1 - share) / 2, side="left"))
    low, high = float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])
    pad = 0.02 * (high - low)
    return min(low, 0.0) - pad, max(high, 0.0) + pad


@styled
def feature_importance(data: ReportData) -> Figure | None:
    """The features that matter most, as shares of the importance of all; None without any."""
    known = data.importance[np.isfinite(data.importance["value"].astype(float)) & (data.importance["value"] > 0)]
    if known.empty:
        return None
    shares = known.assign(share=known["value"] / known["value"].sum())
    top = shares.sort_values(["share", "name"], ascending=[False, True]).head(TOP_FEATURES)
    figure = new_figure(11, 0.7 + 0.235 * len(top))
    axes = figure.subplots()
    places = range(len(top))
    strengths = top["share"].to_numpy(dtype=float)
    axes.barh(places, strengths, height=0.72, color=BLUE)
    for place, share in zip(places, strengths, strict=True):
        axes.annotate(
            percent(share),
            (share, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=MUTED,
        )
    axes.set_yticks(places, [clean(feature_label(name, weekly=data.weekly), 48) for name in top["name"]])
    axes.tick_params(axis="y", colors=INK)
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * strengths.max())
    value_axis(axes, "x", _("Share of the importance of all features"), share=True)
    axes.spines["left"].set_color(PALE)
    return figure
