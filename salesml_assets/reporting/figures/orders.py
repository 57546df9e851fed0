"""The figure of the order replay: availability against the stock that it takes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from salesml_assets.language import _
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.formats import algorithm_label, percent
from salesml_assets.reporting.style import INK, colours, emphasis, line_labels, new_figure, styled, value_axis


@styled
def availability_and_stock(data: ReportData) -> Figure | None:
    """Share of the demand served against stock, one line per algorithm over service levels; None without a replay."""
    known = data.orders[np.isfinite(data.orders[["fill_rate", "cover"]].to_numpy(dtype=float)).all(axis=1)]
    if known.empty:
        return None
    figure = new_figure(11, 3.6)
    axes = figure.subplots()
    names = list(dict.fromkeys(known["algorithm"]))
    palette = colours(names, data.winner, data.baseline)
    ends = []
    for name in names:
        rows = known[known["algorithm"] == name].sort_values("service_level")
        cover, rate = rows["cover"].to_numpy(dtype=float), rows["fill_rate"].to_numpy(dtype=float)
        leading = name == data.winner
        axes.plot(
            cover,
            rate,
            color=palette[name],
            marker="o",
            markersize=4 if leading else 3,
            **emphasis(name, data.winner, data.baseline),
        )
        at = rows[rows["service_level"] == data.service_level]
        if not at.empty:
            axes.plot(at["cover"], at["fill_rate"], "o", color=palette[name], markersize=9, zorder=5)
            if leading:
                axes.annotate(
                    _("safety for {level}", level=percent(data.service_level, 0)),
                    xy=(float(at["cover"].iloc[0]), float(at["fill_rate"].iloc[0])),
                    xytext=(8, -12),
                    textcoords="offset points",
                    fontsize=8,
                    color=INK,
                )
        ends.append((algorithm_label(name), float(rate[-1]), palette[name]))
    axes.set_ylim(max(0.0, float(known["fill_rate"].min()) - 0.03), min(1.005, float(known["fill_rate"].max()) + 0.03))
    value_axis(axes, "y", _("Share of the demand served"), share=True)
    value_axis(axes, "x", _("Mean stock, in {steps} of demand (left and up: better)", steps=data.steps), bins=8)
    line_labels(axes, ends, float(known["cover"].max()), bold=algorithm_label(data.winner))
    return figure
