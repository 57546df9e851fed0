"""Reads a table as delivered: Parquet, CSV, JSON lines or Delta, from disk or from an object store."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import ConfigurationError, S3Settings
from salesml_assets.quality.encoding import (
    REPLACEMENT,
    SAMPLE_BYTES,
    EncodingProblem,
    arrow_path,
    encoding_problem,
    java_encoding,
    read_bytes,
)
from salesml_assets.quality.files import (
    SourceFiles,
    first_line,
    group_by_head,
    is_delta_table,
    list_files,
    parquet_schema,
    short,
)
from salesml_assets.quality.names import HEADER, ZONE, header, quoted, readable_names

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession

CORRUPT = "_corrupt_record"
# RFC 4180: quotes are doubled, not escaped by a backslash, and quoted text may hold line breaks.
CSV_OPTIONS = {"header": "true", "multiLine": "true", "escape": '"', "columnNameOfCorruptRecord": CORRUPT}
# A column of Parquet's nanoseconds, which Spark reads only as numbers: "  optional int64 day (TIMESTAMP(NANOS,false));"
NANOSECONDS = re.compile(r"^  optional int64 (.+) \(TIMESTAMP\(NANOS,(true|false)\)\)(?: = \d+)?;$", re.MULTILINE)
_TOP_LEVEL = re.compile(
    r"^  (?:optional|repeated) (?:group )?(?:[a-z0-9_()]+ )?(.+?)(?: \(.*\))?(?: = \d+)?(?:;| \{)$", re.MULTILINE
)
_AS_TEXT = (T.NullType, T.TimeType, T.DayTimeIntervalType, T.YearMonthIntervalType, T.CalendarIntervalType)
_CASE = "spark.sql.caseSensitive"
_UTC = {"UTC", "Etc/UTC", "GMT", "+00:00", "Z"}
_ZONE = re.compile(r"[A-Z][A-Za-z_]+(/[A-Za-z_+\-0-9]+)+|[+-]\d\d:\d\d")
_SIGNATURES = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "an Excel workbook or a ZIP archive: save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save its sheet as CSV",
}


def codecs_known(encoding: str) -> bool:
    """Whether Python knows an encoding by its Java name."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


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


@dataclass(frozen=True)
class Source:
    """Address of a table of the user's, and what is known of it.

    Attributes:
        path: File, folder, pattern with `*`, or `s3a://` address.
        kind: `parquet`, `csv`, `json` or `delta`.
        options: Further options of Spark's reader.
        section: Section of the settings in which `path` and `format` stand, for the messages.
        s3: The object store behind s3a:// addresses.
        entries: What is looked for in each file: key of the settings to column or SQL expression.
    """

    path: str
    kind: str
    options: dict[str, str]
    section: str
    s3: S3Settings | None = None
    entries: dict[str, str] = field(default_factory=dict)

    def wrong(self, key: str, message: str) -> ConfigurationError:
        """An error that names a key of this section."""
        return ConfigurationError(f"{self.section}.{key}: {message}")


def read_table(spark: SparkSession, source: Source) -> DataFrame:
    """Opens a table as delivered.

    CSV and the names of folders (`store=001`) stay text, and JSON gets the types that its values show; lines that
    cannot be read keep their text in `_corrupt_record`. The files of a folder may differ in their columns: what a file
    lacks is null, and a column whose types differ gets the type that holds them all. Times of day and the like become
    text. Instants keep the time zone that a Parquet file names in their field's metadata.

    Raises:
        ConfigurationError: Nothing is there, it cannot be reached, it is of another format or in another encoding, or
            a file has none of the columns that are looked for; the message names the file.
    """
    path, kind = source.path, source.kind
    try:
        frame = _read_delta(spark, source) if kind == "delta" else _read_files(spark, source)
    except FileNotFoundError:
        raise source.wrong("path", f"there is nothing at {path!r}") from None
    except (PySparkException, Py4JJavaError, OSError) as error:
        raise source.wrong("path", f"{path!r} cannot be read as {kind}: {first_sentence(error)}") from None
    untyped = [one.name for one in frame.schema if isinstance(one.dataType, _AS_TEXT)]
    return frame.withColumns({name: F.col(quoted(name)).cast("string") for name in untyped}) if untyped else frame


def _read_delta(spark: SparkSession, source: Source) -> DataFrame:
    if not is_delta_table(spark, source.path):
        list_files(spark, source.path)
        raise source.wrong("format", f"{source.path!r} is no Delta table")
    return spark.read.options(**source.options).format("delta").load(source.path)


