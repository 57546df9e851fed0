"""Contributions in words that a planner knows."""

from __future__ import annotations

import re

from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.reporting.feature_names import feature_label

RECENT, SELDOM, WEEKDAY, SEASON = "Recent level", "How often it sells", "Weekday", "Time of the year"
SIZE, AHEAD, RULES = "Size of the series", "How far ahead", "Rules: closed, too short or below zero"
_KEYS = {"product": "Product", "store": "Store", "category": "Category"}
_PATTERNS = (
    (r"f_(last|mean_\d+|ewm|ewm_slow|median|largest|mean_sold|momentum|spread)|average_\w+", RECENT),
    (r"f_(zero_share|zero_share_long|since_sale)", SELDOM),
    (r"f_(weekday_\w+|day_of_week)", WEEKDAY),
    (r"f_(year_ratio|year_smooth|has_year|day_of_month|day_of_year|month|season_before|season_after)", SEASON),
    (r"f_level", SIZE),
    (r"f_horizon", AHEAD),
)


def group_of(column: str, spec: FeatureSpec) -> str:
    """The group to which a column of contributions belongs.

    >>> group_of("f_mean_28", FeatureSpec()), group_of("product", FeatureSpec())
    ('Recent level', 'Product')
    >>> group_of("f_season_1", FeatureSpec()), group_of("f_promo_like", FeatureSpec(numbers=("promo",)))
    ('Weekday', 'Planned: promo')
    """
    for name in (*spec.numbers, *spec.texts):
        if column in (f"f_{name}", f"f_{name}_recent", f"f_{name}_like", f"c_{name}"):
            return f"Planned: {name}"
    if column in _KEYS:
        return _KEYS[column]
    # The short season of days is the week, that of weeks the year.
    if re.fullmatch(r"f_season_(\d+|mean)|seasonal_naive", column):
        return SEASON if spec.weekly else WEEKDAY
    return next((group for pattern, group in _PATTERNS if re.fullmatch(pattern, column)), "Other")


def label_of(column: str, spec: FeatureSpec) -> str:
    """A column's meaning.

    >>> label_of("f_mean_28", FeatureSpec()), label_of("product", FeatureSpec())
    ('Mean of the last 28 days', 'Product')
    """
    return _KEYS.get(column) or feature_label(column, "week" if spec.weekly else "day")
