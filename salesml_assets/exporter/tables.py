"""The monitoring tables of the lake. A version of a table cannot change, so each is read once."""

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
    """A small table that is read again only when it has a new version.

    Args:
        lake: The lake.
        name: Name of the table.
        columns: The columns wanted.
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
        """Its rows now; None where there is no such table."""
        if not self._lake.exists(self.name):
            self._read, self._rows = None, None
            return None
        table = self._lake.open(self.name)
        # A table that was deleted and written anew counts its versions from 0 again, but has another id.
        current = (table.metadata().id, table.version())
        if current != self._read:
            filters = None if self._filters is None else list(self._filters)
            self._rows = self._lake.read_pandas(self.name, self._columns, filters, table.version())
            self._read = current
        return self._rows

    def present_rows(self, families: Families) -> pd.DataFrame | None:
        """Like `rows`, and says whether the table is there; None where it is empty, too."""
        rows = self.rows()
        families.add("salesml_table_present", float(rows is not None), asset=self.name)
        return None if rows is None or rows.empty else rows


def unix_seconds(value: dt.date) -> float:
    """A moment, or the beginning of a day, in Unix time. What has no time zone is UTC.

    >>> unix_seconds(dt.date(1970, 1, 2))
    86400.0
    """
    moment = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def business_now(settings: Settings) -> float:
    """The present of the data in Unix time: the beginning of `clock.today`, else the real one."""
    return time.time() if settings.clock.today is None else unix_seconds(settings.clock.today)
