"""Learns how new series sell, by category and for the whole shop: sums over the features, then small tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from salesml_assets.forecasting.batches import Totals
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.profile import AGE, SCHEMA, SEASON, TRUST, WEEKDAY, Profile, age_classes

ESTABLISHED = -1  # the class of age of series that are no new ones
YEAR, QUARTER = 364, 91  # days; what is older than a year says little of what is launched now
BASE_DAYS, TARGET_DAYS = 28, 7  # compared a year ago: the days up to the origin, and those on each side of the target
SEASON_BOUNDS = (1 / 3, 3.0)
# A category's own figures count half from so many sales on, the shop's stand in for the rest.
SALES_THAT_COUNT_HALF = 20.0
SEASON_SALES_THAT_COUNT_HALF = 200.0
MIN_SERIES = 30  # to measure how far series differ
TRUST_BOUNDS = (0.02, 20.0)
MAX_CATEGORIES = 500  # the largest ones; the others are forecast by the shop's profile
COLUMNS = ("unique_id", "category", "ds", "y", "closed", "age")  # of the table `features`
SUMS = ("y", "steps", "sold")


@dataclass(frozen=True)
class NewSeries:
    """What profiles are made of.

    Attributes:
        spec: The definition of the features.
        days: By `category`, `ds` and `class` of age (`ESTABLISHED`: not known), over open, known steps: `y` (sum),
            `steps`, `sold` (steps with a sale).
        starts: One row per series that has been there for `spec.min_history` steps: `category`, `full` (the day on
            which that was so), `launched` (it was not there when the data begin), `first` and `second` (sums of both
            halves of the steps in which it was short).
    """

    spec: FeatureSpec
    days: pl.DataFrame
    starts: pl.DataFrame

    def profile(self, cutoff: dt.date, horizon: int) -> Profile:
        """How new series sell, by what was known at the end of a day.

        Args:
            cutoff: That day.
            horizon: Steps ahead.
        """
        known = self.days.filter(pl.col("ds") <= cutoff)
        recent = known.filter(pl.col("ds") > cutoff - dt.timedelta(YEAR))
        if not recent["sold"].sum():
            return Profile(self.spec.weekly)
        shop = _Part(recent, known, cutoff, horizon, self.spec, None)
        starts = self.starts.filter(pl.col("full") <= cutoff)
        launched = starts.filter("launched", pl.col("full") > cutoff - dt.timedelta(YEAR))
        # Where little was launched, all series tell how far they differ.
        trust = _trust(launched if launched.height >= MIN_SERIES else starts)
        tables = [shop.table(None, trust)]
        sold = recent.group_by("category").agg(pl.col("sold").sum()).drop_nulls("category")
        largest = sold.sort(["sold", "category"], descending=[True, False]).head(MAX_CATEGORIES)
        for category in largest.filter(pl.col("sold") > 0)["category"].sort():
            own = pl.col("category") == category
            part = _Part(recent.filter(own), known.filter(own), cutoff, horizon, self.spec, shop)
            tables.append(part.table(category, trust))
        return Profile(self.spec.weekly, pl.concat(tables))


def new_series(read: Callable[[], Iterable[pl.DataFrame]], spec: FeatureSpec, first_cutoff: dt.date) -> NewSeries:
    """Adds up the features of all series, batch by batch.

    A series that is there when the data begin is not new: its age is not known.

    Args:
        read: Gives the rows of the table `features` in batches with `COLUMNS`; `category` may be missing.
        spec: The definition of the features.
        first_cutoff: The earliest cutoff of which a profile will be asked.
    """
    last_short = spec.min_history - 1
    half = last_short // 2
    since = first_cutoff - dt.timedelta(2 * YEAR)
    days, starts = Totals(["category", "ds", "class"]), Totals(["unique_id", "category"], largest=["full", "launched"])
    y, age = pl.col("y"), pl.col("age")
    place = pl.sum_horizontal((age > end).cast(pl.Int32) for end in age_classes(spec.weekly))
    begin = min(day for day in (batch["ds"].min() for batch in read()) if isinstance(day, dt.date))
    launch = begin + min(dt.timedelta(QUARTER), max(first_cutoff - begin, dt.timedelta(0)) / 4)
    step_days = 7 if spec.weekly else 1
    is_new = pl.col("ds") - pl.duration(days=(age - 1) * step_days) > launch
    place = pl.when(is_new).then(place).otherwise(ESTABLISHED)
    for batch in read():
        named = pl.col("category") if "category" in batch.columns else pl.lit(None, pl.String).alias("category")
        rows = batch.select("unique_id", named, "ds", "age", y=pl.when(~pl.col("closed")).then(y))
        known = rows.filter(y.is_not_null() & (pl.col("ds") > since))
        days.add(
            known.select(
                "category", "ds", place.alias("class"), "y",
                steps=pl.lit(1, pl.Int64), sold=(y != 0).cast(pl.Int64),
            )
        )  # fmt: skip
        young = rows.filter((age <= spec.min_history) & (pl.col("ds") > since))
        starts.add(
            young.select(
                "unique_id", "category",
                first=pl.when(age <= half).then(y).otherwise(0.0).fill_null(0.0),
                second=pl.when((age > half) & (age <= last_short)).then(y).otherwise(0.0).fill_null(0.0),
                launched=is_new,
                full=pl.when(age == spec.min_history).then("ds"),
            )
        )  # fmt: skip
    return NewSeries(spec, days.frame(), starts.frame().drop_nulls("full").drop("unique_id"))


class _Part:
    """The figures of a category, or of the shop, each drawn towards the shop's."""

    def __init__(
        self,
        recent: pl.DataFrame,
        known: pl.DataFrame,
        cutoff: dt.date,
        horizon: int,
        spec: FeatureSpec,
        shop: _Part | None,
    ) -> None:
        self.weekly, self.last_short = spec.weekly, spec.min_history - 1
        self.levels, self.rates = self._by_age(recent, shop)
        self.weekdays = {} if spec.weekly else self._by_weekday(recent, cutoff, shop)
        self.seasons = self._by_season(known, cutoff, horizon, 7 if spec.weekly else 1, shop)

    def table(self, category: str | None, trust: float) -> pl.DataFrame:
        """The rows of `Profile.table`; `trust` is a share of what a series sells while it is short."""
        ends = np.array(age_classes(self.weekly))
        ages = np.arange(1, self.last_short + 1)
        short = float(self.levels[np.searchsorted(ends, ages, side="left")].sum())
        parts = {
            AGE: dict(enumerate(self.levels.tolist())),
            WEEKDAY: self.weekdays,
            SEASON: dict(enumerate(self.seasons, 1)),
            TRUST: {0: trust * max(short, 0.0)},
        }
        rows = [(category, part, step, value) for part, values in parts.items() for step, value in values.items()]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def _by_age(self, recent: pl.DataFrame, shop: _Part | None) -> tuple[np.ndarray, np.ndarray]:
        """Mean of a step and share of steps with a sale in each class of age.

        A class without steps is taken to be as the next older one, else as the last: the first steps of a series are
        no level, because it begins with a sale.
        """
        classes = len(age_classes(self.weekly)) + 1
        launched = recent.filter(pl.col("class") != ESTABLISHED)
        if shop is None and launched["sold"].sum() < SALES_THAT_COUNT_HALF:
            # Hardly anything was launched so far: new series are taken to be as the others.
            launched = recent.with_columns(pl.lit(classes - 1, pl.Int32).alias("class"))
        sums = launched.group_by("class").agg(pl.col(*SUMS).sum())
        found = {row["class"]: row for row in sums.iter_rows(named=True)}
        y, steps, sold = (np.array([found.get(c, {}).get(name, 0) for c in range(classes)], float) for name in SUMS)
        if shop is None:
            reached = np.nonzero(steps > 0)[0]
            source = reached[np.minimum(np.searchsorted(reached, np.arange(classes)), len(reached) - 1)]
            return y[source] / steps[source], sold[source] / steps[source]
        usual = float((shop.levels * steps).sum())
        weight = sold.sum() / (sold.sum() + SALES_THAT_COUNT_HALF)
        size = 1 + weight * (float(y.sum()) / usual - 1) if usual > 0 else 1.0
        # By the sales that the shop would have there: many steps without one say much, too.
        counts = steps * shop.rates
        shares = counts / (counts + SALES_THAT_COUNT_HALF)
        own = np.divide(y, steps, out=np.zeros(classes), where=steps > 0)
        return shares * own + (1 - shares) * size * shop.levels, shop.rates

    def _by_weekday(self, recent: pl.DataFrame, cutoff: dt.date, shop: _Part | None) -> dict[int, float]:
        """Mean of each weekday over the last quarter, as multiples of their mean."""
        rows = recent.filter(pl.col("ds") > cutoff - dt.timedelta(QUARTER))
        by_day = rows.group_by(weekday=pl.col("ds").dt.weekday()).agg(pl.col(*SUMS).sum()).sort("weekday")
        means = {row["weekday"]: (row["y"] / row["steps"], row["sold"]) for row in by_day.iter_rows(named=True)}
        middle = float(np.mean([mean for mean, _ in means.values()])) if means else 0.0
        if middle <= 0:
            return {} if shop is None else shop.weekdays
        own = {day: (max(mean / middle, 0.0), sold) for day, (mean, sold) in means.items()}
        if shop is None:
            return {day: value for day, (value, _) in own.items()}
        shares = {day: sold / (sold + SALES_THAT_COUNT_HALF) for day, (_, sold) in own.items()}
        return {
            day: shares[day] * own[day][0] + (1 - shares[day]) * usual if day in own else usual
            for day, usual in shop.weekdays.items()
        }

    def _by_season(
        self, known: pl.DataFrame, cutoff: dt.date, horizon: int, step_days: int, shop: _Part | None
    ) -> list[float]:
        """Sales around the target's day over those of the weeks up to the cutoff, a year ago; empty without a year.

        Of older series alone: how many are launched, and how fast they end, is no season.
        """
        older = pl.col("class").is_in([ESTABLISHED, len(age_classes(self.weekly))])
        daily = known.filter(older).group_by("ds").agg(pl.col("y", "sold").sum()).sort("ds")
        start = cutoff - dt.timedelta(YEAR)
        if daily.is_empty() or daily["ds"][0] > start - dt.timedelta(BASE_DAYS):
            return [] if shop is None else shop.seasons
        ages = (daily["ds"] - start).dt.total_days().to_numpy()
        y, sold = daily["y"].to_numpy(), daily["sold"].to_numpy()

        def between(first: int, last: int) -> tuple[float, float]:
            near = (ages >= first) & (ages <= last)
            return (float(y[near].mean()), float(sold[near].sum())) if near.any() else (0.0, 0.0)

        base, sales = between(1 - BASE_DAYS, 0)
        factors = []
        for step in range(1, horizon + 1):
            usual = shop.seasons[step - 1] if shop is not None and shop.seasons else 1.0
            day = min(step * step_days, YEAR - TARGET_DAYS)
            level, count = between(day - TARGET_DAYS, day + TARGET_DAYS)
            counted = min(count, sales)
            share = counted / (counted + SEASON_SALES_THAT_COUNT_HALF)
            own = level / base if base > 0 else usual
            factors.append(float(np.clip(share * own + (1 - share) * usual, *SEASON_BOUNDS)))
        return factors


