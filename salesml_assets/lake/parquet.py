"""Rows from memory, batch by batch, and as one Parquet file in their order."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyarrow.fs import FileSystem

ROW_GROUP_ROWS = 100_000


@dataclass(frozen=True)
class Batches:
    """Rows of a table that are made while they are written: an asset returns them, the IO manager writes them.

    Attributes:
        batches: Record batches or Polars frames, each with the columns of the schema in its order.
        schema: Columns of the table, also if there are no batches.
    """

    batches: Iterable[pa.RecordBatch | pl.DataFrame]
    schema: pa.Schema

    def tables(self) -> Iterator[pa.Table]:
        """The batches as Arrow tables of the schema.

        Raises:
            ValueError: A batch has other columns than the schema, or values that do not fit into its types.
        """
        import pyarrow as pa

        for batch in self.batches:
            table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch.to_arrow()
            yield table.cast(self.schema)


def frames_as_batches(frames: Iterator[pl.DataFrame]) -> Batches | None:
    """Polars frames with the schema of the first one; None where there is none."""
    import pyarrow as pa

    first = next(frames, None)
    if first is None:
        return None
    schema = pa.schema(
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in first.to_arrow().schema
    )
    return Batches(itertools.chain([first], frames), schema)


def write_parquet(
    batches: Iterable[pa.RecordBatch | pl.DataFrame], schema: pa.Schema, folder: FileSystem, path: str
) -> tuple[int, int]:
    """Writes batches into one file, in their order; at most one row group and one batch are in memory.

    `deltalake.write_deltalake` takes a stream, too, but writes its batches in an order that changes from call to call.

    Args:
        batches: Record batches or Polars frames, each with the columns of the schema in its order.
        schema: Columns of the file.
        folder: File system of the folder to write in.
        path: Path of the file below the folder. No file is left if a batch fails.

    Returns:
        Rows and bytes of the file.

    Raises:
        ValueError: A batch has other columns than the schema, or values that do not fit into its types.
    """
    from pyarrow.parquet import ParquetWriter

    rows = 0
    try:
        with ParquetWriter(path, schema, filesystem=folder) as writer:
            for group in _row_groups(batches, schema):
                writer.write_table(group, row_group_size=group.num_rows)
                rows += group.num_rows
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # an object store has no file before it is complete
            folder.delete_file(path)
        raise
    return rows, folder.get_file_info(path).size


def _row_groups(batches: Iterable[pa.RecordBatch | pl.DataFrame], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of at least `ROW_GROUP_ROWS` rows, but for the last one: small batches would make a slow file."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in Batches(batches, schema).tables():
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if any(each.num_rows for each in waiting):
        yield pa.concat_tables(waiting)
