"""Series that fell silent, series that are new, and days on which nothing came."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from salesml_assets.drift.channels import volumes
from salesml_assets.drift.inputs import SeriesWeeks
from salesml_assets.drift.measures import Measure
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, ratio, shifted


def feed_measures(series: SeriesWeeks, at: Comparison, parameters: DriftParameters) -> Iterator[Measure]:
    """Shares of volume that are silent or new, and the share of trading days that is missing.

    Silence is judged by the last week alone, of series that sold in every trading week of the baseline: an outage does
    not wait for a second week.
    """
    sold = series.y > 0
    traded = series.days > 0
    steady = at.earlier(sold.astype(float)) == np.maximum(at.earlier(traded.astype(float)), 1.0)
    volume = np.where(steady, volumes(series, at), 0.0)
    silent = ratio((volume * ~sold).sum(0), np.where(traded, volume.sum(0), 0.0))
    yield Measure("series", "silent", "series", silent, parameters.min_share, "share of the volume that fell silent")
    before = shifted(np.cumsum(series.rows, axis=1), at.window + at.gap)
    # In the first weeks of the data every series is new.
    recent = at.recent(series.y) + 0 * at.earlier(series.days)
    new = ratio(np.where(before == 0, recent, 0.0).sum(0), recent.sum(0))
    yield Measure("series", "new_volume", "series", new, parameters.min_share, "share of the volume in new series")
    # The share of their number is steadier: one new series may sell much for a week.
    count = ratio(((before == 0) & (recent > 0)).sum(0).astype(float), (recent > 0).sum(0).astype(float))
    yield Measure("series", "new_series", "series", count, parameters.min_share, "share of the series that are new")
    usual = at.earlier(series.days) / at.baseline
    missing = np.maximum(1 - ratio(series.days, usual), 0.0)
    # A holiday that closed the business in these weeks of last year is expected; its week may differ by one.
    holidays = np.stack([np.nan_to_num(shifted(missing, at.year + by)) for by in (-1, 0, 1)]).max(0)
    missing = np.maximum(missing - holidays, 0.0)
    yield Measure("series", "missing_days", "feed", missing, parameters.min_share, "share of trading days missing")
