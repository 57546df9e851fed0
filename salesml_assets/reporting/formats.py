"""Numbers, dates and names as people read them. Anything undefined (None, NaN, infinite) is a dash."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import TypeGuard

from salesml_assets.text import clean

DASH = "–"
MINUS = "−"
# Beyond this, digits are no help any more.
HUGE = 1e15

_ALGORITHMS = {
    "seasonal_naive": "Seasonal naive",
    "moving_average": "Moving average",
    "linear_regression": "Linear regression",
    "random_forest": "Random forest",
    "gradient_boosting": "Gradient boosting",
    "xgboost": "XGBoost",
    # The recipe in production, where its parameters differ from those that its algorithm was just tuned to.
    "champion": "Current model",
}
_METRICS = {
    "wape": "WAPE",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "bias": "Bias",
    "rmsse": "RMSSE",
    "change": "Change",
}


def is_number(value: object) -> TypeGuard[float]:
    """Whether the value is a finite number."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(float(value))


def number(value: object, digits: int = 0) -> str:
    """A number with thousands separators.

    >>> number(-1234567.8), number(0.1234, 2), number(None)
    ('−1,234,568', '0.12', '–')
    """
    if not is_number(value):
        return DASH
    if abs(value) >= HUGE:
        return f"{value:.2e}".replace("-", MINUS)
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def amount(value: object) -> str:
    """A number of any size with about three significant digits.

    >>> amount(1234567), amount(12.345), amount(0.01234), amount(8e12)
    ('1.23 million', '12.3', '0.0123', '8.00 trillion')
    >>> amount(246253), amount(0), amount(None)
    ('246,000', '0', '–')
    """
    return _scaled(value, {12: " trillion", 9: " billion", 6: " million"})


def compact(value: object) -> str:
    """A number for an axis.

    >>> compact(0), compact(1500), compact(2_000_000), compact(-0.25)
    ('0', '1.5k', '2M', '−0.25')
    """
    return _scaled(value, {12: "T", 9: "B", 6: "M", 3: "k"}, trim=True)


def _scaled(value: object, names: Mapping[int, str], *, trim: bool = False) -> str:
    """Three significant digits and the name of a power of ten; `trim` drops zeros at the end."""
    if not is_number(value):
        return DASH
    size = value
    if abs(size) >= HUGE or 0 < abs(size) < 1e-4:
        return f"{size:.2e}".replace("-", MINUS)
    rounded = float(f"{size:.3g}")
    power = next((power for power in sorted(names, reverse=True) if abs(rounded) >= 10**power), 0)
    rounded /= 10**power
    decimals = 0 if rounded == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    text = number(rounded, decimals)
    return (text.rstrip("0").rstrip(".") if trim and "." in text else text) + names.get(power, "")


def percent(share: object, digits: int = 1, *, sign: bool = False) -> str:
    """A share in percent; with `sign`, a plus is written too.

    >>> percent(0.1234), percent(0.05, sign=True), percent(-0.00001), percent(12.5, 0)
    ('12.3%', '+5.0%', '0.0%', '1,250%')
    """
    if not is_number(share):
        return DASH
    text = number(100 * share, digits)
    positive = not text.startswith(MINUS) and re.search("[1-9]", text)
    return f"{'+' if sign and positive else ''}{text}%"


def p_value(value: object) -> str:
    """A p-value; very small ones as a bound.

    >>> p_value(0.0312), p_value(0.00001)
    ('0.031', '< 0.001')
    """
    if not is_number(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: object) -> str:
    """Seconds as people say them.

    >>> duration(3.21), duration(75), duration(3700)
    ('3.2 s', '1 min 15 s', '1 h 2 min')
    """
    if not is_number(seconds):
        return DASH
    total = float(seconds)
    if total < 59.95:
        return f"{total:.1f} s"
    whole = round(total)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(total / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def day(value: object) -> str:
    """A date as 9 Dec 2011.

    >>> day(dt.date(2011, 12, 9)), day(None)
    ('9 Dec 2011', '–')
    """
    if not isinstance(value, dt.date) or value != value:  # NaT is a date that does not equal itself
        return DASH
    return f"{value.day} {value:%b %Y}"


def plural(count: object, singular: str, plural_form: str | None = None) -> str:
    """A count and its noun.

    >>> plural(1, "row"), plural(1200, "row"), plural(2, "series", "series")
    ('1 row', '1,200 rows', '2 series')
    """
    noun = singular if count == 1 else plural_form or f"{singular}s"
    return f"{number(count)} {noun}"


def algorithm_label(name: str) -> str:
    """The name of an algorithm.

    >>> algorithm_label("xgboost"), algorithm_label("my_model")
    ('XGBoost', 'My model')
    """
    return _ALGORITHMS.get(name) or sentence(name)


def metric_label(name: str) -> str:
    """The name of a metric."""
    return _METRICS.get(name) or sentence(name)


def sentence(name: str) -> str:
    """An identifier as words, the first one capitalized.

    >>> sentence("missing_product")
    'Missing product'
    """
    words = clean(name.replace("_", " "))
    return words[:1].upper() + words[1:]


def parameters(value: object) -> str:
    """Parameters of an algorithm, given as a dict or as JSON text.

    >>> parameters({"maxDepth": 5, "numTrees": 20}), parameters("{}"), parameters(None)
    ('maxDepth 5, numTrees 20', '–', '–')
    """
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {_parameter(item)}" for name, item in value.items())
    return clean(value) if isinstance(value, str) and value else DASH


def _parameter(item: object) -> str:
    return f"{item:.4g}" if isinstance(item, float) else clean(item)
