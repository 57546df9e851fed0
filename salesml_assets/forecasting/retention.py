"""Which bundles, reports and other files of runs are still needed, and which may go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence, Set
from itertools import pairwise

from salesml_assets.forecasting.versions import Version
from salesml_assets.names import MODEL_COMPARISON, MODELS_FOLDER, PRODUCTION_MODEL, RAW_SALES, REPORT

# Folders of the file store with one folder for each run in it; the bundles' names end in the run's id.
BY_RUN = (REPORT, MODELS_FOLDER, MODEL_COMPARISON, RAW_SALES)
GROUPS = (PRODUCTION_MODEL, *BY_RUN)


def kept_bundles(versions: Sequence[Version], now: dt.datetime, days: int) -> set[str]:
    """Folders of the bundles in production, of those that served in the last days, and of the one before the present.

    A version without a known time counts as one that served just now.

    Args:
        versions: All versions of the production model, oldest first.
        now: The time, with a time zone.
        days: Days for which a replaced version can be put back.
    """
    since = now - dt.timedelta(days)
    served = {versions[-1].folder} if versions else set()
    for version, successor in pairwise(versions):
        replaced = successor.in_production_since
        if replaced is None or replaced >= since:
            served.add(version.folder)
    # Once back is always possible, however long ago that version was replaced.
    earlier = [version.folder for version in versions if version.folder != versions[-1].folder]
    return served | set(earlier[-1:])


def removable(
    folders: Mapping[str, Mapping[str, dt.datetime]],
    bundles: Set[str],
    runs: Set[str],
    now: dt.datetime,
    days: int,
) -> list[tuple[str, str]]:
    """The folders that nothing needs: group and name, sorted.

    Args:
        folders: Per group the names of its folders and when each was last written, with time zones.
        bundles: Folders of bundles that are kept, of `kept_bundles`.
        runs: Ids of the runs that wrote the present versions of the tables: their files belong to these.
        now: The time, with a time zone.
        days: Younger folders are kept: a run may be writing them, and reports are wanted for some time.
    """
    since = now - dt.timedelta(days)
    found = []
    for group in GROUPS:
        present = folders.get(group, {})
        newest = max(present, key=lambda name: (present[name], name), default=None)
        for name, written in present.items():
            if group == PRODUCTION_MODEL:
                needed = name in bundles
            else:
                needed = name in runs or any(bundle.endswith(f"-{name}") for bundle in bundles)
            if not needed and name != newest and written < since:
                found.append((group, name))
    return sorted(found)
