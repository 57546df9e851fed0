"""Reads a table as delivered: Parquet, CSV, JSON lines or Delta, from disk or from an object store."""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.quality.files import (
    SourceFiles,
    first_line,
    group_by_head,
    is_delta_table,
    list_files,
    parquet_schema,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession

CORRUPT = "_corrupt_record"
# RFC 4180: quotes are doubled, not escaped by a backslash, and quoted text may hold line breaks.
CSV_OPTIONS = {"header": "true", "multiLine": "true", "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
# A column of Parquet's nanoseconds, which Spark reads only as numbers: "  optional int64 day (TIMESTAMP(NANOS,false));"
NANOSECONDS = re.compile(r"^  optional int64 (.+) \(TIMESTAMP\(NANOS,(true|false)\)\)(?: = \d+)?;$", re.MULTILINE)


def first_sentence(error: Exception) -> str:
    """What went wrong in one line, without Spark's error class, plan and stack."""
    text = str(error.java_exception.toString()) if isinstance(error, Py4JJavaError) else str(error)
    line = text.strip().split("\n")[0]
    # Some messages are but the thing that is wrong ("latin-1"); their class says what is wrong with it.
    classes = re.match(r"^(?:[\w.$]+(?:Exception|Error): )+", line)
    if classes and " " in line[classes.end() :]:
        line = line[classes.end() :]
    line = re.sub(r"^\[[A-Z0-9_.]+\] ", "", line)
    return re.sub(r" ?SQLSTATE: \w+.*$", "", line).rstrip(". ")


def read_table(spark: SparkSession, path: str, kind: str, options: dict[str, str], section: str) -> DataFrame:
    """Opens a table as delivered.

    CSV stays text and JSON gets the types that its values show; lines that cannot be read keep their text in
    `_corrupt_record`. The files of a folder may differ in their columns: what a file lacks is null, and a
    column whose types differ gets the type that holds them all.

    Args:
        spark: The session.
        path: File, folder, pattern with `*`, or `s3a://` address.
        kind: `parquet`, `csv`, `json` or `delta`.
        options: Further options of Spark's reader.
        section: Section of the settings in which `path` and `format` stand, for the messages.

    Raises:
        ConfigurationError: Nothing is there, it cannot be reached, or it is of another format.
    """
    try:
        if kind == "delta":
            frame = _read_delta(spark, path, options, section)
        else:
            frame = _read_files(spark, path, kind, options, section)
    except FileNotFoundError:
        raise ConfigurationError(f"{section}.path: there is nothing at {path!r}") from None
    except (PySparkException, Py4JJavaError) as error:
        raise ConfigurationError(
            f"{section}.path: {path!r} cannot be read as {kind}: {first_sentence(error)}"
        ) from None
    untyped = [field.name for field in frame.schema if isinstance(field.dataType, T.NullType)]
    return frame.withColumns({name: F.col(f"`{name}`").cast("string") for name in untyped}) if untyped else frame


def _read_delta(spark: SparkSession, path: str, options: dict[str, str], section: str) -> DataFrame:
    if not is_delta_table(spark, path):
        list_files(spark, path)
        raise ConfigurationError(f"{section}.format: {path!r} is no Delta table")
    return spark.read.options(**options).format("delta").load(path)


def _read_files(spark: SparkSession, path: str, kind: str, options: dict[str, str], section: str) -> DataFrame:
    if is_delta_table(spark, path):
        # Read as plain Parquet, rows that were deleted or replaced would come back.
        raise ConfigurationError(f"{section}.format: {path!r} is a Delta table, not {kind}")
    files = list_files(spark, path)
    if not files.paths:
        raise ConfigurationError(f"{section}.path: there is no data at {path!r}")
    read = {"parquet": _read_parquet, "csv": _read_csv, "json": _read_json}[kind]
    return read(spark, path, files, options, section)


def _reader(spark: SparkSession, path: str, files: SourceFiles, options: dict[str, str]) -> DataFrameReader:
    reader = spark.read.options(**({"recursiveFileLookup": "true"} if files.nested else {}))
    # Files named one by one keep the partition columns of their folders (`year=2024`).
    return reader.options(**({"basePath": files.root} if files.root and not files.nested else {})).options(**options)


def _read_parquet(
    spark: SparkSession, path: str, files: SourceFiles, options: dict[str, str], section: str
) -> DataFrame:
    try:
        groups = group_by_head(files.paths, lambda file: parquet_schema(spark, file))
    except Py4JJavaError as error:
        message = first_sentence(error)
        if "is not a Parquet file" in message:
            raise ConfigurationError(f"{section}.format: {message.split('. ')[0]}") from None
        raise
    reader = _reader(spark, path, files, options)
    frames = []
    for schema, paths in groups.items():
        nanoseconds = NANOSECONDS.findall(schema)
        if nanoseconds:
            spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
        frame = reader.parquet(path) if len(groups) == 1 else reader.parquet(*paths)
        frames.append(frame.withColumns({name: _from_nanoseconds(name, utc == "true") for name, utc in nanoseconds}))
    return _union(frames)


def _from_nanoseconds(name: str, instant: bool) -> Column:
    moment = F.timestamp_micros(F.expr(f"`{name}` div 1000"))
    return moment if instant else moment.cast("timestamp_ntz")


def _read_csv(spark: SparkSession, path: str, files: SourceFiles, options: dict[str, str], section: str) -> DataFrame:
    options = CSV_OPTIONS | options
    encoding = options.get("encoding") or options.get("charset") or "UTF-8"
    groups = group_by_head(files.paths, lambda file: first_line(spark, file, encoding))
    for head, paths in groups.items():
        if head.startswith("PAR1") or "\x00" in head:
            raise ConfigurationError(f"{section}.format: {paths[0]!r} is not CSV")
    if options["header"].lower() != "true":
        groups = {"": files.paths}
    frames = []
    for paths in groups.values():
        schema = _reader(spark, path, files, options).csv(paths[0]).schema
        # A reader keeps the schema that it was once given: each file group takes one of its own.
        readable = _reader(spark, path, files, options).schema(schema.add(CORRUPT, T.StringType()))
        frames.append(readable.csv(path if len(groups) == 1 else paths))
    return _union(frames)


def _read_json(spark: SparkSession, path: str, files: SourceFiles, options: dict[str, str], section: str) -> DataFrame:
    options = {"columnNameOfCorruptRecord": CORRUPT} | options
    frame = _reader(spark, path, files, options).json(path)
    if frame.columns == [CORRUPT]:
        raise ConfigurationError(
            f"{section}.format: no line of {path!r} is JSON; a file that holds one JSON array needs "
            f"{section}.options: {{multiLine: 'true'}}"
        )
    return frame


def _union(frames: list[DataFrame]) -> DataFrame:
    """Rows of all frames by column name; a column's types are widened to one that holds them all."""
    if len(frames) == 1:
        return frames[0]
    types: dict[str, list[T.DataType]] = {}
    for frame in frames:
        for field in frame.schema:
            types.setdefault(field.name.lower(), []).append(field.dataType)
    common = {name: _common_type(found) for name, found in types.items()}
    cast = [
        frame.select(*[F.col(f"`{name}`").cast(common[name.lower()]).alias(name) for name in frame.columns])
        for frame in frames
    ]
    return reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), cast)


def _common_type(types: list[T.DataType]) -> T.DataType:
    if all(kind == types[0] for kind in types):
        return types[0]
    if all(isinstance(kind, T.IntegralType) for kind in types):
        return T.LongType()
    if all(isinstance(kind, T.NumericType) for kind in types):
        return T.DoubleType()
    if all(isinstance(kind, T.DateType | T.TimestampType | T.TimestampNTZType) for kind in types):
        return T.TimestampNTZType()
    return T.StringType()
