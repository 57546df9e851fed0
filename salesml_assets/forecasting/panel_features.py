"""What models see of a row of the panel: each feature is declared once, with its name, value and label."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from salesml_assets.forecasting.calendar_columns import LINEAR, LOG
from salesml_assets.forecasting.features import FeatureSpec, row_mean

SEASONAL_LAGS = 4
WEEKDAY_WEEKS = (8, 13)
BOUND = 10.0  # of ratios
# What a feature tells a model, in a planner's words.
RECENT, SELDOM, WEEKDAY, YEAR = "Recent level", "How often it sells", "Weekday", "Time of the year"
SIZE, AHEAD = "Size of the series", "How far ahead"
HOLIDAY, CALENDAR = "Holidays and pay-days", "Calendar"
DAILY_HOLIDAYS = {
    "is": "Public holiday",
    "to": "Days to the next public holiday",
    "since": "Days since the last public holiday",
    "to_month_end": "Days to the end of the month",
    "to_payday": "Days from the 1st, the 15th or the end of the month",
    "from_christmas": "Days from Christmas",
    "effect_total": "What this holiday did to all sales",
    "effect": "What this holiday did to the series' sales",
}
WEEKLY_HOLIDAYS = {
    "in_week": "Public holidays in the week",
    "next_week": "Public holidays in the next week",
    "last_week": "Public holidays in the week before",
    "from_christmas": "Weeks from Christmas",
}


@dataclass(frozen=True)
class Feature:
    """A numeric feature of a row of the panel.

    Attributes:
        name: Column of the panel.
        value: Its value from the columns that `panel.expand` looks up; never null.
        label: Its meaning in words; `{step}`, `{steps}` and `{season}` stand for day or week and what they belong to.
        group: The group of features that explanations add it up with.
    """

    name: str
    value: pl.Expr
    label: str
    group: str


def seasonal_lags(spec: FeatureSpec) -> range:
    """Seasons that are looked back."""
    return range(1, (2 if spec.weekly else SEASONAL_LAGS) + 1)


def base_window(spec: FeatureSpec) -> int:
    """Window of the recent level, in steps."""
    return 4 if spec.weekly else 28


def group_mean(name: str, key: str) -> str:
    """The column of a planned number's mean over the series that share a key, at the same step."""
    return f"_{name}_by_{key}"


def usual(spec: FeatureSpec) -> pl.Expr:
    """What stands in for an amount that is not known: the recent mean, else the mean of months, else zero."""
    return pl.coalesce(f"mean_{spec.windows[0]}", f"mean_{spec.level_window}", pl.lit(0.0))


def panel_features(spec: FeatureSpec) -> list[Feature]:
    """The features in the order in which models see them; amounts are divided by the series' scale.

    A new feature is one more entry here (and, where it needs a new look-up, a column of `panel.expand`).

    Args:
        spec: The definition of the features.
    """
    return [
        Feature("f_horizon", pl.col("horizon"), "How far ahead", AHEAD),
        *_recent_sales(spec),
        *_seasons(spec),
        *_calendar(),
        *_holidays(spec),
        *_regression(spec),
        *_planned(spec),
    ]


def planned_group(name: str) -> str:
    """The group of a covariate known in advance.

    >>> planned_group("promo")
    'Planned: promo'
    """
    return f"Planned: {name}"


def short_season_group(spec: FeatureSpec) -> str:
    """The group of the short season: of days it is the week, of weeks the year."""
    return YEAR if spec.weekly else WEEKDAY


def _amount(name: str, column: str, spec: FeatureSpec, label: str, group: str = RECENT) -> Feature:
    return Feature(name, pl.coalesce(column, usual(spec)) / pl.col("scale"), label, group)


def _level(spec: FeatureSpec) -> pl.Expr:
    return pl.max_horizontal(pl.col(f"mean_{spec.level_window}").abs(), 0.01 * pl.col("scale"))


def _recent_sales(spec: FeatureSpec) -> list[Feature]:
    scale = pl.col("scale")
    momentum = pl.coalesce(f"mean_{base_window(spec)}", usual(spec)) / _level(spec)
    zero_share_long = pl.col("zero_share_long").fill_null(0.0)
    since_sale = pl.col("since_sale").fill_null(pl.col("age")).cast(pl.Float64).log1p()
    return [
        _amount("f_last", "_last", spec, "Sales of the last {step}"),
        *[_amount(f"f_mean_{w}", f"mean_{w}", spec, f"Mean of the last {w} {{steps}}") for w in spec.windows],
        _amount("f_ewm", "ewm", spec, "Smoothed recent sales"),
        _amount("f_ewm_slow", "ewm_slow", spec, "Smoothed sales over months"),
        _amount("f_median", "median", spec, "Median of recent sales"),
        _amount("f_largest", "largest", spec, "Largest recent sale"),
        Feature("f_spread", pl.coalesce("spread", pl.lit(0.0)) / scale, "Spread of recent sales", RECENT),
        _amount("f_mean_sold", "mean_sold", spec, "Sales on {steps} with a sale"),
        Feature("f_zero_share", pl.col("zero_share").fill_null(0.0), "Share of {steps} without a sale", SELDOM),
        Feature("f_zero_share_long", zero_share_long, "Share of {steps} without a sale, over months", SELDOM),
        Feature("f_since_sale", since_sale, "Time since the last sale", SELDOM),
        Feature("f_level", scale.log(), "Size of the series", SIZE),
        Feature("f_momentum", momentum.clip(-BOUND, BOUND), "Recent trend", RECENT),
    ]


