"""The direct panel: rows of (series, origin, horizon) for learning, scoring and forecasting.

A row's features were known at the end of the step `origin`, or are known in advance for its target step
`origin + horizon` (calendar, planned covariates); its target is the value there.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from salesml_assets.config.settings import KEYS
from salesml_assets.forecasting.calendar_columns import LOG, PARTS, REGRESSION, holiday_columns, regression_columns
from salesml_assets.forecasting.calendar_regression import knots as regression_knots
from salesml_assets.forecasting.draws import hashed, uniform
from salesml_assets.forecasting.features import (
    TINY,
    FeatureSpec,
    shifted,
    sort_and_number,
)
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.panel_features import (
    WEEKDAY_WEEKS,
    base_window,
    group_mean,
    panel_features,
    seasonal_lags,
    usual,
)
from salesml_assets.forecasting.pooled import Pool

TRAIN, SCORE, FUTURE = "train", "score", "future"
YEARS = 3
ACCIDENT = 0.01
EARLY = 35  # days by which a season can be earlier than a year ago: Easter moves by five weeks


@dataclass(frozen=True)
class PanelPlan:
    """Which rows of the panel are made.

    Attributes:
        horizon: Steps ahead.
        last: Last step of the data, the origin of the forecasts.
        folds: Origins of the backtest.
        share: Share of all possible training rows that are drawn, by a hash of series, origin and horizon.
        seed: Seed of that draw.
    """

    horizon: int
    last: dt.date
    folds: tuple[Fold, ...]
    share: float
    seed: int


def feature_names(spec: FeatureSpec) -> list[str]:
    """The numeric features of a panel row, in the order in which models see them."""
    return [feature.name for feature in panel_features(spec)]


def expand(features: pl.DataFrame, spec: FeatureSpec, plan: PanelPlan, pool: Pool | None = None) -> pl.DataFrame:
    """Makes the panel of whole series.

    Args:
        features: The output of `add_features` and, after each series' last step, one row per future step with
            `unique_id`, `ds`, `closed` and planned covariates, its `y` and features null.
        spec: The definition of the features.
        plan: Which rows to make.
        pool: What series know from one another; default: nothing.

    Returns:
        `unique_id`, `kind` (train, score or future), `fold`, `origin`, `horizon`, `ds`, `y`, `closed`, `draw`
        (uniform in 0..1, the same in every run), `scale`, `naive_mse`, `short` (too short for a model), `age` and
        `known` (steps of the series, and those open and known), `ended` (it stopped selling, see `_ended`),
        `seasonal_naive`, `average_short`, `_medium` and `_long`, `calendar_regression` and its `PARTS`, and the
        features `f_*` (amounts divided by `scale`) and covariate texts `c_*`.
    """
    base = _origin_columns(features, spec)
    base = base.with_columns(hashed(base["unique_id"], base["ds"], seed=0).alias("_hash"))
    rows = pl.concat(_rows(base, horizon, plan) for horizon in range(1, plan.horizon + 1))
    pool = pool or Pool()
    if not len(knots := pool.knots) and base.height and spec.calendar_regression:
        cutoffs = tuple(fold.cutoff.toordinal() for fold in plan.folds)
        knots = regression_knots(base["ds"].min().toordinal(), plan.last.toordinal(), cutoffs)  # type: ignore[union-attr]
    return _finish(_with_targets(base, rows, spec, pool, knots), spec, plan.folds)


def expand_future(features: pl.DataFrame, spec: FeatureSpec, horizon: int, pool: Pool | None = None) -> pl.DataFrame:
    """Makes the rows to forecast of whole series and nothing else, by the expressions of `expand`.

    Args:
        features: As in `expand`. Series may end on different steps.
        spec: The definition of the features.
        horizon: Steps ahead.
        pool: What series know from one another; default: nothing.

    Returns:
        The columns of `expand`, in the order of series and horizon; `draw` is null.
    """
    base = _origin_columns(features, spec)
    # Sorted by series: the last known row of each one.
    known = np.nonzero(base["scale"].is_not_null().to_numpy())[0]
    _, series = np.unique((base["age"].to_numpy() == 1).cumsum()[known], return_index=True)
    ends = known[np.append(series[1:], len(known)) - 1] if len(known) else known
    rows = pl.DataFrame(
        {
            "at": np.repeat(ends, horizon),
            "horizon": np.tile(np.arange(1, horizon + 1, dtype=np.int32), len(ends)),
            "draw": pl.repeat(None, len(ends) * horizon, dtype=pl.Float64, eager=True),
            "kind": pl.repeat(FUTURE, len(ends) * horizon, eager=True),
        }
    )
    # Each series' last step is a knot.
    knots = np.unique(base["ds"].to_physical().to_numpy()[ends].astype(np.int64) + 719_163)
    return _finish(_with_targets(base, rows, spec, pool or Pool(), knots), spec, ())


def _origin_columns(features: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    """What rows of every horizon share: one row per origin."""
    opened = pl.when(~pl.col("closed")).then(pl.col("y"))
    near, wide = (3, 5) if spec.weekly else (7, 29)
    series = "unique_id"
    numbered = sort_and_number(features.drop("age", "length", strict=False))
    frame = numbered.with_columns(
        opened.alias("_open"),
        opened.rolling_mean(near, min_samples=1, center=True).over(series).alias("_near"),
        opened.rolling_mean(wide, min_samples=1, center=True).over(series).alias("_wide"),
        (pl.col("age") < spec.min_history).alias("short"),
        *[pl.col(name).cast(pl.Float64) for name in spec.numbers],
    )
    on_off = []
    for name in spec.numbers:
        value = pl.col(name)
        on_off += [
            value.rolling_mean(spec.recent, min_samples=1).over(series).alias(f"_{name}_recent"),
            *[
                pl.when(condition).then(pl.col("_open")).rolling_mean(spec.level_window, min_samples=1)
                .over(series).alias(f"_{name}_{label}")
                for label, condition in (("on", value > 0), ("off", ~(value > 0)))
            ],
        ]  # fmt: skip
    return frame.with_columns(on_off)


def _rows(base: pl.DataFrame, horizon: int, plan: PanelPlan) -> pl.DataFrame:
    """The rows of one horizon: where their origins stand in the frame of origins, `kind`, `horizon` and `draw`."""
    cutoffs = pl.Series([fold.cutoff for fold in plan.folds], dtype=pl.Date)
    known = pl.col("scale").is_not_null()
    scorable = known & shifted(pl.col("y"), -horizon).is_not_null() & ~shifted(pl.col("closed"), -horizon)
    drawn = pl.col("live") & (pl.col("draw") < plan.share) & (shifted(pl.col("ds"), -horizon) <= plan.last)
    conditions = {
        TRAIN: scorable & ~pl.col("short") & drawn,
        SCORE: scorable & pl.col("ds").is_in(cutoffs.implode()),
        FUTURE: known & (pl.col("ds") == plan.last),
    }
    drawn_at = uniform(horizon, base["_hash"], seed=plan.seed)
    origins = base.select(
        "scale", "short", "live", "y", "closed", "ds", "age", "length",
        at=pl.int_range(pl.len()), horizon=pl.lit(horizon, pl.Int32), draw=drawn_at,
    )  # fmt: skip
    return pl.concat(
        origins.filter(condition).select("at", "horizon", "draw", kind=pl.lit(kind))
        for kind, condition in conditions.items()
    )


def _with_targets(
    base: pl.DataFrame, rows: pl.DataFrame, spec: FeatureSpec, pool: Pool, knots: np.ndarray
) -> pl.DataFrame:
    """The origins' columns for each row, and what belongs to its target step; `ds` becomes the target's step.

    Looked up for these rows alone: there are up to `horizon` times as many possible ones. In NumPy, because an
    expression for each look-up takes a single series several times as long; what is missing is NaN there.
    """
    origins = base[rows["at"]]
    at, age, length = rows["at"].to_numpy(), origins["age"].to_numpy(), origins["length"].to_numpy()
    horizon = rows["horizon"].to_numpy().astype(np.int64)

    def is_inside(steps: np.ndarray) -> np.ndarray:
        """Whether the series has the step so many steps before the origin (negative: after it)."""
        return (age > steps) & (age - steps <= length)

    def earlier(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The value there."""
        inside = is_inside(steps)
        return np.where(inside, values[np.where(inside, at - steps, 0)], np.nan)

    opened = base["_open"].to_numpy()
    to_season = -(-horizon // spec.season) * spec.season - horizon
    columns = {f"_season_{k}": earlier(opened, to_season + (k - 1) * spec.season) for k in seasonal_lags(spec)}
    if spec.weekly:
        columns["_season_before"] = earlier(opened, to_season + 1)
        columns["_season_after"] = earlier(opened, np.maximum(to_season - 1, 0))
    else:
        weeks = [earlier(opened, to_season + 7 * k) for k in range(max(WEEKDAY_WEEKS))]
        columns |= {f"_on_weekday_{n}": _mean_of_known(weeks[:n]) for n in WEEKDAY_WEEKS}

    scale = origins["scale"].to_numpy()

    def year_ratio(value: np.ndarray, base: np.ndarray, room: int) -> np.ndarray:
        """The target's season against the origin's, a year ago and two and three, where there was one: their mean.

        A year is one of whole weeks. `room` steps are kept to the origin, because the windows are centred.
        """
        first = -(-(horizon + room) // spec.year)
        ratios = []
        for years in range(YEARS):
            was = earlier(base, (first + years) * spec.year)
            became = earlier(value, (first + years) * spec.year - horizon)
            ratios.append((became / np.where(was > 1e-6 * scale, was, np.nan)).clip(0.0, 10.0))
        return _mean_of_known(ratios)

    near, wide, level = (base[name].to_numpy() for name in ("_near", "_wide", f"mean_{base_window(spec)}"))
    columns["_year_ratio"] = year_ratio(near, level, 3)
    columns["_year_smooth"] = year_ratio(wide, wide, 15)
    if spec.holidays:

        def some_earlier(some: np.ndarray, steps: np.ndarray) -> np.ndarray:
            inside = (age[some] > steps) & (age[some] - steps <= length[some])
            return np.where(inside, opened[np.where(inside, at[some] - steps, 0)], np.nan)

        columns |= holiday_columns(base, at, horizon, spec, pool, some_earlier)
    if spec.calendar_regression:
        columns |= regression_columns(base, at, horizon, spec, pool, knots)

    def sold(value: np.ndarray) -> np.ndarray:
        return ~np.isnan(value) & (np.abs(value) > TINY)

    sold_in_season = np.zeros(len(at), dtype=bool)
    for years in range(YEARS):
        season = (-(-(horizon + 15) // spec.year) + years) * spec.year
        # What sells all year round has no season; a series may have been launched with the last one.
        before = season + EARLY * spec.year // 364
        was_quiet = ~sold(earlier(level, before)) & (is_inside(before) | (years == 0))
        sold_in_season |= sold(earlier(wide, season - horizon)) & was_quiet
    target = pl.Series(at + horizon).set(pl.Series(~is_inside(-horizon)), None)
    found = base.select("ds", "y", "closed", *spec.numbers, *spec.texts)[target]
    planned = {f"_{name}_target": found[name] for name in (*spec.numbers, *spec.texts)}
    for key in spec.plan_groups:
        for name in spec.numbers:
            column = group_mean(name, key)
            known = base[column][target] if column in base.columns else pool.planned(origins, key, name, found["ds"])
            planned[f"{column}_target"] = known
    replaced = {
        **pl.DataFrame(columns, nan_to_null=True).to_dict(),
        "origin": origins["ds"],
        "_last": origins["_open"],
        "_sold_in_season": pl.Series(sold_in_season),
        **planned,
        **found.select("ds", "y", "closed").to_dict(),
        **rows.drop("at").to_dict(),
    }
    kept = origins.drop(name for name in replaced if name in origins.columns)
    return kept.hstack([values.alias(name) for name, values in replaced.items()])


def _mean_of_known(values: Sequence[np.ndarray]) -> np.ndarray:
    """`row_mean` of arrays in which NaN is what is missing."""
    total, count = np.zeros(len(values[0])), np.zeros(len(values[0]))
    for value in values:
        known = ~np.isnan(value)
        total, count = total + np.where(known, value, 0.0), count + known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _finish(rows: pl.DataFrame, spec: FeatureSpec, folds: tuple[Fold, ...]) -> pl.DataFrame:
    """Names the columns of the panel, amounts divided by the series' scale, nothing null among the features."""
    return rows.select(_final_columns(spec, folds, tuple(name for name in KEYS if name in rows.columns)))


def _ended(spec: FeatureSpec) -> pl.Expr:
    """Whether a series stopped selling, so that its forecast is zero.

    It sold nothing in the level window, nor for twice its longest gap so far, and at the rate at which it sold until
    then such a silence has a probability under `ACCIDENT`. A series that sold once has no rate yet, and the level
    window counts as its gap. A series that sold at the time of the target in an earlier year (two weeks before to two
    weeks after), and nothing in the weeks before that season, has a season: it has not ended.
    """
    silence = pl.coalesce("since_sale", "age")
    rate = ((pl.col("times_sold") - 1) / (pl.col("age") - silence - 1)).clip(0.0, 0.99)
    is_accident = silence * (-rate).log1p() >= math.log(ACCIDENT)
    silent = silence > 2 * pl.coalesce("max_gap", spec.level_window)
    ended = silent & ((pl.col("times_sold") <= 1) | ~is_accident)
    return (ended & ~pl.col("live") & ~pl.col("short") & ~pl.col("_sold_in_season")).fill_null(False)


@functools.lru_cache(maxsize=16)  # the service asks for them with each request
def _final_columns(spec: FeatureSpec, folds: tuple[Fold, ...], keys: tuple[str, ...]) -> list[pl.Expr]:
    instead = usual(spec)
    lags = [f"_season_{k}" for k in seasonal_lags(spec)]
    fold = pl.lit(None, pl.Int32)
    for each in folds:
        scored = (pl.col("kind") == SCORE) & (pl.col("origin") == each.cutoff)
        fold = pl.when(scored).then(pl.lit(each.number, pl.Int32)).otherwise(fold)
    return [
        pl.col("unique_id", *keys, "kind"),
        fold.alias("fold"),
        pl.col("origin", "horizon", "ds", "y", "closed", "draw", "scale", "naive_mse", "short", "age", "known"),
        _ended(spec).alias("ended"),
        pl.coalesce(*lags, instead).alias("seasonal_naive"),
        *[pl.coalesce(f"mean_{w}", instead).alias(f"average_{name}") for name, w in spec.averages.items()],
        *_regression_columns(spec, instead),
        *[feature.value.cast(pl.Float64).alias(feature.name) for feature in panel_features(spec)],
        *[pl.col(f"_{name}_target").fill_null("unknown").alias(f"c_{name}") for name in spec.texts],
    ]


def _regression_columns(spec: FeatureSpec, instead: pl.Expr) -> list[pl.Expr]:
    """The forecast of the calendar regression, and its parts where something is forecast."""
    if not spec.calendar_regression:
        return []
    parts = [pl.when(kind=FUTURE).then(pl.col(name)).alias(name) for name in PARTS]
    return [pl.coalesce(LOG, instead).alias(REGRESSION), *parts]
