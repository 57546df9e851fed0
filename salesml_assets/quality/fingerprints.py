"""Hashes of rows that never change with the version of a library: what a sensor remembers of a file's content.

Every value becomes a 64-bit word: a whole number, a date or an instant (microseconds) itself, a number with decimals
its IEEE 754 bits, a text the sum over its bytes of `mix(position · 256 + byte)`, mixed with its length. The words of a
row are chained by `mix((state ^ word) + G)`, where `mix` is the finalizer of SplitMix64 and `G` its increment (Steele,
Lea & Flood 2014). Made for telling contents apart, not for cryptography.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from salesml_assets.forecasting import draws
from salesml_assets.forecasting.draws import Words, mixed

GAMMA = np.uint64(draws.GAMMA)
MISSING = np.uint64(0x6E756C6C)  # the word of a missing value


def row_hashes(rows: pl.DataFrame, seed: int) -> pl.Series:
    """One hash per row, from its values in the order of the columns; names of columns do not matter.

    Args:
        rows: Any rows; types that are neither numbers, dates nor instants are hashed as text.
        seed: Another seed gives other hashes.
    """
    state: Words = np.full(rows.height, seed, np.uint64)
    state += GAMMA
    for column in rows.iter_columns():
        state = mixed(state)
        state ^= _words(column)
        state += GAMMA
        state = mixed(state)
    return pl.Series("hash", mixed(state), dtype=pl.UInt64)


def _words(column: pl.Series) -> Words:
    kind = column.dtype
    if kind.is_float():
        # One word for every not-a-number, and for both zeros.
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
        words = np.where(np.isnan(values), np.float64("nan"), values).view(np.uint64)
    elif kind.is_integer() or kind in (pl.Boolean, pl.Date):
        words = (
            column.to_physical().cast(pl.Int64, strict=False).fill_null(0).to_numpy().astype(np.int64).view(np.uint64)
        )
    elif isinstance(kind, pl.Datetime):
        words = column.dt.epoch("us").fill_null(0).to_numpy().astype(np.int64).view(np.uint64)
    else:
        texts = column.cast(pl.String)
        distinct = texts.drop_nulls().unique()  # each text is hashed once, however many rows have it
        hashed = pl.Series(_text_words(distinct), dtype=pl.UInt64)
        found = texts.replace_strict(distinct, hashed, default=None, return_dtype=pl.UInt64)
        words = found.fill_null(0).to_numpy().astype(np.uint64)
    words = mixed(words + GAMMA)
    if column.null_count():
        words[column.is_null().to_numpy()] = MISSING
    return words


def _text_words(column: pl.Series) -> Words:
    """A word for each text of a column without missing ones, from the bytes of all of them at once."""
    lengths = column.str.len_bytes().to_numpy().astype(np.int64)
    content = np.frombuffer("".join(column.to_list()).encode(), np.uint8).astype(np.uint64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    places = np.arange(len(content), dtype=np.int64) - np.repeat(starts, lengths)
    words = mixed(places.astype(np.uint64) * np.uint64(256) + content + GAMMA)
    # Sums of all bytes so far, modulo 2^64: the difference of two is the sum between them.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words, dtype=np.uint64)])
    return sums[ends] - sums[starts] + lengths.astype(np.uint64)
