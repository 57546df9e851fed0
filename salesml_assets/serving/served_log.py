"""The log of served predictions during an A/B test: rows are appended to a table of the lake in the background."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from salesml_assets.forecasting.arms import SERVED_SCHEMA
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import SERVED_PREDICTIONS
from salesml_assets.serving.routing import Served
from salesml_assets.text import masked

LOG = logging.getLogger("salesml.serving")
SECONDS = 30.0  # between two writes: each makes a file
MAX_WAITING = 100_000  # rows, some 30 MB; further ones are dropped and counted
MAX_WRITTEN = 20_000  # rows of one file
LAST_ATTEMPTS = 3


class ServedLog:
    """Rows that wait to be written.

    Args:
        lake: The lake.
        count: Called with the numbers of rows written and dropped.
        seconds: Seconds between two writes.
        max_waiting: Rows that may wait.
    """

    def __init__(
        self,
        lake: Lakehouse,
        count: Callable[[int, int], None],
        seconds: float = SECONDS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._lake, self._count, self._seconds, self._max_waiting = lake, count, seconds, max_waiting
        self._rows: deque[tuple[Any, ...]] = deque()
        self._wake, self._writing = threading.Event(), threading.Lock()
        self._stopped, self._failure = False, ""
        self._thread = threading.Thread(target=self._run, name="served log", daemon=True)

    def start(self) -> None:
        """Begins to write in the background."""
        self._thread.start()

    def add(
        self, test: int, served: Sequence[Served], *, request_id: str, route: str, status: int, milliseconds: float
    ) -> None:
        """Adds an answer; costs microseconds and never waits for the lake.

        Args:
            test: Number of the A/B test.
            served: Its series.
            request_id: Id of the request.
            route: Its route.
            status: Its status.
            milliseconds: From its head to the last byte of the answer.
        """
        at = dt.datetime.now(dt.UTC)
        room = max(0, self._max_waiting - len(self._rows))
        for one in served[:room]:
            about = one.arm, one.series, one.place, one.model_version, one.cutoff, one.stored
            self._rows.append((at, request_id, route, test, *about, status, milliseconds))
        if len(served) > room:
            self._count(0, len(served) - room)
        if len(self._rows) >= MAX_WRITTEN:
            self._wake.set()

    def flush(self) -> bool:
        """Writes all rows that wait; False if the lake did not take them, and they go on waiting."""
        with self._writing:
            while count := min(len(self._rows), MAX_WRITTEN):
                rows = [self._rows[place] for place in range(count)]
                frame = pl.DataFrame(rows, schema=SERVED_SCHEMA, orient="row")
                try:
                    self._lake.append_arrow(frame.to_arrow(), SERVED_PREDICTIONS)
                except Exception as error:  # of the lake's clients: there are many kinds; the rows are kept
                    reason = masked(f"{type(error).__name__}: {error}".partition("\n")[0])
                    if reason != self._failure:
                        LOG.error("served predictions cannot be written", extra={"fields": {"reason": reason}})
                    self._failure = reason
                    return False
                for _ in range(count):
                    self._rows.popleft()
                self._failure = ""
                self._count(count, 0)
        return True

    def stop(self) -> None:
        """Writes what waits and ends; what the lake does not take then is dropped, counted and logged."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if not any(self.flush() for _ in range(LAST_ATTEMPTS)):
            lost = len(self._rows)
            self._count(0, lost)
            LOG.error("served predictions were lost", extra={"fields": {"rows": lost}})

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self.flush()