def _read_files(spark: SparkSession, source: Source) -> DataFrame:
    path = source.path
    if is_delta_table(spark, path):
        # Read as plain Parquet, rows that were deleted or replaced would come back.
        raise source.wrong("format", f"{path!r} is a Delta table, not {source.kind}")
    files = list_files(spark, path)
    if not files.paths:
        raise source.wrong("path", f"there is no data at {path!r}")
    read = {"parquet": _read_parquet, "csv": _read_csv, "json": _read_json}[source.kind]
    return _with_folder_names(read(spark, source, files), files)


def _with_folder_names(frame: DataFrame, files: SourceFiles) -> DataFrame:
    """The frame with the values of its folders' names as they were meant.

    Arrow, and so pandas, writes `shop=P%C3%A3o` for Pão, the bytes of UTF-8; Spark takes each byte for a character.
    """
    meant: dict[str, dict[str, str]] = {}
    for path in files.paths if files.root and not files.nested else []:
        for part in path.removeprefix(files.root or "").split("/")[:-1]:
            name, _, value = part.partition("=")
            read = re.sub("%([0-9A-Fa-f]{2})", lambda byte: chr(int(byte[1], 16)), value)
            if (proper := unquote(value)) != read and REPLACEMENT not in proper:
                meant.setdefault(name, {})[read] = proper
    columns = {}
    for name, values in meant.items():
        table = F.create_map(*[F.lit(text) for pair in sorted(values.items()) for text in pair])
        columns[name] = F.coalesce(table[F.col(quoted(name))], F.col(quoted(name)))
    return frame.withColumns(columns) if columns else frame


def _reader(spark: SparkSession, files: SourceFiles, options: dict[str, str]) -> DataFrameReader:
    reader = spark.read.options(**({"recursiveFileLookup": "true"} if files.nested else {}))
    # Files named one by one keep the partition columns of their folders (`year=2024`).
    return reader.options(**({"basePath": files.root} if files.root and not files.nested else {})).options(**options)


def _addresses(source: Source, files: SourceFiles, groups: Collection[Any], paths: list[str]) -> list[str]:
    """What Spark is asked to read: the path itself, or some of its files."""
    return [source.path] if len(groups) == 1 and not files.left_out else paths


def _read_parquet(spark: SparkSession, source: Source, files: SourceFiles) -> DataFrame:
    try:
        groups = group_by_head(files.paths, lambda file: parquet_schema(spark, file))
    except Py4JJavaError as error:
        message = first_sentence(error)
        if "is not a Parquet file" in message:
            raise source.wrong("format", message.split(". ")[0]) from None
        raise
    found, zones = [], []
    for schema, paths in groups.items():
        nanoseconds = NANOSECONDS.findall(schema)
        names = _TOP_LEVEL.findall(schema)
        twins = len({name.casefold() for name in names}) < len(names)
        with _exact_names(spark, twins) as session:
            if nanoseconds:
                session.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
            reader = _reader(session, files, source.options)
            frame = reader.parquet(*_addresses(source, files, groups, paths))
            frame = frame.withColumns({name: _from_nanoseconds(name, utc == "true") for name, utc in nanoseconds})
            found.append((_readable(frame), paths))
        zones.append(_zones(paths[0], source))
    frame = _union(_fitting(found, source))
    return _with_zones(frame, zones)


@contextmanager
def _exact_names(spark: SparkSession, needed: bool) -> Iterator[SparkSession]:
    """A session that tells names apart that differ in case alone, where there are such names."""
    if not needed:
        yield spark
        return
    # Files are read by the rules of the session that opened them; names are resolved by those of the active one.
    session = spark.newSession()
    session.conf.set(_CASE, "true")
    spark.conf.set(_CASE, "true")
    try:
        yield session
    finally:
        spark.conf.set(_CASE, "false")


def _readable(frame: DataFrame, headers: Sequence[str] | None = None) -> DataFrame:
    """The frame under names that differ in more than case; renamed columns keep the file's name in their metadata."""
    given = list(headers or frame.columns)
    if (made := readable_names(given)) == frame.columns:
        return frame
    columns = [
        F.col(quoted(old)).alias(new, metadata={HEADER: name} if name and name != new else {})
        for old, name, new in zip(frame.columns, given, made, strict=True)
    ]
    return frame.select(*columns)


def _from_nanoseconds(name: str, instant: bool) -> Column:
    moment = F.timestamp_micros(F.expr(f"{quoted(name)} div 1000"))
    return moment if instant else moment.cast("timestamp_ntz")


