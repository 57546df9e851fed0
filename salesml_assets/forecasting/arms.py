"""The two arms of an A/B test in the prediction service: who gets the challenger, and what is noted of each answer."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

CHAMPION, CHALLENGER = ARMS = ("champion", "challenger")
FAILED = 500  # status from which an answer is the service's failure
# One row per answer and series; `place` counts the series of an arm in an answer, `cutoff` is null in a failed one.
_COLUMNS: dict[str, Any] = {
        "at": pl.Datetime("us", "UTC"), "request_id": pl.String, "route": pl.String, "test": pl.Int64,
        "arm": pl.String, "series": pl.String, "place": pl.Int32, "model_version": pl.Int32, "cutoff": pl.Date,
        "stored": pl.Boolean, "status": pl.Int32, "latency_ms": pl.Float64,
}  # fmt: skip
SERVED_SCHEMA = pl.Schema(_COLUMNS)


def arm_of(key: str, salt: str, share: float) -> str:
    """The arm of a series or a caller: the same in each process and for ever.

    The first eight bytes of the BLAKE2b digest of salt, a zero byte and key are a number in [0, 1); below the share it
    is the challenger. A larger share therefore moves nobody back.

    Args:
        key: Name of the series, or the caller's key.
        salt: Another test has another one, so that the same series are not always those that get the challenger.
        share: Share of the keys that get the challenger.

    >>> [arm_of(key, "test 1", 0.5) for key in "abcd"]
    ['champion', 'challenger', 'challenger', 'challenger']
    """
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return CHALLENGER if int.from_bytes(digest, "big") < share * 2**64 else CHAMPION
