"""What Dagster's instance remembers of a table as it is now.

An instance outlives a lake: `make run` on the shipped sales and then on one's own write into the same history, and a
lake may be deleted and made anew. What was recorded of another table under the same asset decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.resources.lake import TABLE_ID


@dataclass(frozen=True)
class Made:
    """One materialization: its run, when it was, and its metadata."""

    run: str
    at: float
    metadata: dict[str, Any]


def table_history(instance: dg.DagsterInstance, asset: str, settings: Settings, limit: int) -> Iterator[Made]:
    """The last materializations that wrote an asset's table, newest first.

    Args:
        instance: Dagster's instance.
        asset: The asset's name.
        settings: The settings; `lake.root` says where the table lies.
        limit: How many materializations are looked at.
    """
    identity = Lakehouse(settings.lake.root, settings.s3).identity(asset)
    if identity is None:
        return
    for record in instance.fetch_materializations(dg.AssetKey(asset), limit=limit).records:
        event = record.asset_materialization
        metadata = {name: value.value for name, value in event.metadata.items()} if event else {}
        if metadata.get(TABLE_ID) == identity:
            yield Made(record.run_id, record.timestamp, metadata)
