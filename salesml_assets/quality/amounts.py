"""How the numbers of a text column are written: `1250`, `1.250`, `1,250.00`, `R$ 3.094,00`. Without Spark.

A thousand written as `1.250` is the number 1.25 to every program that does not know better. What a column means shows
only in all of its values together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WHOLE, DECIMAL, OTHER = "whole", "decimal", "other"
POINT3, POINT_GROUPS = "1.250", "1.250.000"
COMMA3, COMMA_GROUPS, COMMA_DECIMAL = "1,250", "1,250.00", "1.250,00"
DECORATED = "R$ 1.250,00"
_CURRENCY = r"(?:R\$|US\$|[$€£¥]|EUR|USD|BRL|GBP|CHF|SEK|NOK|DKK|PLN|kr\.?|zł|Kč|Ft|%)"
# Pattern of each style, for text without spaces around it, in the order in which they are tried. They mean the same
# in Python's and in Java's expressions.
STYLES: dict[str, str] = {
    WHOLE: r"^[+-]?[0-9]+$",
    POINT3: r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$",
    DECIMAL: r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    POINT_GROUPS: r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3}){2,}$",
    COMMA3: r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+$",
    COMMA_GROUPS: r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+\.[0-9]*$",
    COMMA_DECIMAL: r"^[+-]?([0-9]+|[1-9][0-9]{0,2}(\.[0-9]{3})+)?,[0-9]+$",
    DECORATED: rf"^[(\s]*[+-]?\s*{_CURRENCY}?\s*[+-]?[0-9](?:[0-9.,' \u00a0\u202f’]*[0-9])?\s*{_CURRENCY}?\s*[-)]*$",
}
# Truth values as text, without case and blanks.
TRUE, FALSE = ("true", "1", "1.0", "yes", "y", "t"), ("false", "0", "0.0", "no", "n", "f")
TYPO_SHARE = 0.05  # of a column's values that may have another style than all others, and go to quarantine


@dataclass(frozen=True)
class AmountProblem:
    """A column whose numbers cannot be read as they are.

    Attributes:
        wrong: Whether it has to be refused; otherwise it is merely suspicious.
        text: What was found, with samples.
        expressions: What to write into `sales.columns` instead, by what it means.
    """

    wrong: bool
    text: str
    expressions: dict[str, str]


def amount_problem(entry: str, counts: Mapping[str, int], samples: Mapping[str, Sequence[str]]) -> AmountProblem | None:
    """What is wrong with the numbers of a text column; None if they are plain numbers.

    Args:
        entry: The entry of `sales.columns`, as an SQL expression.
        counts: Values of each style of `STYLES`, and `OTHER`; blank ones are in none.
        samples: Some values of each style.
    """

    def count(*styles: str) -> int:
        return sum(counts.get(style, 0) for style in styles)

    def shown(*styles: str) -> str:
        values = dict.fromkeys(value for style in styles for value in samples.get(style, ()))
        return ", ".join(repr(value) for value in list(values)[:3])

    whole_point = f"replace({entry}, '.', '')"
    whole_comma = f"replace({entry}, ',', '')"
    decimal_comma = f"replace(replace({entry}, '.', ''), ',', '.')"
    if count(DECORATED):
        return AmountProblem(
            True,
            f"numbers with signs around them or between their digits: {shown(DECORATED)}",
            {"numbers without those signs": _bare(entry, samples.get(DECORATED, ()))},
        )
    if count(COMMA_GROUPS):
        return AmountProblem(
            True, f"numbers with commas between thousands: {shown(COMMA_GROUPS, COMMA3)}", {"numbers": whole_comma}
        )
    if count(COMMA_DECIMAL):
        few = count(DECIMAL) and count(COMMA_DECIMAL) < TYPO_SHARE * sum(counts.values())
        text = f"numbers with a decimal comma: {shown(COMMA_DECIMAL, POINT_GROUPS, POINT3)}"
        return AmountProblem(not few, text, {"numbers with a decimal comma": decimal_comma})
    if count(COMMA3):
        expressions = {"commas between thousands": whole_comma}
        if not count(DECIMAL, POINT3):
            expressions |= {"a decimal comma": decimal_comma}
        return AmountProblem(True, f"commas before exactly three digits: {shown(COMMA3)}", expressions)
    if count(POINT_GROUPS):
        text = f"numbers with points between thousands: {shown(POINT_GROUPS, POINT3)}"
        return AmountProblem(True, text, {"whole numbers": whole_point})
    if count(POINT3) and not count(DECIMAL):
        text = f"every value with a point has exactly three digits after it: {shown(POINT3)}"
        if count(WHOLE):
            text += f", beside whole ones: {shown(WHOLE)}"
        return AmountProblem(
            True, text, {"points between thousands": whole_point, "a decimal point": f"cast({entry} as double)"}
        )
    return None


def _bare(entry: str, samples: Sequence[str]) -> str:
    """An expression for numbers with currency signs, spaces, apostrophes, brackets or a minus behind them."""
    comma = any(_separator(sample) == "," for sample in samples)
    digits = f"regexp_replace({entry}, '[^0-9,]', '')" if comma else f"regexp_replace({entry}, '[^0-9.]', '')"
    number = f"replace({digits}, ',', '.')" if comma else digits
    return f"if({entry} rlike '[-(]', -1, 1) * {number}"


def _separator(sample: str) -> str:
    """The decimal separator of a number, by what stands last in it."""
    last = max("," + ".", key=sample.rfind)
    behind = sample[sample.rfind(last) + 1 :]
    digits = len([sign for sign in behind if sign.isdigit()])
    if last not in sample:
        return "."
    # One separator before three digits is one of thousands.
    other = "," if last == "." else "."
    if digits == 3 and other not in sample:
        return other
    return last
