"""Which Dagster run wrote a table: what that run noted in files of the lake is found by its id."""

from __future__ import annotations

from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.text import masked

LATEST_COMMITS = 20  # read first: a history without a limit reads the whole log


def run_of_table(lake: Lakehouse, name: str) -> str:
    """Returns the id of the Dagster run that wrote the present rows of a table.

    Commits that only note maintenance, such as the removal of old files, are passed over.

    Args:
        lake: The lake.
        name: Name of the table.

    Raises:
        LakeError: There is no such table, or its rows were not written by a Dagster run.
    """
    for limit in (LATEST_COMMITS, None):
        for commit in lake.history(name, limit):
            if commit.run_id:
                return commit.run_id
            if commit.rows_written:
                break
    raise LakeError(
        f"The table {name!r} in {masked(lake.root)} was not written by a run: materialize the asset {name!r} again."
    )
