"""Tables as Spark reads and writes them: the only module of the room that needs Spark.

Spark writes plain Parquet files below a table, and `lake.commits` puts them into the log: Delta's own writer in Spark
finds out by five Spark jobs which files it replaces, a second for the smallest table, and four more for the first one
of a process. When all files of a table or of a month are replaced, the log already lists them. Types and names beyond
Delta's first version are left to Delta in Spark.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from salesml_assets.lake.commits import commit_files
from salesml_assets.lake.log import (
    UNDATED,
    USER_METADATA,
    Commit,
    LakeError,
    column_types,
    has_plain_columns,
    month_condition,
    nullable,
    run_note,
)
from salesml_assets.spark.hadoop import file_system, hadoop_path, parquet_footer

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from salesml_assets.lake.store import Lakehouse

# Numbers that fit into a wider column: a month of whole prices has no other type than a month of broken ones.
_WIDER = {("integer", "long"), ("integer", "double"), ("long", "double"), ("float", "double")}
_OTHER_TYPE = {"DELTA_FAILED_TO_MERGE_FIELDS", "DELTA_MERGE_INCOMPATIBLE_DATATYPE"}  # Delta's names of the error
# Otherwise Spark leaves a file `_SUCCESS` in each folder.
_SUCCESS_MARKER = "mapreduce.fileoutputcommitter.marksuccessfuljobs"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_PARALLEL_FILES = 16  # files that are moved or read concurrently: each takes a round trip to an object store


def read_table(spark: SparkSession, lake: Lakehouse, name: str, version: int | None = None) -> DataFrame:
    """A table as a Spark DataFrame that stays at one version, even if the table moves on.

    Delta's own reader asks the log again, by a Spark job, in each query of the frame: on small tables that took
    longer than the query. For a table that readers of Delta's first version understand, the log is read once, here:
    such a table consists of its files, in one folder per month if it has a month column.

    Args:
        spark: The session.
        lake: The tables.
        name: Name of the table.
        version: The version wanted; default: the latest.

    Raises:
        LakeError: There is no such table.
    """
    table = lake.open(name, version)
    files = [_spark_address(file) for file in table.file_uris()]
    if table.protocol().min_reader_version > 1 or lake.needs_delta_writer:
        return spark.read.format("delta").option("versionAsOf", table.version()).load(lake.path(name))
    schema = _spark_schema(table)
    if not files:
        return spark.createDataFrame([], schema)
    frame = spark.read.schema(schema).option("basePath", lake.path(name)).parquet(*files)
    # A month column comes last from the folders' names, wherever it is in the table.
    return frame.select(*[f"`{column.replace('`', '``')}`" for column in schema.names])


def write_table(
    frame: DataFrame, lake: Lakehouse, name: str, *, month_column: str | None = None, run_id: str | None = None
) -> Commit:
    """Replaces a whole table, its schema included, in one commit.

    Args:
        frame: The rows; computed while they are written. If that fails, the old rows stay.
        lake: The tables.
        name: Name of the table.
        month_column: The column with the month, 'yyyy-MM' or 'undated', by which the table is laid out, so that
            `write_months` can replace single months later; default: a table that is only replaced as a whole.
        run_id: The Dagster run that writes; kept in the table's history.

    Returns:
        The commit just made.

    Raises:
        LakeError: The commit is not what was written.
    """
    table = lake.find(name)
    if _is_plain(frame, lake, table, month_column):
        return _write_plain(frame, lake, name, table, frame.schema, month_column, None, run_id)
    return _write_by_delta(frame, lake, name, month_column, None, run_id)


def write_months(
    frame: DataFrame,
    lake: Lakehouse,
    name: str,
    month_column: str,
    months: Sequence[str],
    *,
    run_id: str | None = None,
) -> Commit:
    """Replaces the rows of some months, and of the bucket 'undated', in one commit. All other rows stay.

    New columns are added (null in the other months); columns that are missing become null; whole numbers go into
    columns of wider numbers.

    Args:
        frame: The new rows of these months; a row of any other month is an error.
        lake: The tables.
        name: Name of the table.
        month_column: The column with the month, 'yyyy-MM' or 'undated'.
        months: The months, 'yyyy-MM'.
        run_id: The Dagster run that writes; kept in the table's history.

    Returns:
        The commit just made.

    Raises:
        LakeError: A column's type is not that of the table: load all months at once. Or the commit is not what was
            written.
        ValueError: A month is not of the form yyyy-MM.
    """
    condition = month_condition(month_column, months)
    table = lake.find(name)
    if table is None:
        return write_table(frame, lake, name, month_column=month_column, run_id=run_id)
    widened = _widened(frame, column_types(table.schema()))
    schema = _merged(_spark_schema(table), widened.schema)
    if schema and _is_plain(widened, lake, table, month_column):
        return _write_plain(widened, lake, name, table, schema, month_column, [*months, UNDATED], run_id)
    return _write_by_delta(widened, lake, name, month_column, condition, run_id)


def is_plain(schema: StructType) -> bool:
    """Whether types and names are those that a table of Delta's first version may have."""
    return has_plain_columns(schema.json())


