"""What the features mean, in words."""

from __future__ import annotations

import re

from salesml_assets.reporting.formats import sentence
from salesml_assets.text import clean

# Names may carry a prefix that says what they are in the panel: f_ (number) or c_ (text).
_PREFIX = re.compile(r"^[fc]_")
_FIXED = {
    "horizon": "How far ahead",
    "last": "Sales of the last {step}",
    "ewm": "Smoothed recent sales",
    "ewm_slow": "Smoothed sales over months",
    "median": "Median of recent sales",
    "largest": "Largest recent sale",
    "mean_sold": "Sales on {steps} with a sale",
    "zero_share_long": "Share of {steps} without a sale, over months",
    "spread": "Spread of recent sales",
    "zero_share": "Share of {steps} without a sale",
    "since_sale": "Time since the last sale",
    "age": "Age of the series",
    "level": "Size of the series",
    "scale": "Size of the series",
    "momentum": "Recent trend",
    "trend": "Last {step} against its mean",
    "weekday_index": "Strength of the weekday",
    "season_before": "Week before, a year ago",
    "season_after": "Week after, a year ago",
    "year_smooth": "Season last year, smoothed",
    "month": "Month",
    "store_index": "Store",
    "category_index": "Category",
    "product_index": "Product",
    "season_1": "Same {season}, last known",
    "season_mean": "Same {season}, mean of the last",
    "year_ratio": "Same time last year",
    "has_year": "A year of history is there",
    "day_of_week": "Day of the week",
    "day_of_month": "Day of the month",
    "day_of_year": "Time of the year",
    "week_of_year": "Week of the year",
    "year_month": "Calendar month",
}
_PATTERNS = (
    (r"(?:mean|moving_average)_(\d+)", "Mean of the last {count} {steps}"),
    (r"(?:sales_)?lag_(\d+)", "Sales {count} {steps} before"),
    (r"weekday_(\d+)", "Mean of that weekday over {count} weeks"),
    (r"season_(\d+)", "Same {season}, {count} back"),
)
_ENDINGS = (("_recent", "recent level"), ("_like", "sales at the planned value"))


def feature_label(name: str, step: str = "day") -> str:
    """A feature's meaning in words; of a name that is not known, the name itself as words.

    >>> feature_label("f_mean_28"), feature_label("f_mean_13", "week"), feature_label("f_promo_recent")
    ('Mean of the last 28 days', 'Mean of the last 13 weeks', 'Promo, recent level')
    """
    bare = _PREFIX.sub("", name)
    season = "weekday" if step == "day" else "week of the year"
    words = {"step": step, "steps": f"{step}s", "season": season}
    if bare in _FIXED:
        return _FIXED[bare].format(**words)
    for pattern, text in _PATTERNS:
        if match := re.fullmatch(pattern, bare):
            return text.format(count=match.group(1), **words)
    for ending, meaning in _ENDINGS:
        if bare.endswith(ending):
            return f"{sentence(bare.removesuffix(ending))}, {meaning}"
    return sentence(clean(bare, 60))
