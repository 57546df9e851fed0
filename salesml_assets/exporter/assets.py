"""Assets: time of materialization, rows and bytes, freshness, and the resources used by the run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from salesml_assets.exporter.families import Families
from salesml_assets.names import QUARANTINED_SALES, RAW_SALES, REPORT, SALES
from salesml_assets.runs.dagster_internals import FreshnessState

ROWS, BYTES = "dagster/row_count", "table bytes"
PEAK_MEMORY, CPU = "peak memory bytes", "cpu seconds"
ROW_STATUS = {RAW_SALES: "delivered", SALES: "accepted", QUARANTINED_SALES: "quarantined"}


def read_assets(instance: dg.DagsterInstance, families: Families) -> None:
    """All assets that were materialized or observed, and not wiped since."""
    records = instance.get_asset_records()
    failed = _failed_runs(instance, [entry.last_run_id for entry in (record.asset_entry for record in records)])
    now = time.time()
    for record in records:
        entry, asset = record.asset_entry, record.asset_entry.asset_key.to_user_string()
        made = entry.last_materialization
        if made is not None:
            families.add("salesml_asset_last_materialization_timestamp_seconds", made.timestamp, asset=asset)
            families.add("salesml_asset_age_seconds", max(0.0, now - made.timestamp), asset=asset)
            _add_contents(families, asset, _metadata(made))
        if entry.last_run_id is not None:
            lost = entry.last_run_id in failed and (made is None or made.run_id != entry.last_run_id)
            families.add("salesml_asset_last_run_failed", float(lost), asset=asset)
        observed = instance.fetch_observations(entry.asset_key, limit=1).records
        if observed:
            families.add("salesml_asset_last_observation_timestamp_seconds", observed[0].timestamp, asset=asset)
    _add_freshness(instance, families, [record.asset_entry.asset_key for record in records])


def _failed_runs(instance: dg.DagsterInstance, run_ids: Sequence[str | None]) -> set[str]:
    """Those of the runs that failed."""
    wanted = sorted({run_id for run_id in run_ids if run_id is not None})
    if not wanted:
        return set()
    failure = dg.RunsFilter(run_ids=wanted, statuses=[dg.DagsterRunStatus.FAILURE])
    return {record.dagster_run.run_id for record in instance.get_run_records(failure)}


def _add_contents(families: Families, asset: str, metadata: Mapping[str, Any]) -> None:
    families.add("salesml_asset_rows", metadata.get(ROWS), asset=asset)
    families.add("salesml_asset_table_bytes", metadata.get(BYTES), asset=asset)
    if asset in ROW_STATUS:
        families.add("salesml_sales_rows", metadata.get(ROWS), status=ROW_STATUS[asset])
    if asset == REPORT:
        families.add("salesml_run_peak_memory_bytes", metadata.get(PEAK_MEMORY))
        families.add("salesml_run_cpu_seconds", metadata.get(CPU))


def _add_freshness(instance: dg.DagsterInstance, families: Families, keys: Sequence[dg.AssetKey]) -> None:
    for key, record in instance.event_log_storage.get_freshness_state_records(keys).items():
        state = record.freshness_state
        if state is not FreshnessState.NOT_APPLICABLE:
            families.add("salesml_asset_freshness", 1, asset=key.to_user_string(), status=state.value.lower())


def _metadata(entry: dg.EventLogEntry) -> dict[str, Any]:
    materialization = entry.asset_materialization
    return {name: value.value for name, value in materialization.metadata.items()} if materialization else {}
