"""Numbers, dates and names as people read them, in the language in force.

Anything undefined (None, NaN, infinite) is a dash.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import TypeGuard

from babel.dates import format_date

from salesml_assets.language import N_, Nn_, _, _n, current, locale, separators, stored
from salesml_assets.text import clean

DASH = "–"
MINUS = "−"
# Beyond this, digits are no help any more.
HUGE = 1e15

_ALGORITHMS = {
    "seasonal_naive": N_("Seasonal naive"),
    "moving_average": N_("Moving average"),
    "linear_regression": N_("Linear regression"),
    "random_forest": N_("Random forest"),
    "gradient_boosting": N_("Gradient boosting"),
    "calendar_regression": N_("Calendar regression"),
    "ensemble": N_("Ensemble"),
    "xgboost": "XGBoost",
    # The recipe in production, where its parameters differ from those that its algorithm was just tuned to.
    "champion": N_("Current model"),
}
_METRICS = {
    "wape": "WAPE",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "bias": N_("Bias"),
    "rmsse": "RMSSE",
    "change": N_("Change"),
}
# Names of powers of ten, in words and on axes.
_WORDS = {
    12: Nn_("{number} trillion", "{number} trillion"),
    9: Nn_("{number} billion", "{number} billion"),
    6: Nn_("{number} million", "{number} million"),
}
_LETTERS = {
    12: Nn_("{number}T", "{number}T"),
    9: Nn_("{number}B", "{number}B"),
    6: Nn_("{number}M", "{number}M"),
    3: Nn_("{number}k", "{number}k"),
}
_DAYS = {"en": "d MMM y", "pt": "dd/MM/y"}


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
        return _localised(f"{value:.2e}")
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return _localised(text)


def _localised(text: str) -> str:
    """A number as Python writes it, with the separators and the minus sign of the language in force."""
    return text.translate(str.maketrans(",.-", f"{separators().group}{separators().decimal}{MINUS}"))


def amount(value: object) -> str:
    """A number of any size with about three significant digits.

    >>> amount(1234567), amount(12.345), amount(0.01234), amount(8e12)
    ('1.23 million', '12.3', '0.0123', '8.00 trillion')
    >>> amount(246253), amount(0), amount(None)
    ('246,000', '0', '–')
    """
    return _scaled(value, _WORDS)


def compact(value: object) -> str:
    """A number for an axis.

    >>> compact(0), compact(1500), compact(2_000_000), compact(-0.25)
    ('0', '1.5k', '2M', '−0.25')
    """
    return _scaled(value, _LETTERS, trim=True)


def _scaled(value: object, names: Mapping[int, tuple[str, str]], *, trim: bool = False) -> str:
    """Three significant digits and the name of a power of ten; `trim` drops zeros at the end."""
    if not is_number(value):
        return DASH
    size = value
    if abs(size) >= HUGE or 0 < abs(size) < 1e-4:
        return _localised(f"{size:.2e}")
    rounded = float(f"{size:.3g}")
    power = next((power for power in sorted(names, reverse=True) if abs(rounded) >= 10**power), 0)
    rounded /= 10**power
    decimals = 0 if rounded == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    text, point = number(rounded, decimals), separators().decimal
    if trim and point in text:
        text = text.rstrip("0").rstrip(point)
    return _n(*names[power], rounded, number=text) if power else text


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
    return f"< {number(0.001, 3)}" if value < 0.001 else number(value, 3)


def duration(seconds: object) -> str:
    """Seconds as people say them.

    >>> duration(3.21), duration(75), duration(3700)
    ('3.2 s', '1 min 15 s', '1 h 2 min')
    """
    if not is_number(seconds):
        return DASH
    total = float(seconds)
    if total < 59.95:
        return f"{number(total, 1)} s"
    whole = round(total)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(total / 60)
    return f"{number(minutes // 60)} h {minutes % 60} min"


def day(value: object) -> str:
    """A date as 9 Dec 2011, in Portuguese as 09/12/2011.

    >>> day(dt.date(2011, 12, 9)), day(None)
    ('9 Dec 2011', '–')
    """
    if not isinstance(value, dt.date) or value != value:  # NaT is a date that does not equal itself
        return DASH
    return format_date(value, _DAYS[current()], locale=locale())


def counted(one: str, many: str, count: int, **values: object) -> str:
    """A message with a `{count}`, in the plural form that belongs to it.

    >>> counted("{count} row", "{count} rows", 1), counted("{count} row", "{count} rows", 1200)
    ('1 row', '1,200 rows')
    """
    return _n(one, many, count, count=number(count), **values)


def algorithm_label(name: str) -> str:
    """The name of an algorithm.

    >>> algorithm_label("xgboost"), algorithm_label("my_model")
    ('XGBoost', 'My model')
    """
    return _(label) if (label := _ALGORITHMS.get(name)) else sentence(name)


def metric_label(name: str) -> str:
    """The name of a metric."""
    return _(label) if (label := _METRICS.get(name)) else sentence(name)


def word(name: str) -> str:
    """An identifier (a column, a rule, a kind of drift) as words.

    >>> word("series_keys")
    'series keys'
    """
    return stored(clean(name.replace("_", " ")))


def sentence(name: str) -> str:
    """An identifier as words, the first one capitalized.

    >>> sentence("missing_product")
    'Missing product'
    """
    words = word(name)
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
    return _localised(f"{item:.4g}") if isinstance(item, float) else clean(item)
