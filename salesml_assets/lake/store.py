"""The Delta tables of the lake: one folder per table under one root, on disk or on s3a://.

Each write is one commit, so a reader sees the table before it or after it, never between. Spark writes the files of
what it has computed. Commits, what is in memory, and what is only looked at (version, history, small reads) go through
the `deltalake` package, which needs no Java. Types and names beyond Delta's first version are left to Delta in Spark.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from salesml_assets.config.settings import HISTORY_DAYS, S3Settings
from salesml_assets.lake.s3 import arrow_files
from salesml_assets.text import masked

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

# Of new tables: 30 days and 7 by default, after which Delta forgets versions, and which files belonged to them.
TABLE_PROPERTIES = {
    "delta.logRetentionDuration": f"interval {HISTORY_DAYS} days",
    "delta.deletedFileRetentionDuration": f"interval {HISTORY_DAYS} days",
}
BATCH_ROWS = 100_000
UNDATED = "undated"  # the bucket of rows without a usable date in a month column
# Numbers that fit into a wider column: a month of whole prices is no other type than a month of broken ones.
_WIDER = {("integer", "long"), ("integer", "double"), ("long", "double"), ("float", "double")}
_OTHER_TYPE = {"DELTA_FAILED_TO_MERGE_FIELDS", "DELTA_MERGE_INCOMPATIBLE_DATATYPE"}  # Delta's names of the error
# Else Spark leaves a file `_SUCCESS` in each folder.
_MARKS = "mapreduce.fileoutputcommitter.marksuccessfuljobs"
_ROWS, _REMOVED = "rows", "rows removed"  # keys in a commit of ours: how many it wrote, and took away
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
# In a schema as JSON: types that ask for more than the first version of Delta, and names that it refuses.
_OTHER_COLUMN_TYPE = re.compile(
    r'"(?:type|elementType|keyType|valueType)":'
    r'"(?!(?:string|long|integer|short|byte|double|float|boolean|date|timestamp|binary|decimal\([\d,]+\)|'
    r'struct|array|map)")|"__COLLATIONS"'
)
_OTHER_COLUMN_NAME = re.compile(r'"name":"(?:[^"\\]|\\[^nt])*(?:[ ,;{}()=]|\\[nt])')
# Spark takes paths of files with some of these for patterns, and `deltalake` writes no table below the others.
_ODD = re.compile(r"[{}\[\]*?\\^|]")


class LakeError(RuntimeError):
    """A table is not there, or cannot take what is to be written; the message says what to do."""


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log tells it.

    Attributes:
        version: Number of the version, from 0.
        timestamp: When it was committed (UTC).
        operation: What Delta did (WRITE, ...).
        rows_written: Rows that this commit wrote.
        rows_removed: Rows that this commit took away; None where Delta does not say (a whole overwrite).
        run_id: The Dagster run that wrote it; None for other writers.
    """

    version: int
    timestamp: dt.datetime
    operation: str
    rows_written: int
    rows_removed: int | None
    run_id: str | None


@dataclass(frozen=True)
class TableSize:
    """What a version of a table holds: rows, bytes and number of its data files."""

    rows: int
    bytes: int
    files: int


