"""The Delta tables of the lake: one folder per table under one root, on disk or on s3a://.

Each write is one commit, so a reader sees the table before it or after it, never between. Everything here goes through
the `deltalake` package and PyArrow, without Java; what Spark reads and writes is in `lake.spark_tables`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.commits import Snapshot, commit_files, commit_properties, verified_commit
from salesml_assets.lake.log import (
    TABLE_PROPERTIES,
    UNDATED,
    Commit,
    LakeError,
    TableSize,
    column_types,
    commits_in,
    has_plain_columns,
)
from salesml_assets.lake.parquet import write_parquet
from salesml_assets.lake.s3 import arrow_files, delta_address, delta_options, is_remote
from salesml_assets.text import masked

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

__all__ = ["BATCH_ROWS", "TABLE_PROPERTIES", "UNDATED", "Commit", "LakeError", "Lakehouse", "TableSize"]

BATCH_ROWS = 100_000
# Spark treats some of these characters as patterns in file paths, and `deltalake` cannot write below the others.
_NEEDS_DELTA_WRITER = re.compile(r"[{}\[\]*?\\^|]")


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
        return not is_remote(self.root)

    @property
    def needs_delta_writer(self) -> bool:
        """Whether only Delta in Spark can write below this root, because its name contains a bracket, for example."""
        return bool(_NEEDS_DELTA_WRITER.search(self.root))

    def exists(self, name: str) -> bool:
        """Whether the table has a version to read; a folder left by an interrupted first write is not a table."""
        return self.find(name) is not None

    def open(self, name: str, version: int | None = None) -> DeltaTable:
        """The table through the `deltalake` package (no Java).

        Raises:
            LakeError: There is no such table.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            # `DeltaTable.is_deltatable` would hold up all threads of the process until the store has answered.
            return DeltaTable(delta_address(self.path(name)), version=version, storage_options=self.storage_options)
        except TableNotFoundError:
            raise LakeError(
                f"There is no table {name!r} in {masked(self.root)}: materialize the asset {name!r} first."
            ) from None

    def version(self, name: str) -> int:
        """Number of the table's latest version."""
        return self.open(name).version()

    def identity(self, name: str) -> str | None:
        """The table's id, which changes when a table is deleted and created again; None if there is no table."""
        table = self.find(name)
        return str(table.metadata().id) if table else None

    def history(self, name: str, limit: int | None = None) -> list[Commit]:
        """The table's versions, newest first; a version that a later restore took back is left out."""
        return commits_in(self.open(name).history(limit))

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
        return column_types(self.open(name, version).schema())

    def partition_columns(self, name: str) -> list[str]:
        """Columns by which the table's files are laid out: its month column, or none."""
        return list(self.open(name).metadata().partition_columns)

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
        return table.to_pyarrow_table(columns=names, filesystem=self.folder(name), filters=filters)

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

        dataset = self.open(name, version).to_pyarrow_dataset(filesystem=self.folder(name))
        names = list(columns) if columns is not None else None
        for batch in dataset.to_batches(columns=names, filter=filters, batch_size=BATCH_ROWS, batch_readahead=1):
            if batch.num_rows:
                yield pl.DataFrame(pl.from_arrow(batch))

    def write_arrow(self, rows: pa.Table, name: str, *, run_id: str | None = None) -> Commit:
        """Replaces a whole table, its schema included, by rows in memory, in one commit and without Java.

        Rows keep their order.

        Args:
            rows: The rows. A timestamp without time zone makes a table that Spark reads by Delta's own reader only.
            name: Name of the table.
            run_id: The Dagster run that writes; kept in the table's history.

        Returns:
            The commit just made.

        Raises:
            LakeError: Only Spark can write below the root (`needs_delta_writer`); or the commit is not what was
                written, and the table is back at the version before it.
        """
        from deltalake import write_deltalake

        self._refuse_without_delta_writer(name)
        table = self.find(name)
        before = Snapshot.of(table)  # `write_deltalake` moves the table to the new version
        properties, token = commit_properties(run_id)
        write_deltalake(
            table or delta_address(self.path(name)),
            rows.combine_chunks(),  # several chunks would be written in any order
            mode="overwrite",
            schema_mode="overwrite",
            configuration=TABLE_PROPERTIES,
            commit_properties=properties,
            storage_options=self.storage_options,
        )
        return verified_commit(self, name, before, token, rows.num_rows)

    def append_arrow(self, rows: pa.Table, name: str) -> Commit:
        """Adds rows to a table, or makes the table, in one commit and without Java; several processes may do so.

        Versions of such a table are not kept for longer than Delta's own default, because there are many.

        Args:
            rows: The rows.
            name: Name of the table.

        Returns:
            The commit just made.

        Raises:
            LakeError: As for `write_arrow`.
        """
        from deltalake import write_deltalake

        self._refuse_without_delta_writer(name)
        table = self.find(name)
        before = Snapshot.of(table)
        properties, token = commit_properties(None)
        write_deltalake(
            table or delta_address(self.path(name)),
            rows.combine_chunks(),
            mode="append",
            commit_properties=properties,
            storage_options=self.storage_options,
        )
        return verified_commit(self, name, before, token, rows.num_rows, months=())

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
            LakeError: Only Spark can write below the root (`needs_delta_writer`); the table is laid out by month; or a
                column's name or type is beyond Delta's first version (a timestamp without time zone, a blank in a
                name); or the commit is not what was written, and the table is back at the version before it.
            ValueError: A batch does not fit the schema.
        """
        import pyarrow as pa
        from deltalake import Schema
        from deltalake.transaction import AddAction

        self._refuse_without_delta_writer(name)
        delta_schema = Schema.from_arrow(schema)
        if not has_plain_columns(delta_schema.to_json()):
            raise LakeError(f"{name}: columns of these names and types cannot be written in batches: {schema}")
        table = self.find(name)
        if table and table.metadata().partition_columns:
            raise LakeError(f"{name}: the table is laid out by month, and cannot be replaced in batches")
        if self.on_disk:
            Path(self.path(name)).mkdir(parents=True, exist_ok=True)
        file = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
        rows, size = write_parquet(batches, pa.schema(delta_schema.to_arrow()), self.folder(name), file)
        added = AddAction(
            path=file,
            size=size,
            partition_values={},
            modification_time=round(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": rows}),
        )
        return commit_files(self, name, table, [added], delta_schema, run_id=run_id)

    def find(self, name: str) -> DeltaTable | None:
        """The table through the `deltalake` package, or None if there is no such table."""
        try:
            return self.open(name)
        except LakeError:
            return None

    def folder(self, name: str) -> FileSystem:
        """PyArrow's file system of the table's folder."""
        from pyarrow.fs import SubTreeFileSystem

        files = arrow_files(None if self.on_disk else self.s3)
        return SubTreeFileSystem(self.path(name).removeprefix("s3a://"), files)

    @property
    def storage_options(self) -> dict[str, str] | None:
        """What `deltalake` has to know of the object store; None on disk."""
        return None if self.on_disk else delta_options(self.s3)

    def _refuse_without_delta_writer(self, name: str) -> None:
        if self.needs_delta_writer:
            raise LakeError(f"{masked(self.path(name))}: only Spark can write below a folder with such a name")
