"""The sensor that finds new and changed months in the source and loads only those."""

from __future__ import annotations

import hashlib
import itertools
import time

import dagster as dg
from pydantic import BaseModel

from salesml_assets.assets.ingestion import monthly_partitions
from salesml_assets.automation.jobs import partition_range_tags
from salesml_assets.config.settings import Settings
from salesml_assets.lake.facts import last_write
from salesml_assets.lake.store import UNDATED, Lakehouse
from salesml_assets.names import LOAD_JOB, MONTHS_TAGS, RAW_SALES, range_tags
from salesml_assets.quality.arrivals import Changes, FileState, list_source, scan_source

INTERVAL_SECONDS = 30
SECONDS = 1.0  # for listing and reading files; what takes longer goes on in the next evaluation


class Cursor(BaseModel):
    """What has been loaded, or is being loaded, into the table of this id, and what has been read for the next load."""

    table: str = ""
    files: dict[str, FileState]
    waiting: dict[str, FileState] = {}


def new_sales_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor; it runs from the start, and waits for the first load of everything."""

    @dg.sensor(
        name="new_sales",
        job_name=LOAD_JOB,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Loads the months of the source that are new or have changed.",
    )
    def new_sales(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        begun = time.monotonic()
        lake = Lakehouse(settings.lake.root, settings.s3)
        table = lake.identity(RAW_SALES)
        if table is None:
            return dg.SkipReason("Nothing has been loaded yet: run the job `retrain` once.")
        listed = list_source(settings)
        cursor = Cursor.model_validate_json(context.cursor) if context.cursor else None
        if cursor is None or cursor.table != table:
            # What was written before the last load is in it; anything younger counts as new.
            loaded = last_write(lake, RAW_SALES).timestamp.timestamp()
            before = {address: file for address, file in listed.items() if file.modified < loaded}
            cursor = Cursor(files={address: FileState(stamp=file.stamp) for address, file in before.items()})
        seconds = begun + SECONDS - time.monotonic()
        found = scan_source(cursor.files, listed, settings, seconds, cursor.waiting)
        requests = load_requests(found.changes, found.files, settings)
        after = Cursor(table=table, files=found.files, waiting=found.waiting).model_dump_json()
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=after)
        told = f"{len(found.waiting):,} new files read, more to read" if found.waiting else "nothing new"
        return dg.SensorResult(skip_reason=f"{len(listed):,} files, {told}.", cursor=after)

    return new_sales


def load_requests(changes: Changes, state: dict[str, FileState], settings: Settings) -> list[dg.RunRequest]:
    """One run for each unbroken range of changed months; one for everything where the months are not known.

    The run key is made of what the source holds: the same change, seen twice, starts one run.
    """
    if not changes.months and not changes.unknown:
        return []
    stamps = sorted((address, file.stamp) for address, file in state.items())
    key = hashlib.sha256(repr(stamps).encode()).hexdigest()[:20]
    told = {
        MONTHS_TAGS[kind]: ", ".join(months)
        for kind, months in (("new", changes.new), ("late", changes.late), ("corrected", changes.corrected))
        if months
    }
    partitions = monthly_partitions(settings)
    if partitions is None or changes.unknown:
        told = told or {MONTHS_TAGS["unknown"]: "all"}
        return [dg.RunRequest(run_key=key, tags=partition_range_tags(settings) | told)]
    keys = list(partitions.get_partition_keys())
    # Rows without a usable month are loaded with any month.
    wanted = {f"{month}-01" for month in changes.months if month != UNDATED} & set(keys) or {keys[-1]}
    return [
        dg.RunRequest(run_key=f"{key}-{first[:7]}", tags=range_tags(first, last) | told)
        for first, last in _ranges(keys, wanted)
    ]


def _ranges(keys: list[str], wanted: set[str]) -> list[tuple[str, str]]:
    """First and last of each unbroken range of the wanted keys.

    >>> _ranges(["a", "b", "c", "d"], {"a", "b", "d"})
    [('a', 'b'), ('d', 'd')]
    """
    groups = itertools.groupby(keys, key=lambda key: key in wanted)
    ranges = [list(group) for inside, group in groups if inside]
    return [(group[0], group[-1]) for group in ranges]