@dataclass(frozen=True)
class Lakehouse:
    """All tables under one root.

    Attributes:
        root: Folder or s3a://bucket/prefix.
        s3: The object store behind s3a:// addresses. Credentials come from the AWS_* variables, never from here.
    """

    root: str
    s3: S3Settings = field(default_factory=S3Settings)

    def path(self, name: str) -> str:
        """The address of a table as Spark takes it.

        >>> Lakehouse("s3a://bucket/lake/").path("sales")
        's3a://bucket/lake/sales'
        """
        return f"{self.root.rstrip('/')}/{name}"

    @property
    def on_disk(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root

    @property
    def is_odd(self) -> bool:
        """Whether the root's name is one that only Delta in Spark can do everything with: it has a bracket, say."""
        return bool(_ODD.search(self.root))

    def exists(self, name: str) -> bool:
        """Whether the table has a version to read; a folder in which a first write broke off is no table."""
        return self._found(name) is not None

    def open(self, name: str, version: int | None = None) -> DeltaTable:
        """The table through the `deltalake` package (no Java).

        Raises:
            LakeError: There is no such table.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            # `DeltaTable.is_deltatable` would hold up all threads of the process until the store has answered.
            return DeltaTable(_rust_address(self.path(name)), version=version, storage_options=self._options)
        except TableNotFoundError:
            raise LakeError(
                f"There is no table {name!r} in {masked(self.root)}: materialize the asset {name!r} first."
            ) from None

    def version(self, name: str) -> int:
        """Number of the table's latest version."""
        return self.open(name).version()

    def identity(self, name: str) -> str | None:
        """What tells a table from one that lay in the same place before it; None if there is none."""
        table = self._found(name)
        return str(table.metadata().id) if table else None

    def history(self, name: str, limit: int | None = None) -> list[Commit]:
        """The table's versions, newest first."""
        return [_commit(entry) for entry in self.open(name).history(limit)]

    def version_of_run(self, name: str, run_id: str, limit: int = 20) -> int | None:
        """The last version that a Dagster run wrote; None if it wrote none of the last `limit` versions."""
        if not self.exists(name):
            return None
        return next((commit.version for commit in self.history(name, limit) if commit.run_id == run_id), None)

    def size(self, name: str, version: int | None = None) -> TableSize:
        """Rows, bytes and files of a version, from the statistics in Delta's log; no data file is opened."""
        import pyarrow as pa

        files = pa.table(self.open(name, version).get_add_actions(flatten=True))
        return TableSize(
            rows=sum(files["num_records"].to_pylist()), bytes=sum(files["size_bytes"].to_pylist()), files=files.num_rows
        )

    def rows_by_month(self, name: str) -> dict[str, int]:
        """Rows of each month, and of the bucket 'undated', of a table laid out by month; from Delta's log, too."""
        import pyarrow as pa

        table = self.open(name)
        (column,) = table.metadata().partition_columns
        month = f"partition.{column}"
        files = pa.table(table.get_add_actions(flatten=True)).select([month, "num_records"])
        counts = files.group_by(month).aggregate([("num_records", "sum")]).to_pylist()
        return {row[month]: row["num_records_sum"] for row in counts}

    def columns(self, name: str, version: int | None = None) -> dict[str, str]:
        """Names and types of the columns, in order, in Delta's words (string, double, array<string>, ...)."""
        return {column.name: _type_name(column.type) for column in self.open(name, version).schema().fields}

    def partition_columns(self, name: str) -> list[str]:
        """Columns by which the table's files are laid out: its month column, or none."""
        return list(self.open(name).metadata().partition_columns)

    def remove_old_files(self, name: str, days: int) -> int:
        """Removes the data files that no version of the last days needs, and what broken writes have left.

        A version that had been replaced before that can no longer be read. The log notes the removal.

        Args:
            name: Name of the table.
            days: Age in days up to which a version can still be read; at most `config.HISTORY_DAYS`.

        Returns:
            The number of files removed.

        Raises:
            LakeError: There is no such table.
        """
        from pyarrow.fs import FileSelector

        table = self.open(name)
        # Delta's own least age guards versions that are being read; ours has one of its own in the settings.
        options: dict[str, Any] = {"retention_hours": 24 * days, "enforce_retention_duration": False, "full": True}
        present = self._files(name).get_file_info(FileSelector("", recursive=True))
        # The log names replaced files for long after they were removed.
        old = {info.path for info in present if info.is_file} & {unquote(path) for path in table.vacuum(**options)}
        if old:
            table.vacuum(**options, dry_run=False)
        if self.on_disk:
            root = Path(self.path(name))
            for file in (root / path for path in old):
                file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # Hadoop's, beside each file on disk
            folders = {folder for path in old for folder in Path(path).parents if folder.name}
            for folder in sorted(folders, reverse=True):  # inner ones first
                if not any((root / folder).iterdir()):
                    (root / folder).rmdir()
        return len(old)

    def read_pandas(
        self, name: str, columns: Sequence[str] | None = None, filters: Any = None, version: int | None = None
    ) -> pd.DataFrame:
        """Reads a table that fits into memory, without Java.

        Args:
            name: Name of the table.
            columns: The columns wanted; default: all.
            filters: Conditions, as `deltalake` takes them: [("version", "=", 3)], or a pyarrow expression.
            version: The version wanted; default: the latest.

        Raises:
            LakeError: There is no such table.
        """
        return self.read_arrow(name, columns, filters, version).to_pandas()

    def read_arrow(
        self, name: str, columns: Sequence[str] | None = None, filters: Any = None, version: int | None = None
    ) -> pa.Table:
        """Like `read_pandas`, with the exact types of the table."""
        table, names = self.open(name, version), list(columns) if columns is not None else None
        # By default threads of Arrow's read through Python, and abort a process that ends before they are done.
        return table.to_pyarrow_table(columns=names, filesystem=self._files(name), filters=filters)

    def read_polars(
        self, name: str, columns: Sequence[str] | None = None, filters: Any = None, version: int | None = None
    ) -> pl.DataFrame:
        """Like `read_pandas`, as a Polars frame."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(self.read_arrow(name, columns, filters, version)))

    def batches(
        self, name: str, columns: Sequence[str] | None = None, filters: Any = None, version: int | None = None
    ) -> Iterator[pl.DataFrame]:
        """The rows of a table, one batch after the other, in bounded memory and without Java.

        Args:
            name: Name of the table.
            columns: The columns wanted; default: all.
            filters: A pyarrow expression; default: all rows.
            version: The version wanted; default: the latest.

        Yields:
            Frames of up to `BATCH_ROWS` rows, none of them empty; no frame at all where there are no rows.

        Raises:
            LakeError: There is no such table.
        """
        import polars as pl

        dataset = self.open(name, version).to_pyarrow_dataset(filesystem=self._files(name))
        names = list(columns) if columns is not None else None
        for batch in dataset.to_batches(columns=names, filter=filters, batch_size=BATCH_ROWS, batch_readahead=1):
            if batch.num_rows:
                yield pl.DataFrame(pl.from_arrow(batch))

    def read(self, spark: SparkSession, name: str, version: int | None = None) -> DataFrame:
        """The table as a Spark DataFrame that stays at one version, even if the table moves on.

        Delta's own reader asks the log again, by a Spark job, in each query of the frame: on small tables that took
        longer than the query. Of a table that readers of Delta's first version understand, the log is asked once, here:
        such a table is its files, in a folder for each month where it has a month column.

        Raises:
            LakeError: There is no such table.
        """
        table = self.open(name, version)
        files = [_spark_address(file) for file in table.file_uris()]
        if table.protocol().min_reader_version > 1 or self.is_odd:
            return spark.read.format("delta").option("versionAsOf", table.version()).load(self.path(name))
        schema = _spark_schema(table)
        if not files:
            return spark.createDataFrame([], schema)
        frame = spark.read.schema(schema).option("basePath", self.path(name)).parquet(*files)
        # A month column comes last from the folders' names, wherever it stands in the table.
        return frame.select(*[f"`{column.replace('`', '``')}`" for column in schema.names])

    def write(self, frame: DataFrame, name: str, *, run_id: str | None = None) -> Commit:
        """Replaces a whole table, its schema included, in one commit.

        Args:
            frame: The rows; computed while they are written. If that fails, the old rows stay.
            name: Name of the table.
            run_id: The Dagster run that writes; kept in the table's history.

        Returns:
            The commit just made.
        """
        return self._write_all(frame, name, None, run_id)

    def _write_all(self, frame: DataFrame, name: str, month_column: str | None, run_id: str | None) -> Commit:
        table = self._found(name)
        if self._is_plain(frame, table, month_column):
            return self._write_plain(frame, name, table, frame.schema, month_column, None, run_id)
        return self._write_by_delta(frame, name, month_column, None, run_id)

    def _is_plain(self, frame: DataFrame, table: DeltaTable | None, month_column: str | None) -> bool:
        """Whether files of this frame need nothing that only Delta in Spark can do."""
        from salesml_assets.lake.spark_tables import is_plain

        laid_out = [month_column] if month_column else []
        return (
            is_plain(frame.schema)
            and not self.is_odd
            and (table is None or table.metadata().partition_columns == laid_out)
        )

    def _write_plain(
        self,
        frame: DataFrame,
        name: str,
        table: DeltaTable | None,
        schema: StructType,
        month_column: str | None,
        months: Sequence[str] | None,
        run_id: str | None,
    ) -> Commit:
        """Lets Spark write plain files, and commits them in place of all files, or of those of some months."""
        from deltalake import CommitProperties
        from deltalake.transaction import create_table_with_add_actions

        from salesml_assets.lake.spark_tables import added_files, delta_schema, months_in, moved_files, rows_of

        spark, path = frame.sparkSession, self.path(name)
        folder = f"{path}/{uuid.uuid4()}"  # what a broken write leaves there, no version of the table names
        if month_column is None:
            frame.write.option(_MARKS, "false").parquet(folder)
            files = added_files(spark, folder)
        else:
            # Else every task would write a file of its own into every month.
            laid_out = frame.hint("rebalance", month_column)
            laid_out.write.option(_MARKS, "false").partitionBy(month_column).parquet(folder)
            found = months_in(spark, folder).values()
            if months and (strange := [str(month) for month in found if month not in months]):
                raise LakeError(f"{name}: a load of {', '.join(months)} has rows of {', '.join(strange)}, too.")
            files = moved_files(spark, folder, path, month_column)
        noted = {"userMetadata": _note(run_id), _ROWS: str(sum(map(rows_of, files)))}
        if months and table:
            noted[_REMOVED] = str(sum(rows for month, rows in self.rows_by_month(name).items() if month in months))
        properties = CommitProperties(custom_metadata=noted)
        if table:
            table.create_write_transaction(
                [*files],
                "overwrite",
                delta_schema(schema),
                partition_by=month_column,
                partition_filters=[(month_column, "in", list(months))] if months and month_column else None,
                commit_properties=properties,
            )
        else:
            create_table_with_add_actions(
                _rust_address(path),
                delta_schema(schema),
                files,
                partition_by=month_column,
                configuration=TABLE_PROPERTIES,
                storage_options=self._options,
                commit_properties=properties,
            )
        return self.history(name, limit=1)[0]

    def write_arrow(self, rows: pa.Table, name: str, *, run_id: str | None = None) -> Commit:
        """Like `write`, for rows that are in memory; without Java, and in a hundredth of Spark's second.

        Rows keep their order.

        Raises:
            LakeError: The root `is_odd`.
        """
        from deltalake import CommitProperties, write_deltalake

        if self.is_odd:
            raise LakeError(f"{masked(self.path(name))}: below a folder of such a name only Spark can write")
        write_deltalake(
            _rust_address(self.path(name)),
            rows.combine_chunks(),  # several chunks come out in any order
            mode="overwrite",
            schema_mode="overwrite",
            configuration=TABLE_PROPERTIES,
            commit_properties=CommitProperties(custom_metadata={"userMetadata": _note(run_id)}),
            storage_options=self._options,
        )
        return self.history(name, limit=1)[0]

    def write_polars(self, frame: pl.DataFrame, name: str, *, run_id: str | None = None) -> Commit:
        """Like `write_arrow`, for a Polars frame."""
        return self.write_arrow(frame.to_arrow(), name, run_id=run_id)

    def write_batches(
        self,
        batches: Iterable[pa.RecordBatch | pl.DataFrame],
        schema: pa.Schema,
        name: str,
        *,
        run_id: str | None = None,
    ) -> Commit:
        """Replaces a whole table by the rows of an iterator, in one commit, in bounded memory and without Java.

        Rows keep their order.

        Args:
            batches: Record batches or Polars frames, each with the columns of the schema in its order. If the iterator
                raises, or a batch does not fit the schema, the old rows stay.
            schema: Columns of the table, also if there are no batches: for Polars, `frame.head(0).to_arrow().schema`.
            name: Name of the table.
            run_id: The Dagster run that writes; kept in the table's history.

        Returns:
            The commit just made.

        Raises:
            LakeError: Only Spark can write below the root (`is_odd`); the table is laid out by month; or a column's
                name or type is beyond Delta's first version (a timestamp without time zone, a blank in a name).
            ValueError: A batch does not fit the schema.
        """
        import pyarrow as pa
        from deltalake import CommitProperties, Schema
        from deltalake.transaction import AddAction, create_table_with_add_actions

        from salesml_assets.lake.parquet import write_parquet

        if self.is_odd:
            raise LakeError(f"{masked(self.path(name))}: below a folder of such a name only Spark can write")
        delta_schema = Schema.from_arrow(schema)
        if not has_plain_columns(delta_schema.to_json()):
            raise LakeError(f"{name}: columns of these names and types cannot be written in batches: {schema}")
        table = self._found(name)
        if table and table.metadata().partition_columns:
            raise LakeError(f"{name}: the table is laid out by month, and cannot be replaced in batches")
        if self.on_disk:
            Path(self.path(name)).mkdir(parents=True, exist_ok=True)
        file = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
        rows, size = write_parquet(batches, pa.schema(delta_schema.to_arrow()), self._files(name), file)
        added = AddAction(
            path=file,
            size=size,
            partition_values={},
            modification_time=round(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": rows}),
        )
        properties = CommitProperties(custom_metadata={"userMetadata": _note(run_id), _ROWS: str(rows)})
        if table:
            table.create_write_transaction([added], "overwrite", delta_schema, commit_properties=properties)
        else:
            create_table_with_add_actions(
                _rust_address(self.path(name)),
                delta_schema,
                [added],
                configuration=TABLE_PROPERTIES,
                storage_options=self._options,
                commit_properties=properties,
            )
        return self.history(name, limit=1)[0]

    def write_all_months(self, frame: DataFrame, name: str, month_column: str, *, run_id: str | None = None) -> Commit:
        """Like `write`, for a table that is laid out by month, so that single months can be replaced later."""
        return self._write_all(frame, name, month_column, run_id)

    def write_months(
        self,
        frame: DataFrame,
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
            name: Name of the table.
            month_column: The column with the month, 'yyyy-MM' or 'undated'.
            months: The months, 'yyyy-MM'.
            run_id: The Dagster run that writes; kept in the table's history.

        Raises:
            LakeError: A column's type is not the one that the table has: load all months at once.
        """
        condition = month_condition(month_column, months)
        table = self._found(name)
        if table is None:
            return self._write_all(frame, name, month_column, run_id)
        widened = _widened(frame, self.columns(name))
        schema = _merged(_spark_schema(table), widened.schema)
        if schema and self._is_plain(widened, table, month_column):
            return self._write_plain(widened, name, table, schema, month_column, [*months, UNDATED], run_id)
        return self._write_by_delta(widened, name, month_column, condition, run_id)

    def _write_by_delta(
        self, frame: DataFrame, name: str, month_column: str | None, replace: str | None, run_id: str | None
    ) -> Commit:
        from pyspark.errors import AnalysisException

        writer = frame.write.format("delta").mode("overwrite").option("userMetadata", _note(run_id))
        if month_column:
            # Without this every task would write a file of its own into every month.
            writer = writer.partitionBy(month_column).option("optimizeWrite", "true")
        if replace:
            writer = writer.option("replaceWhere", replace).option("mergeSchema", "true")
        else:
            writer = writer.option("overwriteSchema", "true")
        try:
            writer.save(self.path(name))
        except AnalysisException as error:
            if replace and error.getCondition() in _OTHER_TYPE:
                raise LakeError(
                    f"{name}: a column's type differs from the other months' ({str(error).splitlines()[0]}). "
                    "Load all months at once: that replaces the table's schema."
                ) from error
            raise
        return self.history(name, limit=1)[0]

    def _found(self, name: str) -> DeltaTable | None:
        try:
            return self.open(name)
        except LakeError:
            return None

    def _files(self, name: str) -> FileSystem:
        """The table's folder."""
        from pyarrow.fs import SubTreeFileSystem

        files = arrow_files(None if self.on_disk else self.s3)
        return SubTreeFileSystem(self.path(name).removeprefix("s3a://"), files)

    @property
    def _options(self) -> dict[str, str] | None:
        if self.on_disk:
            return None
        options = {
            "AWS_REGION": self.s3.region,
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not self.s3.path_style).lower(),
        }
        if self.s3.endpoint:
            options["AWS_ENDPOINT_URL"] = self.s3.endpoint
            options["AWS_ALLOW_HTTP"] = str(self.s3.endpoint.startswith("http://")).lower()
        return options