def _seasons(spec: FeatureSpec) -> list[Feature]:
    scale, lags = pl.col("scale"), [f"_season_{k}" for k in seasonal_lags(spec)]
    mean = pl.coalesce(row_mean([pl.col(name) for name in lags]), usual(spec)) / scale
    labels = {1: "Same {season}, last known"}
    season = short_season_group(spec)
    found = [
        _amount(f"f_season_{k}", name, spec, labels.get(k, f"Same {{season}}, {k} back"), season)
        for k, name in enumerate(lags, 1)
    ]
    found.append(Feature("f_season_mean", mean, "Same {season}, mean of the last", season))
    if spec.weekly:
        found += [
            _amount("f_season_before", "_season_before", spec, "Week before, a year ago", YEAR),
            _amount("f_season_after", "_season_after", spec, "Week after, a year ago", YEAR),
        ]
    else:
        index = pl.coalesce(f"_on_weekday_{WEEKDAY_WEEKS[0]}", usual(spec)) / _level(spec)
        found += [
            _amount(f"f_weekday_{n}", f"_on_weekday_{n}", spec, f"Mean of that weekday over {n} weeks", WEEKDAY)
            for n in WEEKDAY_WEEKS
        ]
        found.append(Feature("f_weekday_index", index.clip(-BOUND, BOUND), "Strength of the weekday", WEEKDAY))
    known = pl.col("_year_ratio")
    return [
        *found,
        Feature("f_year_ratio", known.fill_null(1.0), "Same time last year", YEAR),
        Feature("f_year_smooth", pl.col("_year_smooth").fill_null(1.0), "Season last year, smoothed", YEAR),
        Feature("f_has_year", known.is_not_null(), "A year of history is there", YEAR),
    ]


def _calendar() -> list[Feature]:
    day = pl.col("ds").dt
    return [
        Feature("f_day_of_week", day.weekday(), "Day of the week", WEEKDAY),
        Feature("f_day_of_month", day.day(), "Day of the month", YEAR),
        Feature("f_day_of_year", day.ordinal_day(), "Time of the year", YEAR),
        Feature("f_month", day.month(), "Month", YEAR),
    ]


def _holidays(spec: FeatureSpec) -> list[Feature]:
    if not spec.holidays:
        return []
    labels = WEEKLY_HOLIDAYS if spec.weekly else DAILY_HOLIDAYS
    return [Feature(f"f_holiday_{name}", pl.col(f"_holiday_{name}"), label, HOLIDAY) for name, label in labels.items()]


def _regression(spec: FeatureSpec) -> list[Feature]:
    """What weekday, season, holidays, plans and trend alone would sell."""
    if not spec.calendar_features:
        return []
    return [
        _amount("f_calendar", LINEAR, spec, "What the calendar alone would sell", CALENDAR),
        _amount("f_calendar_log", LOG, spec, "What the calendar alone would sell, effects multiplied", CALENDAR),
    ]


def _planned(spec: FeatureSpec) -> list[Feature]:
    """Covariates known in advance: the planned value, its recent level, and sales at values like the planned one."""
    values, recents, likes = [], [], []
    for name in spec.numbers:
        target, recent = pl.col(f"_{name}_target"), pl.col(f"_{name}_recent")
        like = pl.when(target > 0).then(f"_{name}_on").otherwise(f"_{name}_off")
        words, group = name[:1].upper() + name[1:].replace("_", " "), planned_group(name)
        values.append(Feature(f"f_{name}", pl.coalesce(target, recent, pl.lit(0.0)), words, group))
        recents.append(Feature(f"f_{name}_recent", recent.fill_null(0.0), f"{words}, recent level", group))
        likes.append(
            Feature(
                f"f_{name}_like",
                pl.coalesce(like, usual(spec)) / pl.col("scale"),
                f"{words}, sales at the planned value",
                group,
            )
        )
    groups = []
    for key in spec.plan_groups:
        for name, own in zip(spec.numbers, values, strict=True):
            words = name[:1].upper() + name[1:].replace("_", " ")
            mean = pl.coalesce(f"{group_mean(name, key)}_target", own.value)
            groups.append(Feature(f"f_{name}_by_{key}", mean, f"{words}, mean of the {key}", planned_group(name)))
    return [*values, *recents, *likes, *groups]