def _zones(path: str, source: Source) -> dict[str, str]:
    """The time zone of each column of instants, as the program that wrote the file noted it; UTC says nothing."""
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    where = arrow_path(path, source.s3)
    if where is None:
        return {}
    files, name = where
    try:
        with files.open_input_file(name) as stream:
            schema = pq.read_schema(stream)
    except (ArrowException, OSError):
        return {}  # Spark has read the footer: what Arrow cannot read has no zone to tell
    zones = {one.name: str(getattr(one.type, "tz", None) or "UTC") for one in schema}
    return {name: zone for name, zone in zones.items() if zone not in _UTC and _ZONE.fullmatch(zone)}


def _with_zones(frame: DataFrame, zones: list[dict[str, str]]) -> DataFrame:
    columns = []
    for one in frame.schema:
        found = {zone.get(header(one)) for zone in zones}
        column = F.col(quoted(one.name))
        if isinstance(one.dataType, T.TimestampType) and len(found) == 1 and (zone := found.pop()):
            column = column.alias(one.name, metadata=dict(one.metadata or {}) | {ZONE: zone})
        columns.append(column)
    return frame.select(*columns)


def _read_csv(spark: SparkSession, source: Source, files: SourceFiles) -> DataFrame:
    options = CSV_OPTIONS | source.options
    encoding = java_encoding(options.get("encoding") or options.get("charset") or "UTF-8")
    options = {name: value for name, value in options.items() if name != "charset"} | {"encoding": encoding}
    limit = max(SAMPLE_BYTES // 16, min(SAMPLE_BYTES, 64 * SAMPLE_BYTES // len(files.paths)))
    groups = group_by_head(files.paths, lambda file: _csv_head(spark, source, file, encoding, limit))
    heads = list(groups)
    if options["header"].lower() != "true":
        groups = {"": files.paths}
    found = []
    for head, paths in groups.items():
        schema = _reader(spark, files, options).csv(paths[0]).schema
        if len(schema) - _partitions(paths[0], files) == 1 and (seen := _other_separator(head or heads[0], options)):
            raise source.wrong("options.sep", f"the columns of {short(paths[0])!r} are separated by {seen!r}, not by "
                f"{_separator(options)!r}; set {source.section}.options: {{sep: {json.dumps(seen)}}}")  # fmt: skip
        # Columns are found by their place: of names that are equal up to case Spark would make others.
        size = len(schema) - _partitions(paths[0], files)
        placed = [*(f"_p{place}" for place in range(size)), *schema.names[size:]]
        typed = T.StructType([T.StructField(name, T.StringType()) for name in [*placed, CORRUPT]])
        # A reader keeps the schema that it was once given: each file group takes one of its own.
        readable = _reader(spark, files, options).schema(typed)
        frame = readable.csv(_addresses(source, files, groups, paths))
        names = _csv_names(head, options, schema.names, size)
        found.append((_readable(frame, [*names, CORRUPT]), paths))
    return _union(_fitting(found, source))


def _csv_head(spark: SparkSession, source: Source, file: str, encoding: str, limit: int) -> str:
    """The first line of a CSV file.

    Raises:
        ConfigurationError: It is no CSV file, or in another encoding.
    """
    sample = read_bytes(file, source.s3, limit)
    if sample is None:
        head = first_line(spark, file, encoding)
        if head.startswith("PAR1") or "\x00" in head:
            raise source.wrong("format", f"{file!r} is not CSV")
        return head
    content, complete = sample
    for signature, what in _SIGNATURES.items():
        if content.startswith(signature):
            raise source.wrong("format", f"{file!r} is not CSV but {what}")
    problem = encoding_problem(content, encoding, complete)
    if problem:
        raise encoding_error(source, file, problem, encoding)
    if not codecs_known(encoding):
        return first_line(spark, file, encoding)
    text = content.decode(encoding, "replace").removeprefix("\ufeff")
    if "\x00" in text:
        raise source.wrong("format", f"{file!r} is not CSV")
    head = re.split(r"\r\n|\r|\n", text, maxsplit=1)[0]
    if re.fullmatch(r"sep=.", head):
        raise source.wrong(
            "path",
            f"{short(file)!r} begins with Excel's line {head!r}: remove it, and set {source.section}.options.sep",
        )
    return head


def encoding_error(source: Source, file: str, problem: EncodingProblem, encoding: str) -> ConfigurationError:
    """The error about a file in another encoding."""
    key = "options.encoding"
    return source.wrong(
        key,
        f"line {problem.line} of {short(file)!r} is not {encoding}: {problem.text!r} if the file is {problem.guess}; "
        f"set {source.section}.{key}: {problem.guess}",
    )


def _separator(options: dict[str, str]) -> str:
    return options.get("sep") or options.get("delimiter") or ","


def _other_separator(head: str, options: dict[str, str]) -> str | None:
    """The sign that separates the names of a head which has one column otherwise."""
    counts = {sign: head.count(sign) for sign in ";\t,|" if sign != _separator(options)}
    likeliest = max(counts, key=lambda sign: counts[sign])
    return likeliest if counts[likeliest] else None


def _partitions(path: str, files: SourceFiles) -> int:
    """Columns that the names of a file's folders give."""
    if files.nested or not files.root:
        return 0
    return sum("=" in part for part in path.removeprefix(files.root).split("/")[:-1])


def _csv_names(head: str, options: dict[str, str], spark_names: list[str], size: int) -> list[str]:
    """The names of the columns as the head has them; those of Spark where it reads the head otherwise."""
    if options["header"].lower() != "true" or len(_separator(options)) != 1:
        return spark_names
    quote = options.get("quote", '"') or '"'
    row = next(csv.reader([head], delimiter=_separator(options), quotechar=quote), [])
    return [*row, *spark_names[size:]] if len(row) == size else spark_names


def _read_json(spark: SparkSession, source: Source, files: SourceFiles) -> DataFrame:
    options = {"columnNameOfCorruptRecord": CORRUPT} | source.options
    addresses = files.paths if files.left_out else [source.path]
    try:
        frame = _reader(spark, files, options).json(addresses)
    except AnalysisException as error:
        if error.getCondition() != "COLUMN_ALREADY_EXISTS":
            raise
        with _exact_names(spark, True) as session:
            frame = _readable(_reader(session, files, options).json(addresses))
    if frame.columns == [CORRUPT]:
        raise source.wrong(
            "format",
            f"no line of {source.path!r} is JSON; a file that holds one JSON array needs "
            f"{source.section}.options: {{multiLine: 'true'}}",
        )
    return frame


def mentions(entry: str, columns: Iterable[str]) -> bool:
    """Whether a column's name or an SQL expression speaks of any of these columns.

    >>> mentions("upper(trim(Code))", ["day", "code"]), mentions("code", ["codes"])
    (True, False)
    """
    text = entry.strip().casefold()
    for column in columns:
        name = column.strip().casefold()
        if name == text or f"`{column.casefold()}`" in text:
            return True
        if re.fullmatch(r"\w+", name) and re.search(rf"(?<![\w.`']){re.escape(name)}(?![\w(`'])", text):
            return True
    return False


def _fitting(found: list[tuple[DataFrame, list[str]]], source: Source) -> list[DataFrame]:
    """The frames of all groups of files.

    Raises:
        ConfigurationError: A group lacks a column that others have and that is looked for.
    """
    frames = [frame for frame, _ in found]
    if len(found) == 1:
        return frames
    columns = [[header(one) for one in frame.schema if one.name != CORRUPT] for frame in frames]
    known = {key: entry for key, entry in source.entries.items() if any(mentions(entry, names) for names in columns)}
    for (_, paths), names in zip(found, columns, strict=True):
        lacking = [key for key, entry in known.items() if not mentions(entry, names)]
        if not lacking:
            continue
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        what = (
            "none of the mapped columns"
            if len(lacking) == len(known)
            else "no column for " + ", ".join(f"{key} ({known[key]!r})" for key in lacking)
        )
        raise source.wrong(
            "path",
            f"{short(paths[0])!r}{others} has {what}, which other files have; move it elsewhere or rename its columns. "
            f"Its columns: {', '.join(names)[:300]}",
        )
    return frames


def _union(frames: list[DataFrame]) -> DataFrame:
    """Rows of all frames by column name; a column's types are widened to one that holds them all."""
    if len(frames) == 1:
        return frames[0]
    types: dict[str, list[T.DataType]] = {}
    for frame in frames:
        for one in frame.schema:
            types.setdefault(one.name.lower(), []).append(one.dataType)
    common = {name: _common_type(found) for name, found in types.items()}
    cast = [
        frame.select(
            *[
                F.col(quoted(one.name))
                .cast(common[one.name.lower()])
                .alias(one.name, metadata=dict(one.metadata or {}))
                for one in frame.schema
            ]
        )
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
