"""Which files make up a source, and which of them have the same columns.

Months of sales are often written by programs that changed: a column more, a number that became a decimal.
The files are grouped by what their heads say, so that each group is read with its own columns.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from salesml_assets.spark.hadoop import configuration, file_system, hadoop_path, java_class, parquet_footer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

READERS = 8
# What Windows, Excel, browsers and people leave in a folder of data.
_NO_DATA = re.compile(
    r"~\$.*|desktop\.ini|(eh)?thumbs\.db|(readme|leia-?me|liesmich|license)(\..*)?|.*~"
    r"|.*\.(tmp|temp|part|partial|crdownload|download|filepart|swp|bak|lock|lck|ini|lnk|url|md|rtf|docx?|pdf|crc|sha\d*|md5)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SourceFiles:
    """The data files behind a path.

    Attributes:
        paths: Addresses of the files, sorted; empty and hidden ones left out.
        nested: Whether some lie in subfolders that are no `name=value` partitions.
        root: The folder that holds them all; None for single files and for several folders.
        left_out: Addresses of files that are no data by their names.
    """

    paths: list[str]
    nested: bool
    root: str | None
    left_out: list[str]


def is_delta_table(spark: SparkSession, path: str) -> bool:
    """Whether a Delta log lies in the folder."""
    return bool(file_system(spark, path).exists(hadoop_path(spark, f"{path.rstrip('/')}/_delta_log")))


def list_files(spark: SparkSession, path: str) -> SourceFiles:
    """Lists the data files behind a file, a folder or a pattern with `*`.

    Raises:
        FileNotFoundError: There is nothing at the path.
    """
    system = file_system(spark, path)
    found = system.globStatus(hadoop_path(spark, path))
    if not found:
        raise FileNotFoundError(path)
    paths, left_out, nested, roots = [], [], False, []
    for status in found:
        root = status.getPath().toString()
        if not status.isDirectory():
            paths += [root] if status.getLen() > 0 else []
            continue
        roots.append(root)
        below = system.listFiles(status.getPath(), True)
        while below.hasNext():
            file = below.next()
            address = file.getPath().toString()
            parts = address.removeprefix(root).strip("/").split("/")
            if file.getLen() == 0 or any(hidden(part) for part in parts):
                continue
            if no_data(parts[-1]):
                left_out.append(address)
                continue
            paths.append(address)
            nested |= any("=" not in part for part in parts[:-1])
    return SourceFiles(sorted(paths), nested, roots[0] if len(found) == len(roots) == 1 else None, sorted(left_out))


def file_stamps(spark: SparkSession, path: str) -> list[str]:
    """Address, size and time of change of all files behind a path: another list is another source."""
    system, found = file_system(spark, path), []
    for status in system.globStatus(hadoop_path(spark, path)) or []:
        below = system.listFiles(status.getPath(), True)
        while below.hasNext():
            file = below.next()
            found.append(f"{file.getPath().toString()} {file.getLen()} {file.getModificationTime()}")
    return sorted(found)


def group_by_head(paths: list[str], head: Callable[[str], str]) -> dict[str, list[str]]:
    """Groups files by what `head` reads of each, in the order of first sight."""
    with ThreadPoolExecutor(min(READERS, max(1, len(paths)))) as pool:
        heads = list(pool.map(head, paths))
    groups: dict[str, list[str]] = {}
    for path, found in zip(paths, heads, strict=True):
        groups.setdefault(found, []).append(path)
    return groups


def parquet_schema(spark: SparkSession, path: str) -> str:
    """The columns of a Parquet file as its footer states them, one per line, without nullability."""
    with parquet_footer(spark, hadoop_path(spark, path)) as footer:
        lines = footer.getFileMetaData().getSchema().toString().splitlines()[1:]
    return "\n".join(lines).replace("  required ", "  optional ")


def first_line(spark: SparkSession, path: str, encoding: str) -> str:
    """The first line of a text file, compressed or not, without a byte order mark."""
    where = hadoop_path(spark, path)
    stream = file_system(spark, path).open(where)
    try:
        codecs = java_class(spark, "org.apache.hadoop.io.compress.CompressionCodecFactory")(configuration(spark))
        codec = codecs.getCodec(where)
        text = stream if codec is None else codec.createInputStream(stream)
        reader = java_class(spark, "java.io.InputStreamReader")(text, encoding)
        line = java_class(spark, "java.io.BufferedReader")(reader).readLine()
    finally:
        stream.close()
    return (line or "").removeprefix("\ufeff")


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of a source, as Spark has it."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def no_data(name: str) -> bool:
    """Whether a file of this name in a folder of data is none: a lock of Excel's, a note, half a download.

    >>> no_data("~$sales.csv"), no_data("readme.txt"), no_data("sales.csv")
    (True, True, False)
    """
    return _NO_DATA.fullmatch(name) is not None


def short(path: str) -> str:
    """A file's address as messages show it: its name, and the folder that it lies in.

    >>> short("file:/data/inbox/sales-05.csv")
    'inbox/sales-05.csv'
    """
    return "/".join(path.rstrip("/").split("/")[-2:])
