"""Which Dagster run wrote a table, and which versions of it can be read: facts of the Delta log.

What a run noted in files of the lake is found by its id.
"""

from __future__ import annotations

import datetime as dt

from salesml_assets.config.settings import HISTORY_DAYS
from salesml_assets.lake.store import Commit, LakeError, Lakehouse
from salesml_assets.text import masked

LATEST_COMMITS = 20  # read first: a history without a limit reads the whole log


def last_write(lake: Lakehouse, name: str) -> Commit:
    """Returns the commit that wrote the present rows of a table.

    Commits that only note maintenance, such as the removal of old files, are passed over.

    Args:
        lake: The lake.
        name: Name of the table.

    Raises:
        LakeError: There is no such table, or its log no longer has that commit.
    """
    for limit in (LATEST_COMMITS, None):
        for commit in lake.history(name, limit):
            if commit.run_id or commit.rows_written:
                return commit
    raise _materialize_again(lake, name)


def run_of_table(lake: Lakehouse, name: str) -> str:
    """Returns the id of the Dagster run that wrote the present rows of a table.

    Args:
        lake: The lake.
        name: Name of the table.

    Raises:
        LakeError: There is no such table, or its rows were not written by a Dagster run.
    """
    run = last_write(lake, name).run_id
    if run is None:
        raise _materialize_again(lake, name)
    return run


def _materialize_again(lake: Lakehouse, name: str) -> LakeError:
    return LakeError(
        f"No run is known that wrote the table {name!r} in {masked(lake.root)}: materialize the asset {name!r} again."
    )


def written_versions(lake: Lakehouse, name: str, limit: int) -> list[Commit]:
    """Returns the versions of a table that wrote rows and whose files are still kept, newest first.

    Args:
        lake: The lake.
        name: Name of the table.
        limit: How many versions are returned at most.

    Returns:
        None of the versions that only note maintenance; nothing where there is no such table.
    """
    if not lake.exists(name):
        return []
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(HISTORY_DAYS)
    commits = lake.history(name, 2 * limit)  # twice as many: the removal of old files is noted in the log, too
    return [commit for commit in commits if commit.rows_written and commit.timestamp > oldest][:limit]
