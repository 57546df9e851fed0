"""What the columns of contributions mean to a planner: a label for each, and the group that it is added up in."""

from __future__ import annotations

from functools import lru_cache

from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.panel_features import (
    HOLIDAY,
    RECENT,
    WEEKDAY,
    YEAR,
    Feature,
    panel_features,
    planned_group,
    short_season_group,
)

RULES = "Rules: closed, too short, ended or below zero"
OTHER = "Other"
KEYS = {"product": "Product", "store": "Store", "category": "Category"}
# Parts of the calendar regression: label and group.
PARTS = {
    "calendar_weekday": ("Weekday", WEEKDAY),
    "calendar_season": ("Time of the year and of the month", YEAR),
    "calendar_holidays": ("Public holidays and the turn of the year", HOLIDAY),
    "calendar_planned": ("What is planned", "Planned"),
    "calendar_trend": ("Trend", YEAR),
}


def label_of(column: str, spec: FeatureSpec) -> str:
    """A column's meaning.

    >>> label_of("f_mean_28", FeatureSpec()), label_of("product", FeatureSpec())
    ('Mean of the last 28 days', 'Product')
    >>> label_of("average_short", FeatureSpec(weekly=True)), label_of("c_flyer", FeatureSpec(texts=("flyer",)))
    ('Mean of the last 4 weeks', 'Flyer')
    """
    if column in KEYS:
        return KEYS[column]
    if column in PARTS:
        return PARTS[column][0]
    if feature := _features(spec).get(column):
        return in_words(feature.label, spec.weekly)
    if column == "seasonal_naive":
        return in_words("Same {season}, last known", spec.weekly)
    window = spec.averages.get(column.removeprefix("average_"))
    if window is not None and column.startswith("average_"):
        return in_words(f"Mean of the last {window} {{steps}}", spec.weekly)
    bare = column.removeprefix("c_").replace("_", " ")
    return bare[:1].upper() + bare[1:]


def group_of(column: str, spec: FeatureSpec) -> str:
    """The group to which a column of contributions belongs.

    >>> group_of("f_mean_28", FeatureSpec()), group_of("product", FeatureSpec())
    ('Recent level', 'Product')
    >>> group_of("f_season_1", FeatureSpec()), group_of("f_promo_like", FeatureSpec(numbers=("promo",)))
    ('Weekday', 'Planned: promo')
    """
    if column in KEYS:
        return KEYS[column]
    if column in PARTS:
        return PARTS[column][1]
    if feature := _features(spec).get(column):
        return feature.group
    if column == "seasonal_naive":
        return short_season_group(spec)
    if column.startswith("average_"):
        return RECENT
    return planned_group(column.removeprefix("c_")) if column.removeprefix("c_") in spec.texts else OTHER


def in_words(label: str, weekly: bool) -> str:
    """A feature's label with its steps and seasons named."""
    step, season = ("week", "week of the year") if weekly else ("day", "weekday")
    return label.format(step=step, steps=f"{step}s", season=season)


@lru_cache(maxsize=16)  # the service asks with each request
def _features(spec: FeatureSpec) -> dict[str, Feature]:
    return {feature.name: feature for feature in panel_features(spec)}
