"""Polars functions over whole series, run by Spark on partitions of series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

# A partition is held in memory by one Python worker: some hundred MB with the features of this many rows.
ROWS_PER_PARTITION = 400_000


def map_series(frame: DataFrame, function: Callable[[pl.DataFrame], pl.DataFrame], rows: int) -> DataFrame:
    """Applies a function of whole series to all series, in parallel.

    Args:
        frame: Any rows with a `unique_id`; all rows of a series reach the same call.
        function: Takes and returns a Polars frame; it sees many series at once, in no particular order. It is
            also called once with no rows, to learn the columns that it returns.
        rows: Rows of the frame, about; with the size of the cluster they set the number of partitions.
    """
    schema = _result_schema(frame, function)
    arrow = to_arrow_schema(schema)
    partitions = max(default_tasks(frame.sparkSession), -(-rows // ROWS_PER_PARTITION))

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = [batch for batch in batches if batch.num_rows]
        if received:
            result = function(pl.DataFrame(pl.from_arrow(pa.Table.from_batches(received))))
            yield from result.to_arrow().cast(arrow).to_batches(max_chunksize=20_000)

    return frame.repartition(partitions, "unique_id").mapInArrow(run, schema)


def default_tasks(spark: SparkSession) -> int:
    """Two tasks for each core, unless the setting says how many.

    Spark joins small shuffle partitions by itself, but not those of a repartition: its default of 200 would be 200
    calls of Python, whatever the size of the cluster.
    """
    wanted = spark.sparkContext.getConf().get("spark.sql.shuffle.partitions")
    return int(wanted) if wanted else 2 * spark.sparkContext.defaultParallelism


def map_rows(frame: DataFrame, function: Callable[[pl.DataFrame], pl.DataFrame]) -> DataFrame:
    """Applies a function of single rows to all rows, batch by batch, where they are.

    Args:
        frame: Any rows.
        function: Takes and returns a Polars frame; each row's result depends on that row alone. It is also called
            once with no rows, to learn the columns that it returns.
    """
    schema = _result_schema(frame, function)
    arrow = to_arrow_schema(schema)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield from function(pl.DataFrame(pl.from_arrow(batch))).to_arrow().cast(arrow).to_batches()

    return frame.mapInArrow(run, schema)


def _result_schema(frame: DataFrame, function: Callable[[pl.DataFrame], pl.DataFrame]) -> StructType:
    empty = pl.DataFrame(pl.from_arrow(to_arrow_schema(frame.schema).empty_table()))
    result = function(empty).to_arrow()
    # Spark has no large strings; lists of them do not occur here.
    fields = [
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in result.schema
    ]
    return from_arrow_schema(pa.schema(fields))
