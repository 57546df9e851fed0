"""What the features mean, in words: the labels of their declarations, and of what is not a feature of the panel."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from salesml_assets.forecasting.feature_words import PARTS, in_words
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.panel_features import panel_features
from salesml_assets.language import stored
from salesml_assets.reporting.formats import sentence
from salesml_assets.text import clean

# Names may carry a prefix that says what they are in the panel: f_ (number) or c_ (text).
_PREFIX = re.compile(r"^[fc]_")
_KEYS = {"store_index": "Store", "category_index": "Category", "product_index": "Product"}
# Columns of the table `features` that teams know from their own.
_PATTERNS = (
    (r"moving_average_(\d+)", "Mean of the last {count} {steps}"),
    (r"sales_lag_(\d+)", "Sales {count} {steps} before"),
)
_ENDINGS = ("_recent", "_like")


def feature_label(name: str, *, weekly: bool = False) -> str:
    """A feature's meaning in words; of a name that is not known, the name itself as words.

    >>> feature_label("f_mean_28"), feature_label("f_mean_13", weekly=True), feature_label("f_promo_recent")
    ('Mean of the last 28 days', 'Mean of the last 13 weeks', 'Promo, recent level')
    >>> feature_label("f_promo_by_store")
    'Promo, mean of the store'
    >>> feature_label("c_campaign_hot_flyer")
    'Campaign: flyer'
    """
    return stored(_in_english(name, weekly))


def _in_english(name: str, weekly: bool) -> str:
    if name in (labels := _labels(weekly)):
        return in_words(labels[name], weekly)
    if name in _KEYS:
        return _KEYS[name]
    bare = _PREFIX.sub("", name)
    for pattern, text in _PATTERNS:
        if match := re.fullmatch(pattern, bare):
            return in_words(text.replace("{count}", match.group(1)), weekly)
    if name in PARTS:
        return PARTS[name][0]
    covariate, hot, label = bare.partition("_hot_")
    if hot:
        return f"{sentence(clean(covariate, 40))}: {clean(label, 40)}"
    planned_name, by, key = bare.rpartition("_by_")
    if by and name.startswith("f_") and f"{key}_index" in _KEYS:
        return f"{sentence(clean(planned_name, 60))}, mean of the {key}"
    for ending in _ENDINGS:
        if bare.endswith(ending) and name.startswith("f_"):
            planned = panel_features(FeatureSpec(numbers=(clean(bare.removesuffix(ending), 60),)))
            return next(feature.label for feature in planned if feature.name.endswith(ending))
    return sentence(clean(bare, 60))


@cache
def _labels(weekly: bool) -> dict[str, str]:
    common: dict[str, Any] = {"holidays": (("", "2000-01-01", ""),), "calendar_features": True}
    spec = FeatureSpec(weekly=True, windows=(2, 4, 8, 13), **common) if weekly else FeatureSpec(**common)
    return {feature.name: feature.label for feature in panel_features(spec)}
