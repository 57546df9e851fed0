"""Asset checks: the latest finished result of each. A result does not change, so it is deserialized once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg
import sqlalchemy as sa

from salesml_assets.exporter.families import Families
from salesml_assets.runs.dagster_internals import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionsTable,
    SqlEventLogStorage,
)

FINISHED = [status.value for status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES]
_CHECK = AssetCheckExecutionsTable.c


@dataclass(frozen=True)
class CheckResult:
    """The finished result of a check."""

    asset: str
    check: str
    passed: bool
    severity: str
    timestamp: float


class CheckReader:
    """Reads the latest finished result of every check that ever ran.

    Args:
        instance: Dagster's instance.

    Raises:
        TypeError: The instance does not keep its events in an SQL database.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            raise TypeError(f"checks are read from an SQL database, not from {type(storage).__name__}")
        self._storage = storage
        self._known: dict[int, CheckResult] = {}

    def read(self, families: Families) -> None:
        """Whether each check passed, and when."""
        # While a run is planned or in progress, the previous results count.
        latest = (
            sa.select(sa.func.max(_CHECK.id))
            .where(_CHECK.execution_status.in_(FINISHED))
            .group_by(_CHECK.asset_key, _CHECK.check_name)
        )
        with self._storage.index_connection() as connection:
            ids = set(connection.scalars(latest))
            new = sorted(ids - self._known.keys())
            # At most one per check, far below the limit of query parameters.
            query = sa.select(AssetCheckExecutionsTable).where(_CHECK.id.in_(new))
            rows = [dict(row) for row in connection.execute(query).mappings()] if new else []
        known = {number: result for number, result in self._known.items() if number in ids}
        self._known = known | {row["id"]: _check_result(row) for row in rows}
        for result in self._known.values():
            labels = {"asset": result.asset, "check": result.check}
            families.add("salesml_asset_check_passed", float(result.passed), **labels, severity=result.severity)
            families.add("salesml_asset_check_timestamp_seconds", result.timestamp, **labels)


def _check_result(row: dict[str, Any]) -> CheckResult:
    asset = dg.AssetKey.from_db_string(row["asset_key"])
    assert asset is not None
    record = AssetCheckExecutionRecord.from_db_row(row, dg.AssetCheckKey(asset, row["check_name"]))
    assert record.event is not None
    assert record.event.dagster_event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return CheckResult(
        asset.to_user_string(),
        row["check_name"],
        evaluation.passed,
        evaluation.severity.value.lower(),
        record.event.timestamp,
    )