def delta_schema(schema: StructType) -> Schema:
    """The schema of a table with these columns: as Delta's own writer makes it, any value may be missing."""
    from deltalake import Schema

    return Schema.from_json(nullable(schema.json()))


def _same_type(one: DataType, other: DataType) -> bool:
    """Whether two types are the same, but for what may be missing."""
    return nullable(one.json()) == nullable(other.json())


def _is_plain(frame: DataFrame, lake: Lakehouse, table: DeltaTable | None, month_column: str | None) -> bool:
    """Whether files of this frame need nothing that only Delta in Spark can do."""
    laid_out = [month_column] if month_column else []
    return (
        is_plain(frame.schema)
        and not lake.needs_delta_writer
        and (table is None or table.metadata().partition_columns == laid_out)
    )


def _write_plain(
    frame: DataFrame,
    lake: Lakehouse,
    name: str,
    table: DeltaTable | None,
    schema: StructType,
    month_column: str | None,
    months: Sequence[str] | None,
    run_id: str | None,
) -> Commit:
    """Lets Spark write plain files, and commits them in place of all files, or of those of some months."""
    spark, path = frame.sparkSession, lake.path(name)
    folder = f"{path}/{uuid.uuid4()}"  # no version of the table names what an interrupted write leaves there
    if month_column is None:
        frame.write.option(_SUCCESS_MARKER, "false").parquet(folder)
        files = _added_files(spark, folder)
    else:
        # Otherwise every task would write a file of its own into every month.
        laid_out = frame.hint("rebalance", month_column)
        laid_out.write.option(_SUCCESS_MARKER, "false").partitionBy(month_column).parquet(folder)
        found = _months_in(spark, folder).values()
        if months and (strange := [str(month) for month in found if month not in months]):
            raise LakeError(f"{name}: a load of {', '.join(months)} has rows of {', '.join(strange)}, too.")
        files = _moved_files(spark, folder, path, month_column)
    return commit_files(
        lake, name, table, files, delta_schema(schema), month_column=month_column, months=months, run_id=run_id
    )


def _write_by_delta(
    frame: DataFrame, lake: Lakehouse, name: str, month_column: str | None, replace: str | None, run_id: str | None
) -> Commit:
    from pyspark.errors import AnalysisException

    writer = frame.write.format("delta").mode("overwrite").option(USER_METADATA, run_note(run_id))
    if month_column:
        # Otherwise every task would write a file of its own into every month.
        writer = writer.partitionBy(month_column).option("optimizeWrite", "true")
    if replace:
        writer = writer.option("replaceWhere", replace).option("mergeSchema", "true")
    else:
        writer = writer.option("overwriteSchema", "true")
    try:
        writer.save(lake.path(name))
    except AnalysisException as error:
        if replace and error.getCondition() in _OTHER_TYPE:
            raise LakeError(
                f"{name}: a column's type differs from the other months' ({str(error).splitlines()[0]}). "
                "Load all months at once: that replaces the table's schema."
            ) from error
        raise
    return lake.history(name, limit=1)[0]


