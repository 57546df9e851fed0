"""Plain Parquet files that Spark has written below a Delta table: what the table's log has to say of them.

Delta's own writer in Spark finds out by five Spark jobs which files it replaces, a second for the smallest table, and
four more for the first one of a process. Who replaces all files, or all of a month, knows it from the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from salesml_assets.spark.hadoop import file_system, hadoop_path, parquet_footer

if TYPE_CHECKING:
    from deltalake import Schema
    from deltalake.transaction import AddAction
    from pyspark.sql import SparkSession
    from pyspark.sql.types import DataType, StructType

_NEVER_NULL = re.compile(r'("(?:nullable|containsNull|valueContainsNull)":)false')
_NULL = "__HIVE_DEFAULT_PARTITION__"
_AT_ONCE = 16  # files that are moved or read at a time: an object store takes its time for each


def is_plain(schema: StructType) -> bool:
    """Whether types and names are those that a table of Delta's first version may have."""
    from salesml_assets.lake.store import has_plain_columns

    return has_plain_columns(schema.json())


def delta_schema(schema: StructType) -> Schema:
    """The schema of a table with these columns: as Delta's own writer makes it, any value may be missing."""
    from deltalake import Schema

    return Schema.from_json(_NEVER_NULL.sub(r"\1true", schema.json()))


def same_type(one: DataType, other: DataType) -> bool:
    """Whether two types are the same, but for what may be missing."""
    return _NEVER_NULL.sub(r"\1true", one.json()) == _NEVER_NULL.sub(r"\1true", other.json())


def added_files(spark: SparkSession, folder: str) -> list[AddAction]:
    """The files of a folder that lies directly below a table, ordered by name, with the rows that each holds.

    Args:
        spark: The session that wrote them.
        folder: Address of the folder.
    """
    found = file_system(spark, folder).listStatus(hadoop_path(spark, folder))
    return _at_once(lambda status: _added(spark, status.getPath(), {}), found)


def months_in(spark: SparkSession, folder: str) -> dict[str, str | None]:
    """The folders into which Spark has laid out rows by a column, each with its value; none if there are no rows."""
    files, path = file_system(spark, folder), hadoop_path(spark, folder)
    names = [status.getPath().getName() for status in files.listStatus(path)] if files.exists(path) else []
    values = {name: name.partition("=")[2] for name in sorted(names)}
    return {name: None if value == _NULL else unquote(value) for name, value in values.items()}


def moved_files(spark: SparkSession, folder: str, table: str, month_column: str) -> list[AddAction]:
    """Moves the files of each month from below a folder to below the table, where Delta in Spark would have put them.

    Args:
        spark: The session that wrote them.
        folder: Address of the folder; it is gone afterwards.
        table: Address of the table.
        month_column: The column by which they are laid out.
    """
    files, moves = file_system(spark, folder), []
    for name, month in months_in(spark, folder).items():
        files.mkdirs(hadoop_path(spark, f"{table}/{name}"))
        for status in files.listStatus(hadoop_path(spark, f"{folder}/{name}")):
            source = status.getPath()
            moves.append((source, hadoop_path(spark, f"{table}/{name}/{source.getName()}"), month))

    def move(step: tuple[Any, Any, str | None]) -> AddAction:
        source, target, month = step
        if not files.rename(source, target):
            raise OSError(f"{source} could not be moved to {target}")
        return _added(spark, target, {month_column: month})

    added = _at_once(move, moves)
    files.delete(hadoop_path(spark, folder), True)
    return added


def rows_of(file: AddAction) -> int:
    """How many rows a file holds."""
    return int(json.loads(file.stats)["numRecords"])


def _at_once(make: Callable[[Any], AddAction], of: Iterable[Any]) -> list[AddAction]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="files") as pool:
        return sorted(pool.map(make, of), key=lambda file: file.path)


def _added(spark: SparkSession, path: Any, values: dict[str, str | None]) -> AddAction:
    from deltalake.transaction import AddAction

    with parquet_footer(spark, path) as footer:
        rows = footer.getRecordCount()
    status = file_system(spark, path.toString()).getFileStatus(path)
    return AddAction(
        path=quote(f"{path.getParent().getName()}/{path.getName()}", safe="/="),
        size=status.getLen(),
        partition_values=values,
        modification_time=status.getModificationTime(),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )
