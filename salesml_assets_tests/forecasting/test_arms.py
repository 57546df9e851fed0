"""Who gets the challenger."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.forecasting.arms import CHALLENGER, CHAMPION, arm_of

SHARES = st.floats(0, 1)


@given(st.text(), st.text(), SHARES, SHARES)
def test_a_larger_share_moves_nobody_back(key: str, salt: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert arm_of(key, salt, low) == arm_of(key, salt, low)
    if arm_of(key, salt, low) == CHALLENGER:
        assert arm_of(key, salt, high) == CHALLENGER
    assert arm_of(key, salt, 0.0) == CHAMPION
    assert arm_of(key, salt, 1.0) == CHALLENGER


def test_the_arms_have_their_shares_and_each_test_its_own_series() -> None:
    keys = [f"P{number:05d}" for number in range(20_000)]
    first, second = ({key for key in keys if arm_of(key, salt, 0.1) == CHALLENGER} for salt in ("t 1", "t 2"))
    assert abs(len(first) / len(keys) - 0.1) < 0.01  # four standard errors
    assert abs(len(second) / len(keys) - 0.1) < 0.01
    assert abs(len(first & second) / len(keys) - 0.01) < 0.003


def test_the_arm_is_what_the_docstring_says() -> None:
    digest = hashlib.blake2b(b"salt\x00caf\xc3\xa9", digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    assert arm_of("café", "salt", position * 1.0001) == CHALLENGER
    assert arm_of("café", "salt", position * 0.9999) == CHAMPION
