"""One look for all figures: colours, type and axes.

The colours are Okabe and Ito's, which people with any colour vision tell apart; the winner is always blue,
the baseline always grey and dashed, and every line carries its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from babel.dates import get_month_names
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from salesml_assets.language import bound, locale
from salesml_assets.reporting.formats import compact, percent

INK = "#1d2a36"
MUTED = "#5a6875"
GRID = "#e4e9ee"
PALE = "#b9c4cf"
BLUE = "#0064a8"
BAND80, BAND95 = "#9cc6e6", "#d3e6f5"
ORANGE = "#d55e00"
BASELINE = "#7a8794"
# Okabe and Ito's colours, without the blue of the winner and the yellow that vanishes on white.
OTHERS = ("#d55e00", "#008763", "#b0578d", "#c98600", "#3f9fd1", "#5b4a9e", "#7a5c3e", "#a3202f")

MARKERS = ("s", "^", "D", "v", "P", "<", "*", ">")
DASHED = (0, (4, 1.5))

# Height of a line of text, in inches, with some air: axes take up most of a figure's height.
LABEL_HEIGHT = 0.2

STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    # Names of products may hold dollar signs: they are text, not mathematics.
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": PALE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "salesml",
    "date.epoch": "1970-01-01T00:00:00",
}

# Every figure is made, and later written, under the same settings; they are put back afterwards.
styled = mpl.rc_context(STYLE)  # type: ignore[arg-type]


def new_figure(width: float, height: float, *, between: float = 0.0) -> Figure:
    """An empty figure, without pyplot's global state.

    Args:
        width: In inches, of which one is about 100 pixels on the page.
        height: In inches.
        between: Additional space between its axes, as a share of their size.
    """
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06, hspace=2 * between, wspace=between)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def colours(algorithms: Sequence[str], winner: str, baseline: str) -> dict[str, str]:
    """A colour for each algorithm, the same in every figure whatever the order."""
    others = sorted(name for name in algorithms if name not in (winner, baseline))
    chosen = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}
    return {baseline: BASELINE, **chosen, winner: BLUE}


def markers(algorithms: Sequence[str], winner: str, baseline: str) -> dict[str, str]:
    """A marker for each algorithm, so that lines can be told apart without colours."""
    others = sorted(name for name in algorithms if name not in (winner, baseline))
    chosen = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(others)}
    return {baseline: "x", **chosen, winner: "o"}


def emphasis(name: str, winner: str, baseline: str) -> dict[str, Any]:
    """How the line of an algorithm is drawn: the winner's stands out, the baseline's is dashed."""
    leading = name == winner
    return {
        "linewidth": 2.6 if leading else 1.4,
        "linestyle": "--" if name == baseline and not leading else "-",
        "zorder": 4 if leading else 3,
    }


def value_axis(axes: Axes, which: str, label: str = "", *, share: bool = False, bins: int = 6) -> None:
    """Formats one axis ("x" or "y") as numbers with a light grid across it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    # Shares are written as whole percents: a step of 2.5 would stand there as 2, 5, 8, 10.
    axis.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 5, 10] if share else [1, 2, 2.5, 5, 10], min_n_ticks=3))
    axis.set_major_formatter(FuncFormatter(_share_tick(axes, which) if share else amount_tick()))
    axis.set_label_text(label)
    axes.grid(True, axis=which)  # type: ignore[arg-type]


def amount_tick() -> Callable[[float, int], str]:
    """A formatter of amounts, in the language in force when it is made."""
    in_language = bound(compact)
    return lambda value, place: in_language(value)


def _share_tick(axes: Axes, which: str) -> Callable[[float, int], str]:
    in_language = bound(percent)

    def tick(value: float, _place: int) -> str:
        low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
        return in_language(value, 0 if abs(high - low) > 0.04 else 1)

    return tick


