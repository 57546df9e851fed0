"""The confidence sequence of an A/B test, day by day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from salesml_assets.language import _
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.style import (
    BAND95,
    BLUE,
    INK,
    ORANGE,
    date_axis,
    legend_above,
    new_figure,
    styled,
    value_axis,
)

MIN_DAYS = 2


def ab_test(data: ReportData) -> Figure | None:
    """The latest A/B test; None without one, or before its second day."""
    return confidence_sequence(data.ab_test["looks"], data.ab_test["margin"]) if data.ab_test else None


@styled
def confidence_sequence(days: pd.DataFrame, margin: float) -> Figure | None:
    """Difference of WAPE so far and its confidence sequence; None before the second day.

    Args:
        days: `ds`, `difference` (champion's WAPE minus challenger's), `low`, `high` (null before four weeks), `wape`
            (mean of both models').
        margin: Difference that does not matter, as a share of `wape`.
    """
    if len(days) < MIN_DAYS:
        return None
    figure = new_figure(11, 3.2)
    axes = figure.subplots()
    ds, tolerated = pd.to_datetime(days["ds"]), margin * days["wape"].to_numpy(dtype=float)
    low, high = (days[name].to_numpy(dtype=float) for name in ("low", "high"))
    difference = days["difference"].to_numpy(dtype=float)
    axes.fill_between(ds, low, high, color=BAND95, linewidth=0)
    for side in (-1, 1):
        axes.plot(ds, side * tolerated, color=ORANGE, linewidth=1, linestyle="--")
    axes.axhline(0, color=INK, linewidth=1)
    axes.plot(ds, difference, color=BLUE, linewidth=2)
    # The first intervals are wide; what matters are zero, the margin and the latest interval.
    last = [values[np.isfinite(values)][-1:] for values in (low, high)]
    shown = np.concatenate([*last, 1.5 * tolerated, -1.5 * tolerated, np.quantile(difference, [0.1, 0.9])])
    pad = 0.2 * float(np.ptp(shown)) or 0.01
    axes.set_ylim(float(shown.min()) - pad, float(shown.max()) + pad)
    value_axis(axes, "y", _("Champion's WAPE less challenger's"), share=True)
    date_axis(axes, month="%b %Y")
    axes.margins(x=0.01)
    label = _("Difference so far (above 0: challenger better)")
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, linewidth=2, label=label)]
    if np.isfinite(low).any():
        handles.append(Patch(color=BAND95, label=_("Confidence sequence")))
    handles.append(Line2D([], [], color=ORANGE, linewidth=1, linestyle="--", label=_("Equivalent within")))
    legend_above(axes, handles, handlelength=1.6)
    return figure
