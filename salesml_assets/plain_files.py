"""Plain Parquet files that Spark has written below a Delta table: what the table's log has to say of them.

Delta's own writer in Spark finds out by five Spark jobs which files it replaces, a second for the smallest table. Who
replaces all of them need not ask.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from salesml_assets.hadoop import file_system, hadoop_path, parquet_footer

if TYPE_CHECKING:
    from deltalake import Schema
    from deltalake.transaction import AddAction
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

# In a schema as JSON: types that ask for more than the first version of Delta, and names that it refuses.
_OTHER_TYPE = re.compile(
    r'"(?:type|elementType|keyType|valueType)":'
    r'"(?!(?:string|long|integer|short|byte|double|float|boolean|date|timestamp|binary|decimal\([\d,]+\)|'
    r'struct|array|map)")|"__COLLATIONS"'
)
_OTHER_NAME = re.compile(r'"name":"(?:[^"\\]|\\[^nt])*(?:[ ,;{}()=]|\\[nt])')
_NEVER_NULL = re.compile(r'("(?:nullable|containsNull|valueContainsNull)":)false')
_AT_ONCE = 16  # footers that are read at a time: an object store takes its time for each


def is_plain(schema: StructType) -> bool:
    """Whether types and names are those that a table of Delta's first version may have."""
    text = schema.json()
    return not (_OTHER_TYPE.search(text) or _OTHER_NAME.search(text))


def delta_schema(schema: StructType) -> Schema:
    """The schema of a table with these columns: as Delta's own writer makes it, any value may be missing."""
    from deltalake import Schema

    return Schema.from_json(_NEVER_NULL.sub(r"\1true", schema.json()))


def added_files(spark: SparkSession, folder: str) -> list[AddAction]:
    """The files of a folder that lies directly below a table, ordered by name, with the rows that each holds.

    Args:
        spark: The session that wrote them.
        folder: Address of the folder.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="footer") as pool:
        files = pool.map(
            lambda status: _added(spark, status), file_system(spark, folder).listStatus(hadoop_path(spark, folder))
        )
        return sorted(files, key=lambda file: file.path)


def rows_of(file: AddAction) -> int:
    """How many rows a file holds."""
    return int(json.loads(file.stats)["numRecords"])


def _added(spark: SparkSession, status: Any) -> AddAction:
    from deltalake.transaction import AddAction

    path = status.getPath()
    with parquet_footer(spark, path) as footer:
        rows = footer.getRecordCount()
    return AddAction(
        path=f"{path.getParent().getName()}/{path.getName()}",
        size=status.getLen(),
        partition_values={},
        modification_time=status.getModificationTime(),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )
