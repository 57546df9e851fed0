"""Reading a source for whoever scrapes: once at a time, with a time limit, and without harm to the other sources."""

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
class Reading:
    """What came of reading a source: its families, the time it took, and the error that stopped it, if one did."""

    families: Families
    seconds: float
    error: str | None


class Source:
    """One source of metrics.

    A read that is under way when another scrape asks is shared, so a source is never read twice at a time. One that
    takes too long goes on, and the next scrape gets it.

    Args:
        name: Its name in the catalogue.
        fill: Reads it and adds the samples.
    """

    def __init__(self, name: str, fill: Callable[[Families], None]) -> None:
        self.name = name
        self._fill = fill
        self._lock = threading.Lock()
        self._running: Future[Reading] | None = None
        self._complaint: str | None = None

    def start(self) -> Future[Reading]:
        """Begins to read, unless a read is under way or ended without having been fetched."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                # Not a pool's thread: Python would wait for it at exit, and an object store may hang for minutes.
                threading.Thread(target=self._work, args=(self._running,), daemon=True, name=self.name).start()
            return self._running

    def fetch(self, future: Future[Reading], seconds: float) -> Reading:
        """What a read gives.

        Args:
            future: The read, from `start`.
            seconds: Time to wait for it; a longer read is an error of this scrape.
        """
        try:
            reading = future.result(timeout=seconds)
        except TimeoutError:
            reading = Reading(Families(self.name), seconds, f"no answer within {seconds:.1f} s")
        with self._lock:
            if self._running is future and future.done():
                self._running = None
            # Said once, and not in every scrape.
            news = reading.error != self._complaint
            self._complaint = reading.error
        if news and reading.error:
            LOG.warning("%s: %s", self.name, reading.error)
        elif news:
            LOG.info("%s: can be read again", self.name)
        return reading

    def _work(self, future: Future[Reading]) -> None:
        families, started, error = Families(self.name), time.monotonic(), None
        try:
            self._fill(families)
        except Exception as problem:  # the boundary of the source: counted, logged, and shown by salesml_source_up
            # A source that broke off in the middle says nothing: half of it could be taken for the whole.
            families = Families(self.name)
            error = masked(f"{type(problem).__name__}: {problem}".partition("\n")[0])
        future.set_result(Reading(families, time.monotonic() - started, error))
