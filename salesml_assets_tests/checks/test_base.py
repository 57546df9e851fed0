"""Repeated keys are found exactly, whatever their hashes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.checks import base
from salesml_assets.checks.base import repeated_keys
from salesml_assets.lake import store
from salesml_assets.lake.store import Lakehouse


def lake_of(root: Path, rows: pl.DataFrame) -> Lakehouse:
    lake = Lakehouse(str(root))
    lake.write_arrow(rows.to_arrow(), "keyed")
    return lake


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3)), min_size=1, max_size=30))
def test_as_many_rows_repeat_a_key_as_there_are_more_rows_than_keys(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str | None, int]]
) -> None:
    rows = pl.DataFrame(keys, schema={"name": pl.String, "step": pl.Int64}, orient="row")
    lake = lake_of(tmp_path_factory.mktemp("lake"), rows.with_columns(value=1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "HASHES", 7)
        patch.setattr(store, "BATCH_ROWS", 4)
        assert repeated_keys(lake, "keyed", ["name", "step"], rows.height) == len(keys) - len(set(keys))


def test_keys_of_one_hash_are_told_apart_by_their_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.DataFrame({"name": ["a", "b", "c", "a"]})
    lake = lake_of(tmp_path, rows)

    def colliding(frame: pl.DataFrame) -> pl.Series:
        return pl.Series([1] * frame.height, dtype=pl.UInt64)

    monkeypatch.setattr(pl.DataFrame, "hash_rows", colliding)
    assert repeated_keys(lake, "keyed", ["name"], 4) == 1
    monkeypatch.setattr(base, "MAX_EXAMINED", 2)
    assert repeated_keys(lake, "keyed", ["name"], 4) == 3
