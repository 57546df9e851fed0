"""Reads one source of metrics: one read at a time, with a time limit, isolated from the other sources."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from salesml_assets.exporter.families import Families
from salesml_assets.text import masked

LOG = logging.getLogger("salesml.metrics")


@dataclass(frozen=True)
class SourceReading:
    """Result of reading a source: its families, the duration in seconds, and the error, if any."""

    families: Families
    seconds: float
    error: str | None


class MetricSource:
    """One source of metrics.

    Concurrent scrapes share one read. A read that exceeds the time limit continues in the background, and the next
    scrape gets its result.

    Args:
        name: Its name in the catalogue.
        fill: Reads it and adds the samples.
    """

    def __init__(self, name: str, fill: Callable[[Families], None]) -> None:
        self.name = name
        self._fill = fill
        self._lock = threading.Lock()
        self._running: Future[SourceReading] | None = None
        self._last_error: str | None = None

    def start(self) -> Future[SourceReading]:
        """Starts a read, unless one is running or its result has not been fetched yet."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                # No thread pool: Python would wait for its threads at exit, and an object store may hang for minutes.
                threading.Thread(target=self._work, args=(self._running,), daemon=True, name=self.name).start()
            return self._running

    def fetch(self, future: Future[SourceReading], seconds: float) -> SourceReading:
        """Waits for a read.

        Args:
            future: The read, from `start`.
            seconds: Time limit; a longer read is an error of this scrape.
        """
        try:
            reading = future.result(timeout=seconds)
        except TimeoutError:
            reading = SourceReading(Families(self.name), seconds, f"no answer within {seconds:.1f} s")
        with self._lock:
            if self._running is future and future.done():
                self._running = None
            # Logged once, not in every scrape.
            changed = reading.error != self._last_error
            self._last_error = reading.error
        if changed and reading.error:
            LOG.warning("%s: %s", self.name, reading.error)
        elif changed:
            LOG.info("%s: is readable again", self.name)
        return reading

    def _work(self, future: Future[SourceReading]) -> None:
        families, started, error = Families(self.name), time.monotonic(), None
        try:
            self._fill(families)
        except Exception as problem:  # the boundary of the source: counted, logged, exported as salesml_source_up
            # A source that failed halfway exports nothing: partial metrics could be mistaken for complete ones.
            families = Families(self.name)
            error = masked(f"{type(problem).__name__}: {problem}".partition("\n")[0])
        future.set_result(SourceReading(families, time.monotonic() - started, error))
