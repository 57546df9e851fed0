"""Looks at the lake for a new production model and new forecasts, and swaps them in."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.challenger import running_test
from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.forecasting.versions import Version, all_versions, read_version
from salesml_assets.lake.facts import last_write, written_versions
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    DRIFT_REPORT,
    FORECASTS,
    PRODUCTION_MODEL,
)
from salesml_assets.serving.book import Book, columns_of
from salesml_assets.serving.example import try_out
from salesml_assets.serving.local_copy import LocalCopy
from salesml_assets.serving.state import Challenger, Model, State, Stored
from salesml_assets.text import masked

LOG = logging.getLogger("salesml.serving")
MAX_PAST = 60  # versions of the table of forecasts among which `as_of` finds one


class AwayError(RuntimeError):
    """The lake does not answer, or does not have what it had."""


class _Recorder:
    """The files of the lake; remembers what was read."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.content: dict[str, bytes] = {}

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: There is no such file.
            AwayError: The lake does not answer.
        """
        try:
            content = self._files.read(name, version, *parts)
        except FileNotFoundError:
            raise
        except Exception as error:  # of the object store's client: there are many kinds
            raise AwayError(f"{type(error).__name__}: {error}") from error
        self.content["/".join(parts)] = content
        return content


class Refresher:
    """Keeps a state up to date.

    Args:
        state: The state.
        settings: `lake`, `s3` and `serving` are used.
    """

    def __init__(self, state: State, settings: Settings) -> None:
        self._state, self._seconds = state, settings.serving.refresh_seconds
        self._lake = Lakehouse(settings.lake.root, settings.s3)
        self._files = Files(settings.lake.root, settings.s3)
        self._copy = LocalCopy(settings.serving.cache, settings.lake.root)
        self._tests = settings.tests_challengers
        self._seen: dict[str, tuple[str, int]] = {}
        self._seen_test: list[tuple[str, int] | None] = []
        self._cutoffs: dict[int, dt.date | None] = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)
        self._failures: dict[str, str] = {}

    def start(self, wait: float) -> None:
        """Takes the first look, then goes on in the background.

        Args:
            wait: Seconds for which the first look is waited for; then the service starts from its local copy.
        """
        self._thread.start()
        first = threading.Thread(target=self.look, name="first look", daemon=True)
        first.start()
        first.join(wait)
        if self._state.model is None:
            self._start_from_copy()

    def stop(self) -> None:
        """Ends the background task."""
        self._stop.set()

    def look(self) -> None:
        """Looks once. What fails leaves the state as it was, and is logged when it changes."""
        with self._lock:
            answered = [
                self._try("model", self._look_at_model),
                self._try("forecasts", self._look_at_forecasts),
                self._try("drift", self._look_at_drift),
                *([self._try("A/B test", self._look_at_test)] if self._tests else []),
            ]
            self._state.lake_up = all(answered)

    def past_forecast(self, series: str, as_of: dt.date, horizon: int | None) -> dict | None:
        """The forecasts of a series as they were known on a day: those of the latest cutoff up to that day.

        Args:
            series: Name of the series.
            as_of: The day.
            horizon: Steps at most; default: all.

        Returns:
            What `schemas.SeriesForecast` describes; None where there is none.

        Raises:
            AwayError: The lake does not answer.
        """
        stored = self._state.stored
        if stored is not None and stored.book.cutoff is not None and stored.book.cutoff <= as_of:
            return stored.book.forecast(series, horizon)
        try:
            for commit in written_versions(self._lake, FORECASTS, MAX_PAST):
                cutoff = self._cutoff_of(commit.version)
                if cutoff is not None and cutoff <= as_of:
                    columns = columns_of(self._lake.columns(FORECASTS, commit.version))
                    rows = self._lake.read_polars(
                        FORECASTS, columns, filters=pc.field("unique_id") == series, version=commit.version
                    )
                    return Book.of([rows]).forecast(series, horizon) if len(rows) else None
        except Exception as error:  # of the object store's clients: there are many kinds
            raise AwayError(f"{type(error).__name__}: {error}") from error
        return None

    def _cutoff_of(self, version: int) -> dt.date | None:
        if version not in self._cutoffs:
            latest = self._lake.read_polars(FORECASTS, ["cutoff"], version=version)["cutoff"].max()
            self._cutoffs[version] = latest if isinstance(latest, dt.date) else None
        return self._cutoffs[version]

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.look()

    def _try(self, name: str, look: Callable[[], None]) -> bool:
        try:
            look()
        except Exception as error:  # of the lake's clients: there are many kinds; the service goes on
            reason = masked(f"{type(error).__name__}: {error}".partition("\n")[0])
            if self._failures.get(name) != reason:
                LOG.error("the lake does not answer", extra={"fields": {"look": name, "reason": reason}})
            self._failures[name] = reason
            return False
        self._failures.pop(name, None)
        return True

    def _changed(self, name: str) -> tuple[str, int] | None:
        """Id and version of a table, if they are not those of the last look.

        Raises:
            AwayError: There was a table, and there is none now.
        """
        found = self._table(name)
        if found is None and name in self._seen:
            raise AwayError(f"the table {name} is gone")
        return found if found != self._seen.get(name) else None

    def _look_at_model(self) -> None:
        state, found = self._state, self._changed(PRODUCTION_MODEL)
        if found is None and not state.broken:
            if state.model is not None and PRODUCTION_MODEL not in self._seen:
                raise AwayError(f"there is no table {PRODUCTION_MODEL}")  # started from the local copy
            return
        versions = all_versions(self._lake)
        newest = versions[-1]
        model = state.model
        if model is None or model.version != newest or model.source != "lake":
            self._take(newest)
        else:
            state.broken = ""
        state.versions = versions
        if found is not None:
            self._seen[PRODUCTION_MODEL] = found

    def _take(self, version: Version) -> None:
        """Loads a version, tries it out and swaps it in; a broken one is refused."""
        state, recorder = self._state, _Recorder(self._files)
        try:
            bundle = self._tried(recorder, version)
        except AwayError:
            raise
        except Exception as error:  # a broken model fails in any way; the old one goes on
            reason = masked(f"version {version.version}: {type(error).__name__}: {error}".partition("\n")[0])
            if reason != state.broken:
                LOG.error("a broken model is refused", extra={"fields": {"reason": reason}})
            state.broken = reason
            return
        state.model = Model(version, bundle, "lake")
        state.broken = ""
        state.swaps += 1
        LOG.info("model loaded", extra={"fields": {"model_version": version.version, "algorithm": version.algorithm}})
        self._copy.keep_model(version, recorder.content)

    @staticmethod
    def _tried(files: _Recorder, version: Version) -> Bundle:
        bundle = read_version(files, version)
        try_out(bundle)
        return bundle

    def _look_at_forecasts(self) -> None:
        found = self._changed(FORECASTS)
        if found is None:
            return
        columns = columns_of(self._lake.columns(FORECASTS, found[1]))
        book = Book.of(self._lake.batches(FORECASTS, columns, version=found[1]))
        stored = Stored(book, found, last_write(self._lake, FORECASTS).timestamp)
        self._state.stored = stored
        self._seen[FORECASTS] = found
        LOG.info("forecasts loaded", extra={"fields": {"series": len(book.names), "table_version": found[1]}})
        self._copy.keep_forecasts(stored)
        pa.default_memory_pool().release_unused()

    def _look_at_drift(self) -> None:
        found = self._changed(DRIFT_REPORT)
        if found is None:
            return
        columns = ["evaluated_at", "kind", "effect", "min_effect", "model_version"]
        tests = self._lake.read_polars(DRIFT_REPORT, columns, version=found[1])
        tests = tests.filter(pl.col("evaluated_at") == pl.col("evaluated_at").max())
        tests = tests.filter(pl.col("model_version") == pl.col("model_version").max(), pl.col("min_effect") > 0)
        ratios = tests.group_by("kind").agg((pl.col("effect") / pl.col("min_effect")).max().alias("ratio")).sort("kind")
        self._state.drift = {kind: float(ratio) for kind, ratio in ratios.drop_nulls().iter_rows()}
        self._seen[DRIFT_REPORT] = found

    def _look_at_test(self) -> None:
        """Takes or leaves the challenger; one that cannot be used leaves all requests to the model in production."""
        state = self._state
        found = [self._table(name) for name in (PRODUCTION_MODEL, AB_TEST_REPORT, CHALLENGER_MODEL)]
        forecasts = self._table(CHALLENGER_FORECASTS)
        if [*found, forecasts] == self._seen_test:
            return
        test = running_test(self._lake)
        if test is None:
            state.challenger, state.challenger_broken = None, ""
        else:
            before, version = state.challenger, test.challenger
            same = before is not None and before.model.version == version
            model = before.model if before is not None and same else self._challenger(version)
            stored = before.stored if before is not None and same else None
            if model is None:
                state.challenger = None
            else:
                if forecasts is not None and (stored is None or stored.table != forecasts):
                    mine = pc.field("model_version") == version.version
                    columns = columns_of(self._lake.columns(CHALLENGER_FORECASTS, forecasts[1]))
                    book = Book.of(self._lake.batches(CHALLENGER_FORECASTS, columns, mine, forecasts[1]))
                    written_at = last_write(self._lake, CHALLENGER_FORECASTS).timestamp
                    stored = Stored(book, forecasts, written_at) if book.names else None
                state.challenger = Challenger(test.number, model, stored, test.salt)
        self._seen_test = [*found, forecasts]

    def _challenger(self, version: Version) -> Model | None:
        """A challenger that has been tried out; None if it is broken."""
        state = self._state
        try:
            bundle = self._tried(_Recorder(self._files), version)
        except AwayError:
            raise
        except Exception as error:  # a broken model fails in any way; the one in production answers
            reason = masked(f"challenger {version.version}: {type(error).__name__}: {error}".partition("\n")[0])
            if reason != state.challenger_broken:
                LOG.error("a broken challenger is refused", extra={"fields": {"reason": reason}})
            state.challenger_broken = reason
            return None
        state.challenger_broken = ""
        LOG.info("challenger loaded", extra={"fields": {"challenger": version.version, "algorithm": version.algorithm}})
        return Model(version, bundle, "lake")

    def _table(self, name: str) -> tuple[str, int] | None:
        """Id and version of a table; None where there is none."""
        table = self._lake.find(name)
        return (str(table.metadata().id), table.version()) if table is not None else None

    def _start_from_copy(self) -> None:
        state = self._state
        try:
            model, stored = self._copy.model(), self._copy.forecasts()
            if model is None:
                return
            try_out(model.bundle)
        except Exception as error:  # a damaged copy: the service waits for the lake
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            LOG.error("the local copy cannot be used", extra={"fields": {"reason": reason}})
            return
        if state.model is None:
            state.model, state.versions = model, [model.version]
        if state.stored is None:
            state.stored = stored
        LOG.warning("started from the local copy", extra={"fields": {"model_version": model.version.version}})
