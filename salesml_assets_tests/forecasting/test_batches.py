"""Sums over batches against sums over the whole."""

from __future__ import annotations

import polars as pl
import polars.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.forecasting.batches import Totals
from salesml_assets.lake import aggregate

SCHEMA = {"a": pl.String, "b": pl.Int32, "n": pl.Int64, "top": pl.Int64}
rows = st.lists(
    st.tuples(st.sampled_from(["x", "y", None]), st.integers(0, 3), st.integers(-9, 9), st.none() | st.integers(-9, 9)),
    max_size=40,
)


@given(parts=st.lists(rows, min_size=1, max_size=6), pending=st.sampled_from([0, 5, 10**6]))
def test_totals_are_those_of_all_rows(parts: list[list[tuple[str | None, int, int, int | None]]], pending: int) -> None:
    frames = [pl.DataFrame(part, SCHEMA, orient="row") for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "PARTIAL_ROWS", pending)
        totals = Totals(["a", "b"], largest=["top"])
        for frame in frames:
            totals.add(frame)
        found = totals.frame()
    expected = pl.concat(frames).group_by("a", "b").agg(pl.col("n").sum(), pl.col("top").max()).sort("a", "b")
    pl.testing.assert_frame_equal(found, expected)


def test_what_is_held_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "PARTIAL_ROWS", 100)
    totals = Totals(["a"])
    for _ in range(500):
        totals.add(pl.DataFrame({"a": ["x", "y", "z"], "n": [1, 2, 3]}))
        assert sum(part.height for part in totals._partial._frames) <= 100 + 3
    assert totals.frame().rows() == [("x", 500), ("y", 1000), ("z", 1500)]


def test_no_batches_are_an_error() -> None:
    with pytest.raises(ValueError, match="there are no rows"):
        Totals(["a"]).frame()
