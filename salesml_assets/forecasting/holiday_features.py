"""What a target step has to do with public holidays: distances, and what the same holiday did before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

# Days before and after a holiday on which it is felt.
FIRST_OFFSET, LAST_OFFSET = -7, 3
NEIGHBOURS = (-14, -7, 7, 14)  # days that a holiday is compared with
KNOWN_AFTER = max(NEIGHBOURS)
OCCURRENCES = 3
SHRINKAGE = 2.0  # occurrences of all series that a series' own are weighed against
MAX_RATIO = 10.0
FAR, FAR_FROM_CHRISTMAS, WEEKS_FROM_CHRISTMAS = 15, 40, 8

Look = Callable[[np.ndarray], np.ndarray]  # values of a row's own series some steps before its origin, NaN: not known


@dataclass(frozen=True)
class Days:
    """The holidays of one region.

    Attributes:
        ordinals: Days, ascending.
        names: Their names.
    """

    ordinals: np.ndarray
    names: tuple[str, ...]

    def nearest(self, days: np.ndarray) -> np.ndarray:
        """The holiday that is felt on each day, as its place; -1 where there is none."""
        if not len(self.ordinals):
            return np.full(len(days), -1)
        after = np.searchsorted(self.ordinals, days)
        following, before = np.minimum(after, len(self.ordinals) - 1), np.maximum(after - 1, 0)
        ahead, ago = self.ordinals[following] - days, days - self.ordinals[before]
        is_next = (ahead >= 0) & (ahead <= -FIRST_OFFSET)
        is_last = (ago > 0) & (ago <= LAST_OFFSET) & ~(is_next & (ahead <= ago))
        return np.where(is_last, before, np.where(is_next, following, -1))

    def earlier(self, place: int) -> list[int]:
        """Places of the same holiday in the years before, the latest first."""
        name = self.names[place]
        return [other for other in range(place - 1, -1, -1) if self.names[other] == name][:OCCURRENCES]


def daily_distances(days: Days, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Distances of days from holidays and pay-days, in days.

    Args:
        days: The region's holidays.
        targets: Ordinals.
    """
    stamps = (targets - 719_163).astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    day = (stamps - months.astype("datetime64[D]")).astype(np.int64) + 1
    to_end = ((months + 1).astype("datetime64[D]") - stamps).astype(np.int64) - 1
    to_payday = np.minimum(np.minimum(day - 1, np.abs(day - 15)), to_end)
    found = _around(days.ordinals, targets)
    christmas = _from_christmas(stamps)
    return found | {
        "to_month_end": to_end.astype(float),
        "to_payday": to_payday.astype(float),
        "from_christmas": np.clip(christmas, -FAR_FROM_CHRISTMAS, FAR_FROM_CHRISTMAS).astype(float),
    }


