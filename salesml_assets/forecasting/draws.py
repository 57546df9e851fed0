"""Draws that depend on the values of a row alone, and never change with the version of a library.

The algorithm, on unsigned 64-bit integers with wrap-around:

1. Each value becomes a number: an integer itself, a date its days since 1970-01-01 (negative numbers in two's
   complement), a text the first eight bytes of its BLAKE2b digest (RFC 7693, `digest_size` 8, of the UTF-8 bytes),
   read as little-endian.
2. The state starts with the seed, as `mix(seed + G)`, and takes one value after another: `mix((state ^ value) + G)`.
   `G` is 0x9E3779B97F4A7C15, and `mix` the finalizer of SplitMix64 (Steele, Lea & Flood 2014).
3. The draw is the upper 53 bits of the state over 2^53: 0 included, 1 excluded.

Each text is hashed once, however many rows have it; everything else is arithmetic on arrays.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

GAMMA = 0x9E3779B97F4A7C15
Words = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


def uniform(*values: pl.Series | int, seed: int) -> pl.Series:
    """A number in [0, 1) per row.

    Args:
        values: What the draw depends on, in this order: Series of text, integers or dates, of one length, and
            integers that all rows share. Shared integers are cheapest in front: each costs nothing per row there.
        seed: Another seed gives other draws.

    Raises:
        TypeError: A Series holds something else, whose numbers would depend on a unit or on rounding.
        ValueError: A value is missing.
    """
    return pl.Series("draw", (_state(values, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def hashed(*values: pl.Series | int, seed: int) -> pl.Series:
    """The state behind `uniform` as UInt64, to be used as a value: texts that many draws share are hashed once.

    Args:
        values: As those of `uniform`.
        seed: As that of `uniform`.

    Raises:
        TypeError: As `uniform`.
        ValueError: As `uniform`.
    """
    return pl.Series("hashed", _state(values, seed))


def _state(values: tuple[pl.Series | int, ...], seed: int) -> Words:
    state = mixed(np.array([(seed + GAMMA) % 2**64], np.uint64))
    for value in values:
        state = state ^ _words(value)
        state += np.uint64(GAMMA)
        state = mixed(state)
    return state


def mixed(words: Words) -> Words:
    """The finalizer of SplitMix64, in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(31)
    return words


def _words(values: pl.Series | int) -> Words:
    if isinstance(values, int):
        return np.array([values % 2**64], np.uint64)
    if values.null_count():
        raise ValueError(f"{values.name}: a draw needs a value in each row")
    if values.dtype == pl.String:
        texts = values.unique()
        hashes = pl.Series([text_hash(text) for text in texts], dtype=pl.UInt64)
        return values.replace_strict(texts, hashes, return_dtype=pl.UInt64).to_numpy().astype(np.uint64)
    if values.dtype == pl.Date:
        values = values.to_physical()
    if not values.dtype.is_integer():
        raise TypeError(f"{values.name}: a draw depends on text, integers or dates, not on {values.dtype}")
    # Of a signed integer this is the two's complement.
    return values.to_numpy().astype(np.uint64)


def text_hash(text: str) -> int:
    """The number of a text.

    >>> hex(text_hash("store 1"))
    '0x304266e7adaf4a31'
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
