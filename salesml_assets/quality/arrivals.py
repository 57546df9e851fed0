"""Which months of the source are new or have changed, from its files alone: neither Spark nor Java is needed.

A sensor asks this every half minute, so only files that changed are read, and only small ones.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import glob
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.lake.s3 import boto_client, bucket_and_key, is_remote
from salesml_assets.lake.store import UNDATED, Lakehouse
from salesml_assets.quality.files import hidden, no_data
from salesml_assets.quality.fingerprints import row_hashes

if TYPE_CHECKING:
    import polars as pl

LARGEST_BYTES = 32 * 2**20  # a larger file takes longer than a sensor may; its months count as unknown
SETTLED_SECONDS = 10.0  # a file on disk that was written to since then may be half copied


@dataclass(frozen=True)
class SourceFile:
    """A file of the source as its folder lists it.

    Attributes:
        stamp: Changes whenever the content does.
        size: Bytes.
        modified: Seconds since 1970.
    """

    stamp: str
    size: int
    modified: float


class FileState(BaseModel):
    """What is known of a file that has been loaded.

    Attributes:
        stamp: Its stamp at that time.
        months: Rows and a sum over the rows' hashes for each month ('yyyy-MM'); None: not read, or not readable.
        tried: Whether it has been read, with or without success.
    """

    stamp: str
    months: dict[str, tuple[int, int]] | None = None
    tried: bool = False


@dataclass(frozen=True)
class Changes:
    """Months that differ from what was loaded.

    Attributes:
        new: Months not older than the last one known, with more rows than before.
        late: Older months with more rows than before.
        corrected: Months with other rows than before, and not more of them.
        unknown: Files changed of which the months cannot be told: everything may be different.
    """

    new: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    unknown: bool = False

    @property
    def months(self) -> list[str]:
        """All of them, in order."""
        return sorted({*self.new, *self.late, *self.corrected})


def list_source(settings: Settings) -> dict[str, SourceFile]:
    """The data files of `sales.path`, by address.

    Raises:
        ConfigurationError: There is nothing at `sales.path`.
    """
    path = settings.sales.path
    if settings.sales.format == "delta":
        found = _list_delta(settings)
    elif is_remote(path):
        found = _list_s3(settings)
    else:
        found = {str(file): _listed(file) for file in _local_files(path)}
    if not found:
        raise ConfigurationError(f"sales.path: there are no files at {path!r}")
    return found


def _local_files(path: str) -> Iterable[Path]:
    for root in map(Path, glob.glob(path)):
        if root.is_file():
            yield root
            continue
        for file in root.rglob("*"):
            parts = file.relative_to(root).parts
            if file.is_file() and not no_data(file.name) and not any(hidden(part) for part in parts):
                yield file


def _listed(file: Path) -> SourceFile:
    status = file.stat()
    return SourceFile(f"{status.st_size}-{status.st_mtime_ns}", status.st_size, status.st_mtime)


def _list_s3(settings: Settings) -> dict[str, SourceFile]:
    scheme = settings.sales.path.partition("://")[0]
    bucket, key = bucket_and_key(settings.sales.path)
    folder = key.rstrip("/")
    prefix = min((folder.split(mark)[0] for mark in "*?["), key=len)
    found = {}
    with closing(_client(settings)) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                name = entry["Key"]
                inside = name == folder or name.startswith(f"{folder}/")
                if prefix != folder:
                    inside = fnmatch.fnmatchcase(name, folder) or fnmatch.fnmatchcase(name, f"{folder}/*")
                parts = name.removeprefix(prefix).split("/")
                data = not no_data(parts[-1]) and not any(hidden(part) for part in parts)
                if inside and entry["Size"] and data:
                    stamp = f"{entry['Size']}-{entry['ETag']}"
                    found[f"{scheme}://{bucket}/{name}"] = SourceFile(
                        stamp, entry["Size"], entry["LastModified"].timestamp()
                    )
    return found


def _list_delta(settings: Settings) -> dict[str, SourceFile]:
    import pyarrow as pa

    root, _, name = settings.sales.path.rstrip("/").rpartition("/")
    actions = Lakehouse(root, settings.s3).open(name).get_add_actions(flatten=True)
    found = {}
    for action in pa.table(actions).to_pylist():
        modified = action["modification_time"]
        seconds = modified.timestamp() if isinstance(modified, dt.datetime) else modified / 1000
        # A data file of a Delta table never changes; its name is its stamp.
        found[f"{root}/{name}/{action['path']}"] = SourceFile(action["path"], action["size_bytes"], seconds)
    return found


def _client(settings: Settings) -> Any:
    # A sensor cannot wait for minutes for a store that is away.
    return boto_client(settings.s3, connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})


@contextmanager
def _store(settings: Settings) -> Iterator[Any]:
    """A client of the object store for all files of a scan; None on disk."""
    if not is_remote(settings.sales.path):
        yield None
        return
    with closing(_client(settings)) as client:
        yield client


def read_state(address: str, listed: SourceFile, settings: Settings, store: Any) -> FileState:
    """Reads what a file holds of which month; where that cannot be told, its months are None.

    That is so where the date is an expression or no column of the file, where the format's options are not those of
    plain files, and beyond `LARGEST_BYTES`.

    Args:
        address: The file.
        listed: How its folder lists it.
        settings: The settings.
        store: A client of the object store that holds it; None on disk.
    """
    import polars as pl

    known = FileState(stamp=listed.stamp, tried=True)
    if listed.size > LARGEST_BYTES or set(settings.sales.options) - {"header", "sep", "delimiter", "inferSchema"}:
        return known
    try:
        rows = _read(address, settings, store)
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return known  # the run that loads it quarantines what cannot be read, or says what is wrong
    month = _month(rows, address, settings.sales.columns.date, settings.sales.timezone)
    if month is None:
        return known
    # Half of each hash: the sum of so many rows still fits, and does not depend on their order.
    per_month = (
        pl.DataFrame({"month": month, "content": row_hashes(rows, seed=7)})
        .group_by("month")
        .agg(pl.len().alias("rows"), (pl.col("content") // 2**32).sum())
    )
    months = {name: (count, total) for name, count, total in per_month.sort("month").iter_rows()}
    return known.model_copy(update={"months": months})


def _read(address: str, settings: Settings, store: Any) -> pl.DataFrame:
    import polars as pl

    source = io.BytesIO(_content(address, store))
    sales = settings.sales
    if sales.format == "json":
        return pl.read_ndjson(source, infer_schema_length=None)
    if sales.format == "csv":
        separator = sales.options.get("sep", sales.options.get("delimiter", ","))
        header = sales.options.get("header", "true").lower() == "true"
        return pl.read_csv(source, separator=separator, has_header=header, infer_schema=False)
    return pl.read_parquet(source)


def _content(address: str, store: Any) -> bytes:
    if store is None:
        return Path(address).read_bytes()
    bucket, key = bucket_and_key(address)
    content: bytes = store.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def _month(rows: pl.DataFrame, address: str, date: str, zone: str | None = None) -> pl.Series | None:
    """The month of each row; None where the date is no column of the file nor of its folders' names.

    Instants are taken in the shop's zone; text with offsets is not, so its months count as unknown where a zone is set.
    """
    import polars as pl

    column = next((name for name in rows.columns if name.lower() == date.strip("`").lower()), None)
    if column is None:
        folders = dict(part.split("=", 1) for part in address.split("/") if "=" in part)
        value = next((value for name, value in folders.items() if name.lower() == date.lower()), None)
        return None if value is None else pl.repeat(_month_of_text(value), rows.height, eager=True)
    kind = rows[column].dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone and zone:
        text = rows[column].dt.convert_time_zone(zone).dt.strftime("%Y-%m")
    elif kind == pl.Date or isinstance(kind, pl.Datetime):
        text = rows[column].dt.strftime("%Y-%m")
    elif kind == pl.String:
        if zone and rows[column].str.contains(r"\d{1,2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)\s*$").any():
            return None
        text = rows[column].str.strip_chars().str.extract(r"^(\d{4}-\d{2})-\d{2}")
    else:
        return None
    return text.fill_null(UNDATED)


def _month_of_text(value: str) -> str:
    try:
        return f"{dt.date.fromisoformat(value):%Y-%m}"
    except ValueError:
        return UNDATED


def month_changes(before: Mapping[str, FileState], after: Mapping[str, FileState], last_known: str | None) -> Changes:
    """Compares files as they were loaded with the same files as they are now.

    Args:
        before: States of the files that changed or are gone, as they were.
        after: States of the files that changed or are new, as they are.
        last_known: The last month of everything that has been loaded.
    """
    old, new = _totals(before.values()), _totals(after.values())
    if old is None or new is None:
        return Changes(unknown=True)
    kinds: dict[str, list[str]] = {"new": [], "late": [], "corrected": []}
    for month in sorted(old.keys() | new.keys()):
        (rows, content), (rows_before, content_before) = new.get(month, (0, 0)), old.get(month, (0, 0))
        if (rows, content) == (rows_before, content_before):
            continue
        if rows <= rows_before:
            kinds["corrected"].append(month)
        else:
            kinds["new" if last_known is None or month >= last_known else "late"].append(month)
    return Changes(tuple(kinds["new"]), tuple(kinds["late"]), tuple(kinds["corrected"]))


def _totals(states: Iterable[FileState]) -> dict[str, tuple[int, int]] | None:
    totals: dict[str, tuple[int, int]] = {}
    for state in states:
        if state.months is None:
            return None
        for month, (rows, content) in state.months.items():
            sum_rows, sum_content = totals.get(month, (0, 0))
            totals[month] = (sum_rows + rows, sum_content + content)
    return totals


def last_month(states: Iterable[FileState]) -> str | None:
    """The last month that any of the files holds."""
    months = {month for state in states for month in state.months or {} if month != UNDATED}
    return max(months, default=None)


@dataclass(frozen=True)
class SourceScan:
    """Result of one scan of the source.

    Attributes:
        files: What has been loaded once the changes are.
        changes: The months that changed.
        waiting: Files that changed and have been read, while others still have to be; there are no changes till then.
    """

    files: dict[str, FileState]
    changes: Changes
    waiting: dict[str, FileState]


def scan_source(
    known: Mapping[str, FileState],
    listed: Mapping[str, SourceFile],
    settings: Settings,
    seconds: float,
    waiting: Mapping[str, FileState],
    now: Callable[[], float] = time.time,
) -> SourceScan:
    """Scans the source: the months that changed, once all files that changed have been read.

    Files are read for about so many seconds, and at least one of those that changed; the others wait for the next
    scan. A file on disk that may still be written is skipped.

    Args:
        known: What has been loaded.
        listed: The files as they are.
        settings: The settings.
        seconds: Time to read files in.
        waiting: What the previous scan has read.
        now: The clock.
    """
    deadline = time.monotonic() + seconds
    gone = {address: known[address] for address in sorted(known.keys() - listed.keys())}
    changed = [
        address
        for address, file in sorted(listed.items())
        if (address not in known or known[address].stamp != file.stamp)
        and (is_remote(address) or now() - file.modified >= SETTLED_SECONDS)
    ]
    read = {a: waiting[a] for a in changed if a in waiting and waiting[a].stamp == listed[a].stamp}
    with _store(settings) as store:
        for number, address in enumerate(address for address in changed if address not in read):
            if number and time.monotonic() > deadline:
                return SourceScan(dict(known), Changes(), read)
            read[address] = read_state(address, listed[address], settings, store)
        files = {address: state for address, state in known.items() if address not in gone} | read
        if not gone and not read:
            for address, state in known.items():
                if not state.tried and time.monotonic() < deadline:
                    files[address] = read_state(address, listed[address], settings, store)
            return SourceScan(files, Changes(), {})
    before = gone | {address: known[address] for address in read if address in known}
    return SourceScan(files, month_changes(before, read, last_month(known.values())), {})
