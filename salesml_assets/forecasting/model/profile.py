"""How new series of a category sell: the forecast of a series that is too short for a model.

Its level is the category's at that age, moved towards its own few steps as far as these can be trusted (a credibility
estimate: Bühlmann & Gisler, *A Course in Credibility Theory*, 2005); its shape is the category's weekdays and the time
of the year. Where a category is not known, the whole shop stands in. `forecasting/new_series.py` learns it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from salesml_assets.names import CATEGORY_PROFILE, FALLBACK, SHOP_PROFILE

AGE, WEEKDAY, SEASON, TRUST = "age", "weekday", "season", "trust"
SCHEMA = {"category": pl.String, "part": pl.String, "step": pl.Int32, "value": pl.Float64}
# Last step of each class of age: sales of a new series change fast at first, then slowly.
DAILY_AGES, WEEKLY_AGES = (1, 2, 4, 7, 10, 14, 21, 28, 42, 56), (1, 2, 4, 8, 13)
# Columns of the panel that `Profile.forecast` needs, besides `category`.
COLUMNS = ("origin", "ds", "horizon", "age", "known", "average_long")


def age_classes(weekly: bool) -> tuple[int, ...]:
    """Last step of each class of age; what is older belongs to one more class."""
    return WEEKLY_AGES if weekly else DAILY_AGES


@dataclass(frozen=True)
class Profile:
    """How new series sell, as known at a cutoff.

    Attributes:
        weekly: Whether a step is a week.
        table: `category` (null: the whole shop), `part`, `step`, `value`. The parts are `age`, the mean of an open step
            in each class of age (from 0); `weekday`, the factor of each weekday (Monday is 1) on which the business
            trades; `season`, the factor of each horizon, by the same time a year ago; `trust`, the expected sales of
            the steps from which on a series' own level counts half and more. Empty where nothing is known.
    """

    weekly: bool = False
    table: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))

    @property
    def categories(self) -> list[str]:
        """The categories with a profile of their own, sorted."""
        return sorted(name for name in self._curves if name is not None)

    def forecast(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Forecasts of rows whose series are short. Each row's result depends on that row alone.

        Args:
            rows: Rows of the panel: `COLUMNS`, and `category` where it is known.

        Returns:
            For each row `yhat` in units of the target, and `by`, the name of what made it: the profile of the
            category or of the shop or, where nothing is known of either, the mean of the series' own steps.
        """
        category = rows["category"].to_list() if "category" in rows.columns else [None] * len(rows)
        mean, known = (rows[name].cast(pl.Float64).to_numpy() for name in ("average_long", "known"))
        age, horizon = (rows[name].cast(pl.Int64).to_numpy() for name in ("age", "horizon"))
        origin, target = (rows[name].dt.weekday().cast(pl.Int64).to_numpy() - 1 for name in ("origin", "ds"))
        yhat, by = mean.copy(), np.full(len(rows), FALLBACK, dtype=object)
        found = [self._curves.get(name, self._curves.get(None)) for name in category]
        for curves in {id(one): one for one in found if one is not None}.values():
            at = np.array([one is curves for one in found])
            level = curves.level(age[at] + horizon[at]) * curves.season_of(horizon[at]) * curves.shape(target[at])
            expected = curves.expected(age[at], origin[at], known[at])
            ratio = np.divide(mean[at] * known[at], expected, out=np.ones_like(expected), where=expected > 0)
            yhat[at] = level * (1 + (ratio - 1) * expected / (expected + curves.trust))
            by[at] = CATEGORY_PROFILE if curves.is_category else SHOP_PROFILE
        return pl.DataFrame({"yhat": yhat, "by": pl.Series(by.tolist(), dtype=pl.String)})

    @cached_property
    def _curves(self) -> dict[str | None, _Curves]:
        return {
            category: _Curves(category is not None, self.weekly, rows.drop("category"))
            for (category,), rows in self.table.partition_by("category", as_dict=True, maintain_order=True).items()
        }


class _Curves:
    """The parts of one category, or of the whole shop."""

    def __init__(self, is_category: bool, weekly: bool, table: pl.DataFrame) -> None:
        self.is_category = is_category
        parts = {part: dict(rows.iter_rows()) for part, rows in _parts(table)}
        self.trust: float = parts[TRUST][0]
        self._ends = np.array(age_classes(weekly))
        self._levels = np.array([parts[AGE][step] for step in range(len(self._ends) + 1)])
        self._seasons = np.array([value for _, value in sorted(parts.get(SEASON, {}).items())])
        weekdays = parts.get(WEEKDAY)
        self._weekdays = np.array([weekdays.get(day, np.nan) for day in range(1, 8)]) if weekdays else np.ones(7)

    def level(self, age: np.ndarray) -> np.ndarray:
        """The mean of an open step at an age."""
        return np.asarray(self._levels[np.searchsorted(self._ends, age, side="left")])

    def shape(self, weekday: np.ndarray) -> np.ndarray:
        """The factor of a weekday (Monday is 0); 1 where the business is usually closed."""
        return np.nan_to_num(self._weekdays[weekday], nan=1.0)

    def season_of(self, horizon: np.ndarray) -> np.ndarray:
        """The factor of a horizon."""
        if not len(self._seasons):
            return np.ones(len(horizon))
        return np.asarray(self._seasons[np.minimum(horizon, len(self._seasons)) - 1])

    def expected(self, age: np.ndarray, origin: np.ndarray, known: np.ndarray) -> np.ndarray:
        """What a new series sells in the steps up to the origin, of which so many were open and known."""
        total, open_steps = np.zeros(len(age)), np.zeros(len(age))
        for step in range(1, int(age.max(initial=0)) + 1):
            factor = self._weekdays[(origin - age + step) % 7]
            counts = (step <= age) & ~np.isnan(factor)
            total += np.where(counts, self.level(np.full(len(age), step)) * np.nan_to_num(factor), 0.0)
            open_steps += counts
        return np.asarray(total * known / np.maximum(open_steps, 1))


def _parts(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    groups = table.partition_by("part", as_dict=True, maintain_order=True, include_key=False)
    return [(str(part), rows) for (part,), rows in groups.items()]


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """A profile as plain values."""
    return {"weekly": profile.weekly, "table": profile.table.to_dicts()}


def profile_from_json(values: dict[str, Any]) -> Profile:
    """Reads what `profile_to_json` made."""
    return Profile(values["weekly"], pl.DataFrame(values["table"], schema=SCHEMA))
