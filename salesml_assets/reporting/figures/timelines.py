"""Figures over time: the total, and single series, with backtests, forecasts and intervals."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from salesml_assets.forecasting.intervals import ORDER_QUANTITY
from salesml_assets.language import _
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.formats import percent
from salesml_assets.reporting.style import (
    BAND80,
    BAND95,
    BLUE,
    DASHED,
    INK,
    MUTED,
    ORANGE,
    date_axis,
    legend_above,
    new_figure,
    styled,
    value_axis,
)
from salesml_assets.text import clean

PAST80 = "#f6d9c4"
ORDERED = (0, (3, 1.5))  # dashes of the quantity to order
BANDS = (("lo95", "hi95", BAND95, 0.95), ("lo80", "hi80", BAND80, 0.8))
SHOWN_STEPS = 160
SERIES_OF_A_KIND = 4


def trading(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in order of time, without the steps on which the business is closed."""
    opened = frame if "closed" not in frame else frame[~frame["closed"].fillna(False).astype(bool)]
    return opened.assign(ds=pd.to_datetime(opened["ds"])).sort_values("ds", kind="stable")


@styled
def total_over_time(data: ReportData) -> Figure | None:
    """The sum over all series: what was sold, what the backtests said, and the forecast with its intervals."""
    actual = trading(data.total_actual).tail(SHOWN_STEPS)
    if actual.empty:
        return None
    figure = new_figure(11, 3.6)
    axes = figure.subplots()
    axes.plot(actual["ds"], actual["y"], color=INK, linewidth=1.3)
    backtest = trading(data.total_backtest)
    for __, fold in backtest.groupby("fold", sort=True):
        axes.plot(fold["ds"], fold["yhat"], color=ORANGE, linewidth=1.5, linestyle=DASHED)
    future = trading(data.total_future)
    _forecast(axes, future)
    _finish(axes, actual, future, month="%b %Y")
    value_axis(axes, "y", _("{unit} per {step}", unit=data.unit.capitalize(), step=data.step))
    axes.margins(x=0.01)
    _legend(axes, backtest, future)
    return figure


@styled
def series_small_multiples(data: ReportData) -> Figure | None:
    """The series with the lowest and the highest error, each with its history, backtests and forecast."""
    known = set(data.series_history["unique_id"])
    columns = [
        (title, frame[frame["unique_id"].isin(known)].head(SERIES_OF_A_KIND).to_dict("records"))
        for title, frame in (
            (_("lowest error"), data.best_series),
            (_("highest error"), data.worst_series),
        )
    ]
    columns = [(title, rows) for title, rows in columns if rows]
    if not columns:
        return None
    height = max(len(rows) for _, rows in columns)
    figure = new_figure(11, 0.5 + 1.8 * height, between=0.025)
    grid = figure.subplots(height, len(columns), squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for column, (kind, rows) in enumerate(columns):
        for line, row in enumerate(rows):
            _one_series(grid[line, column], data, row, kind)
    _legend(figure, data.series_backtest, data.series_future)
    return figure


def _one_series(axes: Axes, data: ReportData, row: dict[Hashable, Any], kind: str) -> None:
    axes.set_visible(True)
    history, backtest, future = (
        trading(frame[frame["unique_id"] == row["unique_id"]])
        for frame in (data.series_history, data.series_backtest, data.series_future)
    )
    history = history.tail(SHOWN_STEPS)
    axes.plot(history["ds"], history["y"], color=INK, linewidth=0.9)
    if {"lo80", "hi80"} <= set(backtest):
        axes.fill_between(backtest["ds"], backtest["lo80"], backtest["hi80"], color=PAST80, linewidth=0)
    axes.plot(backtest["ds"], backtest["yhat"], color=ORANGE, linewidth=1.3, linestyle=DASHED)
    _forecast(axes, future)
    _finish(axes, history, future, ticks=6)
    _limit_height(axes, history, backtest, future)
    value_axis(axes, "y", data.unit, bins=4)
    name = row.get("label") if isinstance(row.get("label"), str) else row["unique_id"]
    axes.set_title(clean(name, 44))
    axes.set_title(
        f"{kind} · WAPE {percent(row['wape'], 0)}", loc="right", fontsize=7.5, fontweight="normal", color=MUTED
    )


def _forecast(axes: Axes, future: pd.DataFrame) -> None:
    for low, high, colour, __ in BANDS:
        if {low, high} <= set(future):
            axes.fill_between(
                future["ds"], future[low].astype(float), future[high].astype(float), color=colour, linewidth=0
            )
    axes.plot(future["ds"], future["yhat"], color=BLUE, linewidth=2)
    if ORDER_QUANTITY in future:
        axes.plot(future["ds"], future[ORDER_QUANTITY].astype(float), color=BLUE, linewidth=1, linestyle=ORDERED)


def _finish(axes: Axes, past: pd.DataFrame, future: pd.DataFrame, *, ticks: int = 10, month: str = "%b") -> None:
    """Marks where the data end; backtests older than the history shown are cut off."""
    date_axis(axes, ticks=ticks, month=month)
    end = past["ds"].max()
    if not future.empty:
        axes.axvline(end, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    last = future["ds"].max() if not future.empty else end
    pad = max((last - past["ds"].min()) * 0.01, pd.Timedelta(days=1))
    axes.set_xlim(past["ds"].min() - pad, last + pad)


def _limit_height(axes: Axes, history: pd.DataFrame, backtest: pd.DataFrame, future: pd.DataFrame) -> None:
    """Keeps the sales visible where a 95 % interval reaches far beyond anything sold: that is cut off."""
    inner = [history["y"], backtest["yhat"], future["yhat"]]
    inner += [future[name] for name in ("lo80", "hi80", ORDER_QUANTITY) if name in future]
    values = np.concatenate([np.asarray(part, dtype=float) for part in inner])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    low = min(low, 0.0)
    pad = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - (pad if low < 0 else 0.0), high + pad)


def _legend(where: Axes | Figure, backtest: pd.DataFrame, future: pd.DataFrame) -> None:
    handles: list[Line2D | Patch] = [Line2D([], [], color=INK, linewidth=1.3, label=_("Sold"))]
    if not backtest.empty:
        handles.append(Line2D([], [], color=ORANGE, linewidth=1.5, linestyle=DASHED, label=_("Backtest forecast")))
        if isinstance(where, Figure) and {"lo80", "hi80"} <= set(backtest):
            handles.append(Patch(color=PAST80, label=_("its {level} interval", level=percent(0.8, 0))))
    if not future.empty:
        handles.append(Line2D([], [], color=BLUE, linewidth=2, label=_("Forecast")))
        if ORDER_QUANTITY in future:
            handles.append(Line2D([], [], color=BLUE, linewidth=1, linestyle=ORDERED, label=_("Quantity to order")))
        handles += [
            Patch(color=colour, label=_("{level} interval", level=percent(level, 0)))
            for low, high, colour, level in reversed(BANDS)
            if {low, high} <= set(future)
        ]
    if isinstance(where, Figure):
        where.legend(handles=handles, loc="outside upper left", ncols=len(handles), columnspacing=1.4, handlelength=1.6)
    else:
        legend_above(where, handles, handlelength=1.6)
