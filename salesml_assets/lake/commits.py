"""Commits of data files that were written below a table, by Spark or from memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from salesml_assets.lake.log import REMOVED, ROWS, TABLE_PROPERTIES, USER_METADATA, Commit, run_note
from salesml_assets.lake.s3 import delta_address

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction

    from salesml_assets.lake.store import Lakehouse


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
    """
    from deltalake import CommitProperties
    from deltalake.transaction import create_table_with_add_actions

    noted = {USER_METADATA: run_note(run_id), ROWS: str(sum(map(rows_of, files)))}
    if months and table:
        noted[REMOVED] = str(sum(rows for month, rows in lake.rows_by_month(name).items() if month in months))
    properties = CommitProperties(custom_metadata=noted)
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
    return lake.history(name, limit=1)[0]


def rows_of(file: AddAction) -> int:
    """How many rows a file holds."""
    return int(json.loads(file.stats)["numRecords"])