class _DateFormatter(ConciseDateFormatter):
    """Dates on an axis, with the months of the language in force when it was made."""

    def __init__(self, locator: AutoDateLocator, **options: Any) -> None:
        super().__init__(locator, **options)  # type: ignore[no-untyped-call]
        english, own = (get_month_names("abbreviated", locale=name) for name in ("en_US", locale()))
        self._months = {english[place]: own[place].removesuffix(".") for place in range(1, 13)}

    def format_ticks(self, values: Any) -> list[str]:
        labels: list[str] = super().format_ticks(values)  # type: ignore[no-untyped-call]
        return [re.sub(r"[A-Z][a-z]{2}", lambda found: self._months[found.group()], label) for label in labels]


def date_axis(axes: Axes, *, ticks: int = 8, month: str = "%b") -> None:
    """Formats the horizontal axis as dates, months by the format `month`."""
    locator = AutoDateLocator(minticks=3, maxticks=ticks)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        _DateFormatter(
            locator,
            formats=["%Y", month, "%d %b", "%H:%M", "%H:%M", "%S"],
            zero_formats=["", "%b %Y", month, "%d %b", "%H:%M", "%H:%M"],
            show_offset=False,
        )
    )


def legend_above(axes: Axes, handles: Sequence[Artist], **options: Any) -> None:
    """One row of keys above the axes, from their left edge on; `options` are those of `Axes.legend`."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(handles),
        columnspacing=1.4,
        borderaxespad=0.2,
        **options,
    )


def spread_labels(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones that stand at least `gap` apart, in the same order, from `low` up to `high`.

    Where they cannot all fit between the bounds, they are spaced evenly.

    >>> spread_labels([1.0, 1.1, 5.0], 1.0, 0.0, 10.0)
    [0.55, 1.55, 5.0]
    """
    count = len(wanted)
    if count == 0:
        return []
    if (count - 1) * gap >= high - low:
        ranks = np.argsort(np.argsort(wanted, kind="stable"), kind="stable")
        return [float(low + (high - low) * (rank / max(count - 1, 1))) for rank in ranks]
    order = np.argsort(wanted, kind="stable")
    # Labels that touch form a block, which is centred on its members' wanted positions.
    blocks: list[tuple[float, list[int]]] = []
    for index in order:
        blocks.append((float(wanted[index]), [int(index)]))
        _settle(blocks, wanted, gap, low, high)
    placed = [0.0] * count
    for centre, members in blocks:
        for rank, index in enumerate(members):
            placed[index] = round(float(centre + (rank - (len(members) - 1) / 2) * gap), 12)
    return placed


def _settle(
    blocks: list[tuple[float, list[int]]], wanted: Sequence[float], gap: float, low: float, high: float
) -> None:
    """Merges the last block with the ones before it until none overlap, all within the bounds."""
    while True:
        centre, members = blocks.pop()
        half = (len(members) - 1) / 2 * gap
        blocks.append((min(max(centre, low + half), high - half), members))
        if len(blocks) < 2:
            return
        (before, earlier), (after, later) = blocks[-2], blocks[-1]
        if after - before >= (len(earlier) + len(later)) / 2 * gap - 1e-12:
            return
        joined = earlier + later
        blocks[-2:] = [(float(np.mean([wanted[index] for index in joined])), joined)]


def line_labels(axes: Axes, ends: Sequence[tuple[str, float, str]], x: float, *, bold: str = "") -> None:
    """Writes names next to the ends of lines, without overlap.

    Args:
        axes: Where the lines are; its limits have to be final.
        ends: Text, height of the line's end and colour of each.
        x: Where the lines end.
        bold: The text that is written bold.
    """
    low, high = axes.get_ylim()
    figure_height = axes.figure.get_figure(root=True).get_figheight()
    gap = LABEL_HEIGHT / figure_height * (high - low)
    places = spread_labels([value for _, value, _ in ends], gap, low + gap / 2, high - gap / 2)
    for (text, _, colour), place in zip(ends, places, strict=True):
        axes.annotate(
            text,
            xy=(x, place),
            xytext=(9, 0),
            textcoords="offset points",
            color=colour,
            fontsize=8,
            fontweight="bold" if text == bold else "normal",
            va="center",
            annotation_clip=False,
        )
