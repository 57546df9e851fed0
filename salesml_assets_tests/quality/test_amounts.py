"""The styles in which numbers are written, and what a column of them means."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.quality.amounts import (
    COMMA3,
    COMMA_DECIMAL,
    COMMA_GROUPS,
    DECIMAL,
    DECORATED,
    OTHER,
    POINT3,
    POINT_GROUPS,
    STYLES,
    WHOLE,
    AmountProblem,
    amount_problem,
)  # fmt: skip


def style(value: str) -> str:
    return next((name for name, pattern in STYLES.items() if re.match(pattern, value)), OTHER)


def problem(*values: str) -> AmountProblem | None:
    samples: dict[str, list[str]] = {}
    for value in values:
        samples.setdefault(style(value), []).append(value)
    return amount_problem("Menge", Counter(map(style, values)), samples)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("980", WHOLE), ("-5", WHOLE), ("1.250", POINT3), ("0.125", DECIMAL), ("12.5", DECIMAL), ("1250.125", DECIMAL),
     ("1e5", DECIMAL), ("1.250.000", POINT_GROUPS), ("1,250", COMMA3), ("1,250.00", COMMA_GROUPS),
     ("12,5", COMMA_DECIMAL), ("3.094,00", COMMA_DECIMAL), ("-,5", COMMA_DECIMAL), ("R$ 1.234,56", DECORATED),
     ("12.50-", DECORATED), ("(12.50)", DECORATED), ("1 234,50", DECORATED), ("1'234.50", DECORATED),
     ("12 €", DECORATED), ("$5", DECORATED), ("3d", OTHER), ("0x1p3", OTHER), ("-", OTHER), ("NaN", OTHER),
     ("12:30:00", OTHER), ("many", OTHER)],
)  # fmt: skip
def test_styles(value: str, expected: str) -> None:
    assert style(value) == expected


def test_grouped_thousands_beside_whole_numbers() -> None:
    found = problem("980", "1.250", "2.600", "700")
    assert found is not None
    assert found.wrong
    assert "'1.250', '2.600'" in found.text
    assert found.expressions == {
        "points between thousands": "replace(Menge, '.', '')",
        "a decimal point": "cast(Menge as double)",
    }


@pytest.mark.parametrize(
    ("values", "expression"),
    [
        (("980,50", "3.094,00"), "replace(replace(Menge, '.', ''), ',', '.')"),
        (("980.50", "3,094.00"), "replace(Menge, ',', '')"),
        (("1.250", "1.250.000"), "replace(Menge, '.', '')"),
        (("12.50", "12.50-"), "if(Menge rlike '[-(]', -1, 1) * regexp_replace(Menge, '[^0-9.]', '')"),
        (("R$ 1.234,50",), "if(Menge rlike '[-(]', -1, 1) * replace(regexp_replace(Menge, '[^0-9,]', ''), ',', '.')"),
        (("$1,250", "$3"), "if(Menge rlike '[-(]', -1, 1) * regexp_replace(Menge, '[^0-9.]', '')"),
    ],
)
def test_other_styles_and_their_expressions(values: tuple[str, ...], expression: str) -> None:
    found = problem(*values)
    assert found is not None
    assert found.wrong
    assert list(found.expressions.values()) == [expression]


@pytest.mark.parametrize(
    "values", [("1", "2"), ("0.350", "1.250"), ("1.5", "1.250", "7"), ("many", "3d", "5"), (), ("1250.125", "1.250")]
)
def test_plain_numbers(values: tuple[str, ...]) -> None:
    assert problem(*values) is None


def test_a_slip_among_many_is_only_suspicious() -> None:
    found = problem(*["1.5"] * 99, "1,50")
    assert found is not None
    assert not found.wrong


@given(st.lists(st.integers(-999_999_999, 999_999_999), min_size=1), st.sampled_from(".,"))
def test_grouped_numbers_are_never_taken_as_they_are(numbers: list[int], separator: str) -> None:
    values = [f"{number:,}".replace(",", separator) for number in numbers]
    grouped = any(separator in value for value in values)
    found = problem(*values)
    assert (found is not None and found.wrong) == grouped
