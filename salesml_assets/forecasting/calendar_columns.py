"""What rows of the panel get from the calendar: forecasts of the calendar regression, and features of holidays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from salesml_assets.forecasting.calendar_regression import (
    BLOCKS,
    LEVEL,
    MAX_FORECAST,
    YEAR,
    SeriesCalendar,
    Terms,
    relative_log,
)
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.holiday_features import daily_distances, effects, weekly_counts
from salesml_assets.forecasting.pooled import Pool, days_of, group_of, series_calendars

LINEAR, LOG = "_calendar_linear", "_calendar_log"
PART = "calendar_{}"  # shares of the log version, in units of the target
PARTS = tuple(PART.format(block) for block in BLOCKS)
LEVEL_PART = PART.format(LEVEL)
REGRESSION = "calendar_regression"  # the panel's column of the forecast


def regression_columns(
    base: pl.DataFrame, at: np.ndarray, horizon: np.ndarray, spec: FeatureSpec, pool: Pool, knots: np.ndarray
) -> dict[str, np.ndarray]:
    """Forecasts of the calendar regression for rows of the panel, in units of the target; NaN for short series.

    Args:
        base: The frame of origins: sorted by series and step, future steps included.
        at: Where each row's origin is in it.
        horizon: Steps ahead.
        spec: The definition of the features.
        pool: What series know from one another.
        knots: Steps at which the regression is refitted, ordinals, ascending.

    Returns:
        `LINEAR`, `LOG` and `PARTS`, which add up to `LOG`.
    """
    found = {name: np.full(len(at), np.nan) for name in (LINEAR, LOG, *PARTS)}
    terms, scale = Terms.of(spec), base["scale"].to_numpy()
    order = np.argsort(at, kind="stable")
    sorted_at = at[order]
    for keys, place, calendar in series_calendars(base, spec, pool.scaling):
        first, last = np.searchsorted(sorted_at, [place.start, place.stop])
        if first == last:
            continue
        rows = order[first:last]
        local = at[rows] - place.start
        number = np.searchsorted(knots, calendar.ordinals[local], "right") - 1
        ends = np.searchsorted(calendar.ordinals, knots, "right")
        usable = (number >= 0) & (ends[number] >= spec.min_history)
        if not usable.any():
            continue
        rows, local, number = rows[usable], local[usable], number[usable]
        needed, which = np.unique(number, return_inverse=True)
        levels = scale[place][ends[needed] - 1]
        prior = pool.prior(group_of(keys), knots[needed], terms)
        coefficients = calendar.moments(ends[needed], levels).solve(terms.penalties, prior)
        values = _predict(calendar, local, horizon[rows], ends[needed], which, levels, coefficients, terms)
        for name, column in values.items():
            found[name][rows] = column
    return found


def _predict(
    calendar: SeriesCalendar,
    local: np.ndarray,
    horizon: np.ndarray,
    ends: np.ndarray,
    which: np.ndarray,
    levels: np.ndarray,
    coefficients: np.ndarray,
    terms: Terms,
) -> dict[str, np.ndarray]:
    """Forecasts of one series: each row by the coefficients of its knot."""
    smearing = np.array(
        [
            calendar.smearing(end, level, values[:, 1])
            for end, level, values in zip(ends.tolist(), levels.tolist(), coefficients, strict=True)
        ]
    )
    target = np.minimum(local + horizon, len(calendar.ordinals) - 1)
    origins, targets = calendar.ordinals[local], calendar.ordinals[target]
    inputs = calendar.terms[target].copy()
    # A trend goes on at half of its slope.
    knots = calendar.ordinals[ends - 1][which]
    inputs[:, -1] = (origins - knots) / YEAR + (targets - origins) / YEAR / 2
    shares = inputs[:, :, None] * coefficients[which]
    linear = np.clip(shares[:, :, 0].sum(axis=1), 0.0, MAX_FORECAST) * levels[which]
    amount = smearing[which] * levels[which]
    blocks = {block: shares[:, columns, 1].sum(axis=1) for block, columns in terms.block_columns.items()}
    total = sum(blocks.values())
    forecast = relative_log(total) * amount
    # Shares of the change from the level alone to the forecast, in proportion to what each block adds to the logarithm.
    usual = relative_log(blocks[LEVEL]) * amount
    added = total - blocks[LEVEL]
    moved = np.abs(added) > 1e-9
    per_unit = np.where(moved, (forecast - usual) / np.where(moved, added, 1.0), 0.0)
    parts = {PART.format(block): values * per_unit for block, values in blocks.items() if block != LEVEL}
    parts[PART.format(LEVEL)] = np.where(moved, usual, forecast)
    return {LINEAR: linear, LOG: forecast, **parts}


def holiday_columns(
    base: pl.DataFrame,
    at: np.ndarray,
    horizon: np.ndarray,
    spec: FeatureSpec,
    pool: Pool,
    earlier: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """Features of holidays for rows of the panel: `_holiday_<name>`.

    Args:
        base: The frame of origins.
        at: Where each row's origin is in it.
        horizon: Steps ahead.
        spec: The definition of the features; with holidays.
        pool: What series know from one another.
        earlier: Open sales of some of the rows (their places), some steps before their origins.
    """
    origins = base["ds"].to_physical().to_numpy().astype(np.int64)[at] + 719_163
    targets = origins + horizon * (7 if spec.weekly else 1)
    regions = days_of(spec)
    names = np.full(len(at), spec.region, dtype=object)
    if spec.regions and "store" in base.columns:
        stores = base["store"][at].to_numpy()
        for store, region in spec.regions:
            names[stores == store] = region
    found: dict[str, np.ndarray] = {}
    for region in dict.fromkeys(names.tolist()):
        rows = np.nonzero(names == region)[0]
        days = regions[region]
        if spec.weekly:
            columns = weekly_counts(days, targets[rows])
        else:
            columns = daily_distances(days, targets[rows]) | effects(
                days,
                targets[rows],
                origins[rows],
                lambda steps, rows=rows: earlier(rows, steps),  # type: ignore[misc]
                pool.totals.get(region, {}),
            )
        for name, values in columns.items():
            found.setdefault(f"_holiday_{name}", np.full(len(at), np.nan))[rows] = values
    return found
