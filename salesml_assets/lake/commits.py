"""Commits of data files that were written below a table, by Spark or from memory; each is verified against the log.

`deltalake` 1.3 appended where `create_write_transaction` had to replace months, and reported success: readers saw the
old rows and the new ones. So a commit counts when the log lists the files that it has to, and is undone otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

from salesml_assets.lake.log import (
    REMOVED,
    ROWS,
    TABLE_PROPERTIES,
    USER_METADATA,
    Commit,
    LakeError,
    commits_in,
    run_note,
)
from salesml_assets.lake.s3 import delta_address

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction

    from salesml_assets.lake.store import Lakehouse

_TOKEN = "write id"  # key in our commits: distinguishes them from concurrent commits of other writers


@dataclass(frozen=True)
class Snapshot:
    """The data files of one version of a table.

    Attributes:
        version: Number of the version; -1 before the first one.
        files: Path → (value of the month column, None in a table without months; rows).
    """

    version: int
    files: dict[str, tuple[str | None, int]]

    @classmethod
    def of(cls, table: DeltaTable | None) -> Snapshot:
        """The files that the log lists; none where there is no table."""
        import pyarrow as pa

        if table is None:
            return cls(-1, {})
        files = pa.table(table.get_add_actions(flatten=True))
        column = "".join(table.metadata().partition_columns)
        months = files[f"partition.{column}"].to_pylist() if column else [None] * files.num_rows
        paths, rows = files["path"].to_pylist(), files["num_records"].to_pylist()
        listed = zip(paths, months, rows, strict=True)
        return cls(table.version(), {unquote(path): (month, count) for path, month, count in listed})


def commit_files(
    lake: Lakehouse,
    name: str,
    table: DeltaTable | None,
    files: Sequence[AddAction],
    schema: Schema,
    *,
    month_column: str | None = None,
    months: Sequence[str] | None = None,
    run_id: str | None = None,
) -> Commit:
    """Replaces all files of a table, or those of some months, in one commit.

    Args:
        lake: The tables.
        name: Name of the table.
        table: The table as it is now; None for a new one.
        files: The new files, which are below the table's folder.
        schema: Columns of the table after the commit.
        month_column: The column by which the files are laid out; None for a table without months.
        months: The values of that column that are replaced; None for the whole table.
        run_id: The Dagster run that writes; kept in the table's history.

    Returns:
        The commit just made.

    Raises:
        LakeError: After the commit, the log does not list the expected files. The table is back at the version
            before the commit.
    """
    from deltalake.transaction import create_table_with_add_actions

    before, rows = Snapshot.of(table), sum(map(rows_of, files))
    noted = {ROWS: str(rows)}
    if months and table:
        noted[REMOVED] = str(sum(count for month, count in before.files.values() if month in months))
    properties, token = commit_properties(run_id, noted)
    if table:
        table.create_write_transaction(
            [*files],
            "overwrite",
            schema,
            partition_by=month_column,
            partition_filters=[(month_column, "in", list(months))] if months and month_column else None,
            commit_properties=properties,
        )
    else:
        create_table_with_add_actions(
            delta_address(lake.path(name)),
            schema,
            [*files],
            partition_by=month_column,
            configuration=TABLE_PROPERTIES,
            storage_options=lake.storage_options,
            commit_properties=properties,
        )
    return verified_commit(lake, name, before, token, rows, added={file.path for file in files}, months=months)


def rows_of(file: AddAction) -> int:
    """How many rows a file holds."""
    return int(json.loads(file.stats)["numRecords"])


def commit_properties(run_id: str | None, noted: dict[str, str] | None = None) -> tuple[Any, str]:
    """What `deltalake` notes in a commit, and the token by which `verified_commit` finds the commit.

    Args:
        run_id: The Dagster run that writes.
        noted: Further values for the commit.
    """
    from deltalake import CommitProperties

    token = str(uuid4())
    return CommitProperties(custom_metadata={USER_METADATA: run_note(run_id), _TOKEN: token, **(noted or {})}), token


def verified_commit(
    lake: Lakehouse,
    name: str,
    before: Snapshot,
    token: str,
    rows: int,
    *,
    added: Collection[str] | None = None,
    months: Collection[str] | None = None,
) -> Commit:
    """Reads a commit from the log, and restores the version before it if the table's files are not the expected ones.

    Args:
        lake: The tables.
        name: Name of the table.
        before: The table before the write.
        token: The commit's token, of `commit_properties`.
        rows: Rows that were written.
        added: Paths of the files that were written; None if only their number of rows is known.
        months: Values of the month column that were replaced; None for the whole table.

    Returns:
        The commit.

    Raises:
        LakeError: The files of these months are not exactly those added, or those of other months not those of before.
            The table is back at the version before the commit.
    """
    table = lake.open(name)
    entries = table.history(table.version() - before.version) if table.version() > before.version else []
    own = next((position for position, entry in enumerate(entries) if entry.get(_TOKEN) == token), None)
    if own is None:
        raise LakeError(f"{name}: the commit is not in the table's log; the rows are not in the table. Run again.")
    commit = commits_in(entries[own : own + 1])[0]
    # Others may have committed in between: the removal of old files notes itself in the log.
    if commit.version != before.version + 1:
        before = Snapshot.of(lake.open(name, commit.version - 1))
    after = Snapshot.of(table if commit.version == table.version() else lake.open(name, commit.version))
    wrong = _differences(before.files, after.files, rows, added, months)
    if not wrong:
        return commit
    wrong = f"{name}: version {commit.version} is not what was written: {wrong}."
    if not commit.version:
        raise LakeError(f"{wrong} It is the first version: remove the table's folder, then run again.")
    lake.open(name).restore(before.version)
    raise LakeError(f"{wrong} The table is back at version {before.version}.")


def _differences(
    before: dict[str, tuple[str | None, int]],
    after: dict[str, tuple[str | None, int]],
    rows: int,
    added: Collection[str] | None,
    months: Collection[str] | None,
) -> str:
    """Describes how the files after a commit differ from the expected ones; an empty text if they do not."""
    kept = {path for path, (month, _) in before.items() if months is not None and month not in months}
    new = after.keys() - before.keys() if added is None else {unquote(path) for path in added}
    stale = (after.keys() & before.keys()) - kept - new
    strange = after.keys() - before.keys() - new
    missing = (kept | new) - after.keys()
    found = sum(count for path, (_, count) in after.items() if path in new)
    return ", ".join(
        text
        for text, applies in (
            (f"{_count(stale)} that had to be replaced", stale),
            (f"{_count(strange)} that nobody wrote", strange),
            (f"without {_count(missing)}", missing),
            (f"{found:,} new rows in place of {rows:,}", found != rows),
        )
        if applies
    )


def _count(files: Collection[str]) -> str:
    return f"{len(files):,} {'file' if len(files) == 1 else 'files'}"
