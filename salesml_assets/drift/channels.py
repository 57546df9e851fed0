"""Change of the series: what they sold, how often, at which price, in which quantity.

A shift of some series moves the total little. It splits the series into those that moved and those that did not:
with the common change (the median, so that a shock to all series is none of theirs) taken off, the spread of what is
left grows, and so does the share of the volume that moved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from salesml_assets.drift.inputs import SeriesWeeks
from salesml_assets.drift.measures import Measure
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, Floats, logarithm, ratio, weighted_mean, weighted_median

# A series that sold in fewer rows over the baseline has no level to change.
MIN_ROWS = 8
# A series' change counts up to this logarithm: gone altogether counts as 95 % down.
MOST = 3.0


def channel_measures(series: SeriesWeeks, at: Comparison, parameters: DriftParameters) -> Iterator[Measure]:
    """Level, spread and moved share of each channel: the target, rows, price and quantity per row."""
    volume = volumes(series, at)
    days, days_before = at.recent(series.days), at.earlier(series.days)
    for kind, channel, sums in (("target", "target", series.y), ("input", "rows", series.rows)):
        recent, earlier = at.recent(sums), at.earlier(sums)
        total = logarithm(ratio(recent.sum(0), days)) - logarithm(ratio(earlier.sum(0), days_before))
        total = total - at.seasonal_part(total)
        yield Measure(kind, "level", channel, total, parameters.min_level, "change of the total", signed=True)
        # One usual row is added on both sides, so that a week without a sale has a logarithm.
        row = ratio(earlier, at.earlier(series.rows)) / at.window
        change = logarithm(ratio(recent / at.window + row, days)) - logarithm(
            ratio(earlier / at.baseline + row, days_before)
        )
        yield from _split(kind, channel, change, volume, at, parameters)
    rows, rows_before = at.recent(series.rows), at.earlier(series.rows)
    # A mean over few rows is uncertain: it weighs as much as the rows of both sides allow.
    weight = np.where(volume > 0, ratio(rows * rows_before, rows + rows_before), 0.0)
    for channel, sums in series.logs.items():
        change = ratio(at.recent(sums), rows) - ratio(at.earlier(sums), rows_before)
        level = weighted_mean(change, weight)
        level = level - at.seasonal_part(level)
        yield Measure("input", "level", channel, level, parameters.min_level, "mean change of a series", signed=True)
        yield from _split("input", channel, change, np.where(rows > 0, volume, 0.0), at, parameters)


def volumes(series: SeriesWeeks, at: Comparison) -> Floats:
    """Volume over the baseline of the series that sell often enough to have a level, else zero."""
    often = at.earlier(series.rows) >= MIN_ROWS
    return np.where(often, np.nan_to_num(at.earlier(series.y)), 0.0)


def _split(
    kind: str, channel: str, change: Floats, volume: Floats, at: Comparison, parameters: DriftParameters
) -> Iterator[Measure]:
    own = change - weighted_median(change, volume)
    own = own - at.seasonal_part(own, volume)
    own = np.clip(own - weighted_median(own, volume), -MOST, MOST)
    spread = weighted_mean(np.abs(own), volume)
    yield Measure(kind, "spread", channel, spread, parameters.min_spread, "mean absolute change of a series")
    moved = weighted_mean(np.where(np.isfinite(own), np.abs(own) > parameters.moved, np.nan), volume)
    yield Measure(kind, "moved", channel, moved, parameters.min_moved, "share of the volume that moved")
