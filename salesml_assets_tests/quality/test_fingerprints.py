"""Hashes of rows: frozen values, the algorithm written down a second time, what they depend on."""

from __future__ import annotations

import datetime as dt
import math
import struct

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.quality.fingerprints import row_hashes

WORD = 2**64
G = 0x9E3779B97F4A7C15
ROWS = pl.DataFrame(
    {
        "name": ["store 1", "Café Zürich", "", None, "🛒"],
        "count": [1, -1, 2**40, None, 0],
        "price": [0.1, -0.0, math.nan, None, 1e300],
        "day": [dt.date(2024, 2, 29), dt.date(1969, 12, 31), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)],
        "at": [dt.datetime(2024, 1, 1, 12, 0, 0, 5), None, dt.datetime(1900, 1, 1), None, dt.datetime(2024, 1, 1)],
        "paid": [True, False, None, True, False],
    }
)
FROZEN = [
    3310328365403536119,
    8635533874879604882,
    1556758523684298286,
    12042639948641381923,
    17306633588632231151,
]


def mix(value: int) -> int:
    value %= WORD
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WORD
    return value ^ (value >> 31)


def word(value: object) -> int:
    if value is None:
        return 0x6E756C6C
    if isinstance(value, str):
        content = value.encode()
        number = sum(mix(place * 256 + byte + G) for place, byte in enumerate(content)) + len(content)
    elif isinstance(value, float):
        number = int.from_bytes(struct.pack("<d", math.nan if math.isnan(value) else value + 0.0), "little")
    elif isinstance(value, dt.datetime):
        number = int((value - dt.datetime(1970, 1, 1)) / dt.timedelta(microseconds=1))
    elif isinstance(value, dt.date):
        number = (value - dt.date(1970, 1, 1)).days
    else:
        number = int(str(int(value)))  # type: ignore[call-overload]
    return mix(number + G)


def slow(row: tuple[object, ...], seed: int) -> int:
    state = seed + G
    for value in row:
        state = mix((mix(state) ^ word(value)) + G)
    return mix(state)


def test_the_algorithm_is_the_one_that_is_documented() -> None:
    assert row_hashes(ROWS, 7).to_list() == [slow(row, 7) for row in ROWS.iter_rows()]


@given(st.lists(st.tuples(st.text(), st.one_of(st.none(), st.floats()), st.integers(-(2**63), 2**63 - 1)), max_size=20))
@settings(deadline=None)
def test_it_is_so_for_any_values(rows: list[tuple[object, ...]]) -> None:
    schema = {"a": pl.String, "b": pl.Float64, "c": pl.Int64}
    frame = pl.DataFrame([row for row in rows if _is_text(row[0])], schema=schema, orient="row")
    assert row_hashes(frame, 3).to_list() == [slow(row, 3) for row in frame.iter_rows()]


def _is_text(value: object) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 for char in str(value))


def test_values_are_frozen() -> None:
    assert row_hashes(ROWS, 7).to_list() == FROZEN


def test_a_row_stands_for_itself_whatever_is_around_it() -> None:
    together = row_hashes(ROWS, 1)
    assert [row_hashes(ROWS[number], 1).item() for number in range(ROWS.height)] == together.to_list()
    assert row_hashes(ROWS.clear(), 1).to_list() == []


def test_every_value_and_the_seed_count() -> None:
    before = row_hashes(ROWS, 1)
    assert (before != row_hashes(ROWS, 2)).all()
    for name in ROWS.columns:
        other = ROWS.with_columns(pl.col(name).shift(1).fill_null(strategy="backward"))
        assert (before != row_hashes(other, 1)).any()
    assert (
        row_hashes(pl.DataFrame({"a": ["ab"], "b": ["c"]}), 1).item()
        != row_hashes(pl.DataFrame({"a": ["a"], "b": ["bc"]}), 1).item()
    )


def test_whole_numbers_of_any_width_are_alike() -> None:
    wide = pl.DataFrame({"a": pl.Series([1, 2, 3], dtype=pl.Int64)})
    assert row_hashes(wide, 1).equals(row_hashes(wide.cast(pl.Int16), 1))
