"""Access to Spark's own (Hadoop's) file system, on disk and in an object store, without a Spark job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def java_class(spark: SparkSession, name: str) -> Any:
    """A class of Spark's Java by its full name: one request to Java, where `_jvm.org.apache...` makes one per part."""
    return getattr(spark._jvm, name)


def configuration(spark: SparkSession) -> Any:
    """Hadoop's configuration of a session."""
    return spark._jsc.hadoopConfiguration()


def hadoop_path(spark: SparkSession, path: str) -> Any:
    """An address as Hadoop's `Path`."""
    return java_class(spark, "org.apache.hadoop.fs.Path")(path)


def file_system(spark: SparkSession, path: str) -> Any:
    """Hadoop's `FileSystem` behind an address."""
    return hadoop_path(spark, path).getFileSystem(configuration(spark))


@contextmanager
def parquet_footer(spark: SparkSession, path: Any) -> Iterator[Any]:
    """Java's reader of a Parquet file, which has read the footer and nothing else; `path` is Hadoop's."""
    file = java_class(spark, "org.apache.parquet.hadoop.util.HadoopInputFile").fromPath(path, configuration(spark))
    reader = java_class(spark, "org.apache.parquet.hadoop.ParquetFileReader").open(file)
    try:
        yield reader
    finally:
        reader.close()
