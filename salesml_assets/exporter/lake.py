"""The lake with short timeouts, for a process that must answer even if the object store does not."""

from __future__ import annotations

from salesml_assets.lake.store import Lakehouse

# The default of ten retries over three minutes suits a run, but is too long for a scrape.
FAIL_FAST_OPTIONS = {"connect_timeout": "2s", "timeout": "5s", "max_retries": "1", "retry_timeout": "5s"}


class ScrapedLake(Lakehouse):
    """The same tables, with short timeouts and one retry."""

    @property
    def storage_options(self) -> dict[str, str] | None:
        """What `deltalake` has to know of the object store, with short time limits; None on disk."""
        options = super().storage_options
        return None if options is None else options | FAIL_FAST_OPTIONS