def _trust(starts: pl.DataFrame) -> float:
    """The share of what series sell while they are short from which on a series' own level counts half.

    With r a series' sales over those of its category, the variance of r is that of the lasting levels of series plus
    that of chance; the covariance of r in two halves of the time is the first of them (Bühlmann & Straub). The result
    is chance over level.
    """
    counts = starts.with_columns(
        series=pl.len().over("category"),
        usual_first=pl.col("first").mean().over("category"),
        usual_second=pl.col("second").mean().over("category"),
    ).filter((pl.col("series") > 1) & (pl.col("usual_first") > 0) & (pl.col("usual_second") > 0))
    if counts.height < MIN_SERIES:
        return 1.0
    first, second, usual_first, usual_second = (
        counts[name].to_numpy() for name in ("first", "second", "usual_first", "usual_second")
    )
    bound = SEASON_BOUNDS[1] ** 3
    early, late = np.clip(first / usual_first, -bound, bound), np.clip(second / usual_second, -bound, bound)
    whole = np.clip((first + second) / (usual_first + usual_second), -bound, bound)
    levels = float(np.cov(early, late)[0, 1])
    if levels <= 0:
        return TRUST_BOUNDS[1]
    return float(np.clip((float(whole.var(ddof=1)) - levels) / levels, *TRUST_BOUNDS))