def weekly_counts(days: Days, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Holidays of weeks.

    Args:
        days: The region's holidays.
        targets: Ordinals of the last days of weeks.
    """

    def inside(ends: np.ndarray) -> np.ndarray:
        return (np.searchsorted(days.ordinals, ends, "right") - np.searchsorted(days.ordinals, ends - 6)).astype(float)

    christmas = _from_christmas((targets - 719_163).astype("datetime64[D]"))
    return {
        "in_week": inside(targets),
        "next_week": inside(targets + 7),
        "last_week": inside(targets - 7),
        "from_christmas": np.clip(np.floor(christmas / 7), -WEEKS_FROM_CHRISTMAS, WEEKS_FROM_CHRISTMAS),
    }


def effects(
    days: Days, targets: np.ndarray, origins: np.ndarray, look: Look, total: Mapping[int, float]
) -> dict[str, np.ndarray]:
    """What the nearest holiday did to sales in the years before, on the same day before or after it.

    A day's ratio is its sales over the mean of the same weekday one and two weeks before and after; it is known two
    weeks later. A series' own ratios are shrunk to those of all series.

    Args:
        days: The region's holidays.
        targets: Ordinal of each row's target day.
        origins: Ordinal of each row's origin.
        look: The row's own sales some days before its origin.
        total: Ratio of the sum over all series by ordinal.

    Returns:
        `effect_total` and `effect`; 1 where nothing is known.
    """
    nearest = days.nearest(targets)
    count = len(targets)
    own_sum, own_count = np.zeros(count), np.zeros(count)
    all_sum, all_count = np.zeros(count), np.zeros(count)
    offsets = targets - days.ordinals[np.maximum(nearest, 0)] if len(days.ordinals) else np.zeros(count, np.int64)
    earlier = {place: days.earlier(place) for place in np.unique(nearest).tolist() if place >= 0}
    for number in range(OCCURRENCES):
        lookup = np.full(len(days.ordinals) + 1, -1)
        for place, others in earlier.items():
            if number < len(others):
                lookup[place] = others[number]
        place = lookup[nearest]
        there = place >= 0
        if not there.any():
            break
        past = days.ordinals[np.maximum(place, 0)] + offsets
        there &= past + KNOWN_AFTER <= origins
        steps = np.where(there, origins - past, 0)
        around = [look(steps - shift) for shift in NEIGHBOURS]
        ratio = day_ratio(look(steps), around)
        known = there & ~np.isnan(ratio)
        own_sum, own_count = own_sum + np.where(known, ratio, 0.0), own_count + known
        of_all = np.array([total.get(day, np.nan) for day in past.tolist()])
        known = there & ~np.isnan(of_all)
        all_sum, all_count = all_sum + np.where(known, of_all, 0.0), all_count + known
    of_all = np.where(all_count > 0, all_sum / np.maximum(all_count, 1), 1.0)
    return {"effect_total": of_all, "effect": (own_sum + SHRINKAGE * of_all) / (own_count + SHRINKAGE)}


def day_ratio(value: np.ndarray, around: list[np.ndarray]) -> np.ndarray:
    """Values over the mean of what is known of their neighbours; NaN where nothing was sold there."""
    known = np.stack(around)
    counts = (~np.isnan(known)).sum(axis=0)
    base = np.where(np.isnan(known), 0.0, known).sum(axis=0) / np.maximum(counts, 1)
    usable = (counts > 0) & (base > 0)
    ratio: np.ndarray = np.where(usable, value / np.where(usable, base, 1.0), np.nan)
    return ratio.clip(0.0, MAX_RATIO)


def felt_days(days: Days) -> np.ndarray:
    """Ordinals of all days on which some holiday is felt, ascending."""
    offsets = np.arange(FIRST_OFFSET, LAST_OFFSET + 1)
    return np.unique((days.ordinals[:, None] + offsets).reshape(-1))


def _around(ordinals: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    if not len(ordinals):
        far = np.full(len(targets), float(FAR))
        return {"is": np.zeros(len(targets)), "to": far, "since": far}
    following = np.searchsorted(ordinals, targets)
    to = np.where(following < len(ordinals), ordinals[np.minimum(following, len(ordinals) - 1)] - targets, FAR)
    last = np.searchsorted(ordinals, targets, "right") - 1
    since = np.where(last >= 0, targets - ordinals[np.maximum(last, 0)], FAR)
    return {
        "is": (to == 0).astype(float),
        "to": np.minimum(to, FAR).astype(float),
        "since": np.minimum(since, FAR).astype(float),
    }


def _from_christmas(stamps: np.ndarray) -> np.ndarray:
    """Days after the nearest 25 December; negative before it."""
    years = stamps.astype("datetime64[Y]")
    candidates = [
        (stamps - ((years + shift).astype("datetime64[M]") + 11).astype("datetime64[D]")).astype(np.int64) - 24
        for shift in (-1, 0, 1)
    ]
    stacked = np.stack(candidates)
    return np.take_along_axis(stacked, np.abs(stacked).argmin(axis=0)[None], axis=0)[0].astype(float)
