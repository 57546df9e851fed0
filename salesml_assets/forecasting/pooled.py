"""What series know from one another: coefficients of the calendar regression by group, and effects of holidays.

Made of a bounded number of series, in knots that use nothing after them; a small table, kept with each fitted model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from salesml_assets.forecasting.calendar_regression import (
    ALL_SERIES,
    GROUP_SERIES,
    STANDARDIZED_FROM,
    TOP_PENALTY,
    VERSIONS,
    Moments,
    SeriesCalendar,
    Terms,
    calendar_matrix,
)
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.holiday_calendar import ordinals as holidays_in
from salesml_assets.forecasting.holiday_features import KNOWN_AFTER, NEIGHBOURS, Days, day_ratio, felt_days

SERIES = 500  # are drawn
MIN_GROUP = 3  # series of a group with coefficients of its own
COLUMNS: dict[str, Any] = {
    "part": pl.String,
    "group": pl.String,
    "day": pl.Date,
    "term": pl.String,
    **dict.fromkeys(VERSIONS, pl.Float64),
}
COEFFICIENT, SCALING, HOLIDAY, PLAN = "coefficient", "scaling", "holiday", "plan"
ALL = ""  # the group of all series


@dataclass(frozen=True)
class Pool:
    """What series know from one another.

    Attributes:
        knots: Steps at which the regression was fitted, ordinals, ascending.
        coefficients: Of each group and of `ALL`: knots × terms × versions.
        scaling: Mean and standard deviation of planned values that are standardized.
        totals: Of each region: ratio of the sum over all series on days near holidays, by ordinal.
        plans: What is planned ahead: `group` (key=label), `day`, `term` (planned number), `linear` (mean).
    """

    knots: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    coefficients: Mapping[str, np.ndarray] = field(default_factory=dict)
    scaling: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    totals: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    plans: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COLUMNS))

    def planned(self, rows: pl.DataFrame, key: str, name: str, days: pl.Series) -> pl.Series:
        """Mean of a planned number over the series that share a key with each row, on its day; null: not known."""
        if self.plans.is_empty() or key not in rows.columns:
            return pl.repeat(None, len(rows), dtype=pl.Float64, eager=True)
        known = self.plans.filter(pl.col("term") == name).select("group", "day", "linear")
        wanted = rows.select(group=pl.lit(f"{key}=") + pl.col(key)).with_columns(day=days)
        return wanted.join(known, on=["group", "day"], how="left", maintain_order="left")["linear"]

    def prior(self, group: str | None, knots: np.ndarray, terms: Terms) -> np.ndarray:
        """Coefficients that a series is shrunk to: those of the last knot at or before each of `knots`.

        Zero where there is none.
        """
        found = np.zeros((len(knots), terms.count, len(VERSIONS)))
        own = self.coefficients.get(group or ALL, self.coefficients.get(ALL))
        if own is not None and len(self.knots):
            places = np.searchsorted(self.knots, knots, "right") - 1
            known = places >= 0
            found[known] = own[places[known]]
        return found

    def to_frame(self, terms: Terms) -> pl.DataFrame:
        """As a table with `COLUMNS`."""
        rows: list[dict[str, Any]] = []
        for group, values in sorted(self.coefficients.items()):
            for knot, of_knot in zip(self.knots.tolist(), values, strict=True):
                for term, pair in zip(terms.names, of_knot.tolist(), strict=True):
                    about = {"part": COEFFICIENT, "group": group, "day": dt.date.fromordinal(knot), "term": term}
                    rows.append(about | dict(zip(VERSIONS, pair, strict=True)))
        rows += [
            {"part": SCALING, "group": ALL, "day": None, "term": name, "linear": mean, "log": deviation}
            for name, (mean, deviation) in sorted(self.scaling.items())
        ]
        for region, ratios in sorted(self.totals.items()):
            about = {"part": HOLIDAY, "group": region, "term": "", "log": None}
            rows += [
                about | {"day": dt.date.fromordinal(day), "linear": ratio} for day, ratio in sorted(ratios.items())
            ]
        return pl.DataFrame(rows, schema=COLUMNS)

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, terms: Terms) -> Pool:
        """Reads what `to_frame` made, rows in any order.

        Raises:
            ValueError: The table has other terms: it was made for other settings.
        """
        rows = frame.filter(pl.col("part") == COEFFICIENT).sort("group", "day")
        days = rows["day"].unique().sort().to_list()
        places = {name: place for place, name in enumerate(terms.names)}
        if len(rows) and set(rows["term"].unique()) != set(places):
            raise ValueError("`pooled_calendar` has other terms than the features: materialize it again")
        at = {day: place for place, day in enumerate(days)}
        coefficients: dict[str, np.ndarray] = {}
        for row in rows.iter_rows(named=True):
            values = coefficients.setdefault(row["group"], np.zeros((len(days), terms.count, len(VERSIONS))))
            values[at[row["day"]], places[row["term"]]] = [row[name] for name in VERSIONS]
        scaling = frame.filter(pl.col("part") == SCALING).select("term", *VERSIONS).iter_rows()
        totals: dict[str, dict[int, float]] = {}
        for row in frame.filter(pl.col("part") == HOLIDAY).iter_rows(named=True):
            totals.setdefault(row["group"], {})[row["day"].toordinal()] = row["linear"]
        return cls(
            np.array([day.toordinal() for day in days], np.int64),
            coefficients,
            {name: (mean, deviation) for name, mean, deviation in scaling},
            totals,
            frame.filter(pl.col("part") == PLAN),
        )


def plan_rows(forecast: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    """What is planned ahead for the series that share a key, in the form of a pool's table.

    Args:
        forecast: Rows of the panel to forecast, all of them or a batch.
        spec: The definition of the features.
    """
    parts = [pl.DataFrame(schema=COLUMNS)]
    for key in spec.plan_groups:
        if key not in forecast.columns:
            continue
        for name in spec.numbers:
            value = pl.col(f"f_{name}_by_{key}")
            means = forecast.filter(pl.col(key).is_not_null()).group_by(key, "ds").agg(
                value.first().alias("linear"), same=value.n_unique() == 1
            )  # fmt: skip
            # Where nothing is planned for any of them, each series has its own value instead.
            known = means.filter("same").select(
                part=pl.lit(PLAN), group=pl.lit(f"{key}=") + pl.col(key), day="ds", term=pl.lit(name), linear="linear",
                log=pl.lit(None, pl.Float64),
            )  # fmt: skip
            parts.append(known)
    return pl.concat(parts).unique(maintain_order=True).sort("group", "day", "term")


def latest(frame: pl.DataFrame) -> pl.DataFrame:
    """What forecasts from the last knot on need of a pool's table: it is kept with a fitted model."""
    last = pl.col("day") == pl.col("day").filter(pl.col("part") == COEFFICIENT).max()
    return frame.filter((pl.col("part") != COEFFICIENT) | last).sort("part", "group", "day", "term")


