"""Removal of data files that no version of a table needs any more; few large files instead of many small ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from salesml_assets.lake.store import Lakehouse


def compact(lake: Lakehouse, name: str, column: str, oldest: dt.datetime) -> None:
    """Joins the small files of a table that others append to, and deletes its old rows.

    Args:
        lake: The tables.
        name: Name of the table.
        column: Its column of times.
        oldest: Rows from before are deleted; with a time zone.

    Raises:
        LakeError: There is no such table.
    """
    table = lake.open(name)
    table.delete(f"{column} < '{oldest.isoformat()}'")
    table.optimize.compact()


def remove_old_files(lake: Lakehouse, name: str, days: int) -> int:
    """Removes the data files that no version of the last days needs, and the leftovers of interrupted writes.

    A version that had been replaced before that can no longer be read. The log notes the removal.

    Args:
        lake: The tables.
        name: Name of the table.
        days: Age in days up to which a version can still be read; at most `config.HISTORY_DAYS`.

    Returns:
        The number of files removed.

    Raises:
        LakeError: There is no such table.
    """
    from pyarrow.fs import FileSelector

    table = lake.open(name)
    # Delta's own minimum age guards versions that are being read; ours is a setting with a minimum of its own.
    options: dict[str, Any] = {"retention_hours": 24 * days, "enforce_retention_duration": False, "full": True}
    present = lake.folder(name).get_file_info(FileSelector("", recursive=True))
    # The log names replaced files for long after they were removed.
    old = {info.path for info in present if info.is_file} & {unquote(path) for path in table.vacuum(**options)}
    if old:
        table.vacuum(**options, dry_run=False)
    if lake.on_disk:
        root = Path(lake.path(name))
        for file in (root / path for path in old):
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # Hadoop's, next to each file on disk
        folders = {folder for path in old for folder in Path(path).parents if folder.name}
        for folder in sorted(folders, reverse=True):  # inner ones first
            if not any((root / folder).iterdir()):
                (root / folder).rmdir()
    return len(old)
