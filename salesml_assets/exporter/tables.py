"""The monitoring tables of the lake. A version of a table does not change, so each version is read once."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from salesml_assets.exporter.families import Families
from salesml_assets.lake.store import Lakehouse

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.config.settings import Settings


class CachedTable:
    """A small table, cached until it has a new version.

    Args:
        lake: The lake.
        name: Name of the table.
        columns: Columns to read.
        filters: Conditions, as `Lakehouse.read_pandas` takes them.
    """

    def __init__(
        self,
        lake: Lakehouse,
        name: str,
        columns: Sequence[str],
        filters: Sequence[tuple[str, str, object]] | None = None,
    ) -> None:
        self.name = name
        self._lake, self._columns, self._filters = lake, columns, filters
        self._read: tuple[object, int] | None = None
        self._rows: pd.DataFrame | None = None

    def rows(self) -> pd.DataFrame | None:
        """The current rows; None if the table does not exist."""
        if not self._lake.exists(self.name):
            self._read, self._rows = None, None
            return None
        table = self._lake.open(self.name)
        # A table that was deleted and recreated restarts at version 0, but has another id.
        current = (table.metadata().id, table.version())
        if current != self._read:
            filters = None if self._filters is None else list(self._filters)
            self._rows = self._lake.read_pandas(self.name, self._columns, filters, table.version())
            self._read = current
        return self._rows

    def present_rows(self, families: Families) -> pd.DataFrame | None:
        """Like `rows`, but None for an empty table, too; adds the sample `salesml_table_present`."""
        rows = self.rows()
        families.add("salesml_table_present", float(rows is not None), asset=self.name)
        return None if rows is None or rows.empty else rows


def unix_seconds(value: dt.date) -> float:
    """Unix time of a timestamp, or of the beginning of a day; without a time zone, UTC is assumed.

    >>> unix_seconds(dt.date(1970, 1, 2))
    86400.0
    """
    moment = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def business_now(settings: Settings) -> float:
    """Unix time by which the data is judged: the beginning of `clock.today`, else the current time."""
    return time.time() if settings.clock.today is None else unix_seconds(settings.clock.today)
