"""Tags of runs: what they load, and what started them."""

from __future__ import annotations

from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

FULL_LOAD_TAG = "salesml/full_load"  # a run whose months are all that the source has
STARTED_BY_TAG = "salesml/started_by"  # the command line, or a drift in words
DRIFT_WEEK_TAG = "salesml/drift_week"  # a retrain that a drift started: the first day of the drift's week
# A run that loads months: which of them are new, came late, were corrected, or cannot be told.
MONTHS_TAGS = {kind: f"salesml/{kind}_months" for kind in ("new", "late", "corrected", "unknown")}
RANGE_TAGS = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run that loads the partitions from the first to the last key."""
    return dict(zip(RANGE_TAGS, (first, last), strict=True))