def summary(frame: pl.DataFrame) -> dict[str, int]:
    """What a pool's table holds, for people."""
    coefficients = frame.filter(pl.col("part") == COEFFICIENT)
    return {
        "groups": coefficients["group"].n_unique(),
        "times that it was fitted": coefficients["day"].n_unique(),
        "days near holidays": frame.filter(pl.col("part") == HOLIDAY).height,
    }


def group_of(columns: Mapping[str, str | None]) -> str | None:
    """The group of a series with these keys: its category, else its store."""
    return columns.get("category") or columns.get("store")


def days_of(spec: FeatureSpec) -> dict[str, Days]:
    """The holidays of each region, and none for the region without a name."""
    found = {"": Days(np.zeros(0, np.int64), ())}
    for region in {spec.region, *(region for _, region in spec.regions)}:
        days, names = holidays_in(spec.holidays, region)
        found[region] = Days(np.array(days, np.int64), tuple(names))
    return found


def region_of(spec: FeatureSpec, store: str | None) -> str:
    """The region of a store."""
    return dict(spec.regions).get(store or "", spec.region)


def series_calendars(
    rows: pl.DataFrame, spec: FeatureSpec, scaling: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[dict[str, str | None], slice, SeriesCalendar]]:
    """Yields keys, place in the frame and calendar of each series.

    Args:
        rows: Sorted by series and step: `unique_id`, series keys, `ds`, `y`, `closed`, the planned numbers.
        spec: The definition of the features.
        scaling: Of planned values.
    """
    if rows.is_empty():
        return
    names = rows["unique_id"]
    starts = np.nonzero((names != names.shift(1)).fill_null(True).to_numpy())[0]
    ends = np.append(starts[1:], len(rows))
    ordinals = rows["ds"].to_physical().to_numpy().astype(np.int64) + 719_163
    usable = (~pl.col("closed") & pl.col("y").is_not_null()).fill_null(False)
    known = rows.select(usable=usable, y=pl.col("y").fill_null(0.0).cast(pl.Float64))
    is_usable, y = known["usable"].to_numpy(), known["y"].to_numpy()
    keys = [name for name in ("store", "category") if name in rows.columns]
    about = rows[starts].select(keys).to_dicts() if keys else [{} for _ in starts]
    first, last = int(ordinals.min()), int(ordinals.max())
    regions = days_of(spec)
    step = 7 if spec.weekly else 1
    every = np.arange(first, last + 1, step)
    by_region: dict[str, np.ndarray] = {}
    planned = [
        (rows[name].cast(pl.Float64).to_numpy() - scaling.get(name, (0.0, 1.0))[0]) / scaling.get(name, (0.0, 1.0))[1]
        for name in spec.numbers
    ]
    for keys_of, start, end in zip(about, starts.tolist(), ends.tolist(), strict=True):
        region = region_of(spec, keys_of.get("store"))
        if region not in by_region:
            by_region[region] = calendar_matrix(spec, regions[region], every)
        terms = by_region[region][(ordinals[start:end] - first) // step]
        for place, values in enumerate(planned, terms.shape[1] - 1 - len(planned)):
            terms[:, place] = np.nan_to_num(values[start:end], nan=0.0)
        calendar = SeriesCalendar(terms, y[start:end], is_usable[start:end], ordinals[start:end])
        yield keys_of, slice(start, end), calendar


def make_pool(rows: pl.DataFrame, totals: pl.DataFrame, spec: FeatureSpec, knots: np.ndarray) -> Pool:
    """What the drawn series know from one another.

    Args:
        rows: Of the drawn series: `unique_id`, series keys, `ds`, `y`, `closed`, the planned numbers, `scale`, `live`.
        totals: Sums over all series: `region`, `ds`, `y`.
        spec: The definition of the features.
        knots: Of `calendar_regression.knots`.
    """
    ratios = _total_ratios(totals, spec)
    if not spec.calendar_regression:
        return Pool(totals=ratios)
    terms = Terms.of(spec)
    ordered = rows.sort("unique_id", "ds")
    scaling = {}
    for name in spec.numbers:
        values = ordered[name].cast(pl.Float64).drop_nulls().to_numpy()
        if len(values) > 1 and (deviation := float(values.std(ddof=1))) > STANDARDIZED_FROM:
            scaling[name] = (float(values.mean()), deviation)
    shape = (len(knots), terms.count)
    sums: dict[str, list[np.ndarray]] = {}
    scale, live = ordered["scale"].to_numpy(), ordered["live"].fill_null(False).to_numpy()
    for keys, place, calendar in series_calendars(ordered, spec, scaling):
        ends = np.searchsorted(calendar.ordinals, knots, "right")
        there = (ends >= spec.min_history) & live[place][np.maximum(ends - 1, 0)]
        if not there.any():
            continue
        found = calendar.moments(ends[there], scale[place][ends[there] - 1])
        for group in {ALL, group_of(keys) or ALL}:
            empty = [np.zeros((*shape, terms.count)), np.zeros((*shape, len(VERSIONS))), np.zeros(len(knots))]
            matrix, targets, count = sums.setdefault(group, empty)
            matrix[there] += found.matrix
            targets[there] += found.targets
            count[there] += 1
    prior = np.zeros((*shape, len(VERSIONS)))
    coefficients = {}
    if ALL in sums:
        prior = coefficients[ALL] = _mean(sums[ALL], ALL_SERIES).solve(terms.penalties * TOP_PENALTY, prior)
    for group, parts in sums.items():
        if group != ALL and parts[2].max() >= MIN_GROUP:
            coefficients[group] = _mean(parts, GROUP_SERIES).solve(terms.penalties, prior)
    return Pool(knots, coefficients, scaling, ratios)


def _mean(parts: list[np.ndarray], series: int) -> Moments:
    """Means of cross-products, counted as those of at most so many series."""
    matrix, targets, count = parts
    weight = np.minimum(count, series) / np.maximum(count, 1)
    return Moments(matrix * weight[:, None, None], targets * weight[:, None, None])


def _total_ratios(totals: pl.DataFrame, spec: FeatureSpec) -> dict[str, dict[int, float]]:
    if spec.weekly or not spec.holidays:
        return {}
    found = {}
    for region, days in days_of(spec).items():
        own = totals.filter(pl.col("region") == region).sort("ds")
        if own.is_empty() or not len(days.ordinals):
            continue
        ordinals = own["ds"].to_physical().to_numpy().astype(np.int64) + 719_163
        values = np.full(int(ordinals[-1] - ordinals[0]) + 1 + 2 * KNOWN_AFTER, np.nan)
        first = int(ordinals[0]) - KNOWN_AFTER
        values[ordinals - first] = own["y"].cast(pl.Float64).to_numpy()
        felt = felt_days(days)
        felt = felt[(felt >= ordinals[0]) & (felt <= ordinals[-1])]
        ratios = day_ratio(values[felt - first], [values[felt - first + shift] for shift in NEIGHBOURS])
        known = ~np.isnan(ratios)
        # Sums in another order differ in their last digits.
        found[region] = dict(zip(felt[known].tolist(), ratios[known].round(9).tolist(), strict=True))
    return found