def _widened(frame: DataFrame, columns: dict[str, str]) -> DataFrame:
    """The frame with its numbers in the table's wider types."""
    wider = {
        column.name: frame[column.name].cast(columns[column.name])
        for column in frame.schema
        if (column.dataType.typeName(), columns.get(column.name)) in _WIDER
    }
    return frame.withColumns(wider) if wider else frame


def _spark_schema(table: DeltaTable) -> StructType:
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(table.schema().to_json()))


def _merged(known: StructType, loaded: StructType) -> StructType | None:
    """The table's columns followed by the new ones; None if a type differs or two names differ only in case."""
    from pyspark.sql.types import StructType

    by_name = {column.name: column for column in known}
    lower = {name.lower() for name in by_name}
    new = [column for column in loaded if column.name not in by_name]
    same = all(_same_type(by_name[column.name].dataType, column.dataType) for column in loaded if column not in new)
    return StructType([*known, *new]) if same and lower.isdisjoint(column.name.lower() for column in new) else None


def _spark_address(uri: str) -> str:
    """Converts a file address of `deltalake` into one for Spark.

    >>> _spark_address("s3://bucket/a%20lake/sales/part-0.parquet")
    's3a://bucket/a lake/sales/part-0.parquet'
    """
    return unquote(uri).replace("s3://", "s3a://", 1)


def _added_files(spark: SparkSession, folder: str) -> list[AddAction]:
    """The files of a folder directly below a table, ordered by name, with the number of rows in each.

    Args:
        spark: The session that wrote them.
        folder: Address of the folder.
    """
    found = file_system(spark, folder).listStatus(hadoop_path(spark, folder))
    return _in_parallel(lambda status: _added(spark, status.getPath(), {}), found)


def _months_in(spark: SparkSession, folder: str) -> dict[str, str | None]:
    """The folders into which Spark has laid out rows by a column, each with its value; none if there are no rows."""
    files, path = file_system(spark, folder), hadoop_path(spark, folder)
    names = [status.getPath().getName() for status in files.listStatus(path)] if files.exists(path) else []
    values = {name: name.partition("=")[2] for name in sorted(names)}
    return {name: None if value == _NULL else unquote(value) for name, value in values.items()}


def _moved_files(spark: SparkSession, folder: str, table: str, month_column: str) -> list[AddAction]:
    """Moves the files of each month from a temporary folder to the table, where Delta in Spark would have put them.

    Args:
        spark: The session that wrote them.
        folder: Address of the temporary folder; removed afterwards.
        table: Address of the table.
        month_column: The column by which they are laid out.
    """
    files, moves = file_system(spark, folder), []
    for name, month in _months_in(spark, folder).items():
        files.mkdirs(hadoop_path(spark, f"{table}/{name}"))
        for status in files.listStatus(hadoop_path(spark, f"{folder}/{name}")):
            source = status.getPath()
            moves.append((source, hadoop_path(spark, f"{table}/{name}/{source.getName()}"), month))

    def move(step: tuple[Any, Any, str | None]) -> AddAction:
        source, target, month = step
        if not files.rename(source, target):
            raise OSError(f"{source} could not be moved to {target}")
        return _added(spark, target, {month_column: month})

    added = _in_parallel(move, moves)
    files.delete(hadoop_path(spark, folder), True)
    return added


def _in_parallel(make: Callable[[Any], AddAction], of: Iterable[Any]) -> list[AddAction]:
    with ThreadPoolExecutor(_PARALLEL_FILES, thread_name_prefix="files") as pool:
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