def month_condition(month_column: str, months: Sequence[str]) -> str:
    """The SQL condition for the rows that a load of these months replaces.

    >>> month_condition("_month", ["2011-03", "2011-04"])
    "_month IN ('2011-03', '2011-04', 'undated')"

    Raises:
        ValueError: A month is not of the form yyyy-MM.
    """
    strange = [month for month in months if not _MONTH.fullmatch(month)]
    if strange or not months:
        raise ValueError(f"months have the form yyyy-MM; got {strange or 'none'}")
    values = ", ".join(f"'{month}'" for month in [*months, UNDATED])
    return f"{month_column} IN ({values})"


def has_plain_columns(schema: str) -> bool:
    """Whether types and names are those that a table of Delta's first version may have.

    Args:
        schema: The schema as JSON, as Spark and Delta write it.
    """
    return not (_OTHER_COLUMN_TYPE.search(schema) or _OTHER_COLUMN_NAME.search(schema))


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
    """The table's columns and the new ones after them; None where they meet in more than their names and types."""
    from pyspark.sql.types import StructType

    from salesml_assets.lake.spark_tables import same_type

    by_name = {column.name: column for column in known}
    lower = {name.lower() for name in by_name}
    new = [column for column in loaded if column.name not in by_name]
    same = all(same_type(by_name[column.name].dataType, column.dataType) for column in loaded if column not in new)
    return StructType([*known, *new]) if same and lower.isdisjoint(column.name.lower() for column in new) else None


