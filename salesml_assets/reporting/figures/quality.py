"""The figure of set-aside rows."""

from __future__ import annotations

from matplotlib.figure import Figure

from salesml_assets.language import _
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.formats import number, percent, sentence
from salesml_assets.reporting.style import INK, MUTED, ORANGE, new_figure, styled
from salesml_assets.text import clean

TOP_REASONS = 12


@styled
def quarantine_reasons(data: ReportData) -> Figure | None:
    """Rows set aside per rule, most first; None where nothing was."""
    reasons = sorted(data.quality.get("reasons", {}).items(), key=lambda item: (-item[1], item[0]))
    reasons = [(name, count) for name, count in reasons if count > 0][:TOP_REASONS]
    if not reasons:
        return None
    delivered = data.quality.get("delivered", 0)
    figure = new_figure(11, 0.35 + 0.26 * len(reasons))
    axes = figure.subplots()
    counts = [count for __, count in reasons]
    axes.barh(range(len(reasons)), counts, height=0.7, color=ORANGE)
    for place, count in enumerate(counts):
        share = "  (" + _("{share} of rows", share=percent(count / delivered, 2)) + ")" if delivered else ""
        axes.annotate(
            f"{number(count)}{share}",
            (count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=MUTED,
        )
    axes.set_yticks(range(len(reasons)), [clean(sentence(name), 40) for name, __ in reasons])
    axes.tick_params(axis="y", colors=INK)
    axes.set_ylim(len(reasons) - 0.4, -0.6)
    axes.set_xlim(0, 1.25 * max(counts))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return figure
