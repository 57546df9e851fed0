"""The Spark session of a run in Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from salesml_assets.config.loading import load_settings
from salesml_assets.spark.session import at_last, is_running, start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkResource(dg.ConfigurableResource):
    """The session of a run: started when it is first needed, stopped when the run ends."""

    _session: SparkSession | None = PrivateAttr(default=None)
    _ours: bool = PrivateAttr(default=False)

    @property
    def session(self) -> SparkSession:
        """The session; the first call starts it."""
        if self._session is None:
            self._ours = not is_running()
            self._session = start_session(load_settings())
        return self._session

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[SparkResource]:
        """Dagster's frame around a run: what it started is stopped, what it held in memory freed, whatever happens."""
        try:
            yield self
        finally:
            if (session := self._session) is not None:
                # Not `session.catalog.clearCache` by itself: to name the catalog is to ask Java for it, here and now.
                at_last(session, session.stop if self._ours else lambda: session.catalog.clearCache())
            self._session = None