def _rust_address(path: str) -> str:
    """Hadoop's s3a:// is s3:// to everybody else."""
    return path.replace("s3a://", "s3://", 1)


def _spark_address(uri: str) -> str:
    """What `deltalake` calls a file, as Spark takes it.

    >>> _spark_address("s3://bucket/a%20lake/sales/part-0.parquet")
    's3a://bucket/a lake/sales/part-0.parquet'
    """
    return unquote(uri).replace("s3://", "s3a://", 1)


def _commit(entry: dict[str, Any]) -> Commit:
    metrics = entry.get("operationMetrics", {})
    removed = metrics.get("numDeletedRows", entry.get(_REMOVED))
    return Commit(
        version=entry["version"],
        timestamp=dt.datetime.fromtimestamp(entry["timestamp"] / 1000, tz=dt.UTC),
        operation=entry["operation"],
        # Spark's name, that of `deltalake`, our own.
        rows_written=int(metrics.get("numOutputRows", metrics.get("num_added_rows", entry.get(_ROWS, 0)))),
        rows_removed=None if removed is None else int(removed),
        run_id=_run_id(entry.get("userMetadata")),
    )


def _note(run_id: str | None) -> str:
    return json.dumps({"run_id": run_id})


def _run_id(metadata: str | None) -> str | None:
    """The run in a commit's `userMetadata`; other writers may have put anything there."""
    try:
        values = json.loads(metadata) if metadata else {}
    except json.JSONDecodeError:
        return None
    return values.get("run_id") if isinstance(values, dict) else None


def _type_name(kind: Any) -> str:
    """Spark's short name of one of `deltalake`'s types."""
    name = getattr(kind, "type", None)
    if name == "array":
        return f"array<{_type_name(kind.element_type)}>"
    if name == "map":
        return f"map<{_type_name(kind.key_type)}, {_type_name(kind.value_type)}>"
    if name == "struct":
        return "struct<" + ", ".join(f"{inner.name}: {_type_name(inner.type)}" for inner in kind.fields) + ">"
    return str(name)
