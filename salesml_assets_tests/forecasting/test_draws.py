"""Draws: frozen values, the algorithm written down a second time, uniformity, independence of other rows."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from salesml_assets.forecasting.draws import GAMMA, hashed, text_hash, uniform

IDS = ["store 1", "Café Zürich", "商店", "", "🛒"]
DAYS = [dt.date(2024, 1, 1), dt.date(1969, 12, 31), dt.date(2000, 2, 29), dt.date(1, 1, 1), dt.date(9999, 12, 31)]
WORD = 2**64


def mix(word: int) -> int:
    """SplitMix64's finalizer on Python's own integers."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WORD
    return word ^ (word >> 31)


def by_hand(*values: str | dt.date | int, seed: int) -> int:
    state = mix((seed + GAMMA) % WORD)
    for value in values:
        if isinstance(value, str):
            number = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")
        elif isinstance(value, dt.date):
            number = (value - dt.date(1970, 1, 1)).days
        else:
            number = value
        state = mix(((state ^ (number % WORD)) + GAMMA) % WORD)
    return state


def test_the_finalizer_is_that_of_the_published_generator() -> None:
    """The first numbers of SplitMix64 from the seed 1234567, as its reference implementation gives them."""
    found = [mix((1234567 + step * GAMMA) % WORD) for step in (1, 2, 3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_frozen() -> None:
    """What a model learns depends on these: they change with no version of anything."""
    rows = pl.DataFrame({"id": IDS, "ds": DAYS})
    assert uniform(rows["id"], rows["ds"], 28, seed=42).to_list() == [
        0.19113049030610563,
        0.4131889709780564,
        0.4507308807580751,
        0.5633399834733906,
        0.7547679254783923,
    ]
    assert hashed(rows["id"], rows["ds"], 28, seed=42).to_list() == [
        0x30EDED8522175BF9,
        0x69C6C09D6B2C5C1D,
        0x736319582738A85A,
        0x90370C958C21FE73,
        0xC1387883FFDCA7A7,
    ]
    assert [text_hash(text) for text in ("store 1", "Café Zürich")] == [0x304266E7ADAF4A31, 0x575693B35DAAF9B1]


keys = st.tuples(st.text(max_size=8), st.dates(), st.integers(-(2**63), 2**63 - 1))


@given(rows=st.lists(keys, min_size=1, max_size=12), seed=st.integers(-(2**70), 2**70), shared=st.integers(-50, 50))
def test_draws_follow_the_algorithm(rows: list[tuple[str, dt.date, int]], seed: int, shared: int) -> None:
    text, day, number = (pl.Series(values) for values in zip(*rows, strict=True))
    expected = [by_hand(shared, *row, seed=seed) for row in rows]
    assert hashed(shared, text, day, number, seed=seed).to_list() == expected
    draws = uniform(shared, text, day, number, seed=seed)
    assert draws.to_list() == [(word >> 11) / 2**53 for word in expected]
    assert draws.is_between(0, 1, closed="left").all()


@given(rows=st.lists(keys, min_size=2, max_size=12), data=st.data())
def test_a_draw_depends_on_its_own_row_alone(rows: list[tuple[str, dt.date, int]], data: st.DataObject) -> None:
    frame = pl.DataFrame(rows, ["text", "day", "number"], orient="row")
    order = data.draw(st.permutations(range(len(rows))))
    some = data.draw(st.integers(1, len(rows)))
    draws = uniform(*frame.get_columns(), seed=1)
    assert uniform(*frame[order[:some]].get_columns(), seed=1).to_list() == draws[order[:some]].to_list()


def test_draws_are_uniform_and_values_that_are_neighbours_are_not_alike() -> None:
    days = pl.date_range(dt.date(2021, 1, 1), dt.date(2024, 12, 31), eager=True)
    frame = pl.DataFrame({"id": [f"s{number}" for number in range(100)]}).join(pl.DataFrame({"ds": days}), how="cross")
    key = hashed(frame["id"], frame["ds"], seed=7)
    draws = {name: uniform(*values, seed=seed).to_numpy() for name, values, seed in (
        ("plain", (1, key), 7), ("next horizon", (2, key), 7), ("next seed", (1, key), 8)
    )}  # fmt: skip
    assert len(np.unique(draws["plain"])) == frame.height
    for values in draws.values():
        assert stats.kstest(values, "uniform").pvalue > 1e-3
        counts = np.histogram2d(values[:-1], values[1:], 10, [[0, 1], [0, 1]])[0]  # of neighbouring days
        assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    for other in ("next horizon", "next seed"):
        assert abs(np.corrcoef(draws["plain"], draws[other])[0, 1]) < 4 / np.sqrt(frame.height)


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int16, pl.Int32, pl.Int64])
def test_the_width_of_an_integer_does_not_matter(kind: type[pl.DataType]) -> None:
    numbers = pl.Series([-128, -1, 0, 127])
    assert hashed(numbers.cast(kind), seed=0).to_list() == [by_hand(number, seed=0) for number in numbers]


def test_values_without_one_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="x: a draw needs a value"):
        uniform(pl.Series("x", ["a", None]), seed=0)
    for values in ([0.5], [dt.datetime(2024, 1, 1)], [True]):
        with pytest.raises(TypeError, match="x: a draw depends on text, integers or dates"):
            uniform(pl.Series("x", values), seed=0)


def test_no_rows_are_no_draws_of_the_same_type() -> None:
    nothing = pl.Series("name", [], dtype=pl.String)
    assert hashed(nothing, seed=0).dtype == pl.UInt64
    assert uniform(1, hashed(nothing, seed=0), seed=0).dtype == pl.Float64
