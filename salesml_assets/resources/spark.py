"""The Spark session of a run in Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import PrivateAttr

from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import Settings
from salesml_assets.spark.session import at_last, is_running, start_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkResource(dg.ConfigurableResource):
    """The session of a run: started when it is first needed, stopped when the run ends."""

    built_with: ClassVar[Settings | None] = None
    _session: SparkSession | None = PrivateAttr(default=None)
    _ours: bool = PrivateAttr(default=False)

    @classmethod
    def for_settings(cls, settings: Settings) -> Any:
        """The resource for these settings, configured at launch: Dagster then shares it with resources that need it.

        A class of its own holds the settings: as configuration they would be shown in the UI.
        """

        class Spark(cls):  # type: ignore[misc, valid-type]
            built_with: ClassVar[Settings | None] = settings

        return Spark.configure_at_launch()

    @property
    def session(self) -> SparkSession:
        """The session; the first call starts it, by the settings of the resource, else by those of the environment."""
        if self._session is None:
            self._ours = not is_running()
            self._session = start_session(self.built_with or load_settings())
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
