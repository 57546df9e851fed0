"""The log of a Delta table: metadata that our commits record, and how log entries are parsed."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesml_assets.config.settings import HISTORY_DAYS

if TYPE_CHECKING:
    from deltalake import Schema

# Properties of new tables. Delta's defaults (30 and 7 days) would drop old versions and their files too early.
TABLE_PROPERTIES = {
    "delta.logRetentionDuration": f"interval {HISTORY_DAYS} days",
    "delta.deletedFileRetentionDuration": f"interval {HISTORY_DAYS} days",
}
UNDATED = "undated"  # the bucket of rows without a usable date in a month column
# Keys in our commits: the run (Delta's name), rows written, rows removed.
USER_METADATA, ROWS, REMOVED = "userMetadata", "rows", "rows removed"
_RESTORE = "RESTORE"  # Delta's name of the operation
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
# In a schema as JSON: types that need more than the first version of Delta, and names that Delta refuses.
_OTHER_TYPE = re.compile(
    r'"(?:type|elementType|keyType|valueType)":'
    r'"(?!(?:string|long|integer|short|byte|double|float|boolean|date|timestamp|binary|decimal\([\d,]+\)|'
    r'struct|array|map)")|"__COLLATIONS"'
)
_OTHER_NAME = re.compile(r'"name":"(?:[^"\\]|\\[^nt])*(?:[ ,;{}()=]|\\[nt])')
_NEVER_NULL = re.compile(r'("(?:nullable|containsNull|valueContainsNull)":)false')


class LakeError(RuntimeError):
    """A table is missing, or a write is not possible or was not done correctly; the message says what to do."""


@dataclass(frozen=True)
class Commit:
    """One version of a table, as the log describes it.

    Attributes:
        version: Number of the version, from 0.
        timestamp: When it was committed (UTC).
        operation: What Delta did (WRITE, ...).
        rows_written: Rows that this commit wrote.
        rows_removed: Rows that this commit removed; None where Delta does not say (a whole overwrite).
        run_id: The Dagster run that wrote it; None for other writers.
    """

    version: int
    timestamp: dt.datetime
    operation: str
    rows_written: int
    rows_removed: int | None
    run_id: str | None


@dataclass(frozen=True)
class TableSize:
    """What a version of a table holds: rows, bytes and number of its data files."""

    rows: int
    bytes: int
    files: int


def _commit(entry: dict[str, Any]) -> Commit:
    """The commit behind an entry of `DeltaTable.history`."""
    metrics = entry.get("operationMetrics", {})
    removed = metrics.get("numDeletedRows", entry.get(REMOVED))
    return Commit(
        version=entry["version"],
        timestamp=dt.datetime.fromtimestamp(entry["timestamp"] / 1000, tz=dt.UTC),
        operation=entry["operation"],
        # Spark's name, that of `deltalake`, our own.
        rows_written=int(metrics.get("numOutputRows", metrics.get("num_added_rows", entry.get(ROWS, 0)))),
        rows_removed=None if removed is None else int(removed),
        run_id=_run_id(entry.get(USER_METADATA)),
    )


def commits_in(entries: Sequence[dict[str, Any]]) -> list[Commit]:
    """The commits behind `DeltaTable.history`, newest first, without those that a later restore took back."""
    commits: list[Commit] = []
    kept_until = None  # of the versions before the restores seen so far
    for entry in entries:
        if kept_until is not None and entry["version"] > kept_until:
            continue
        commits.append(_commit(entry))
        kept_until = _restored(entry)
    return commits


def _restored(entry: dict[str, Any]) -> int | None:
    """The version that a commit brought back; None for a commit that is no restore to a version."""
    target = entry.get("operationParameters", {}).get("version") if entry["operation"] == _RESTORE else None
    return None if target is None else int(target)


def run_note(run_id: str | None) -> str:
    """The `userMetadata` of a commit that a run makes."""
    return json.dumps({"run_id": run_id})


def _run_id(metadata: str | None) -> str | None:
    """The run in a commit's `userMetadata`; other writers may have put anything there."""
    try:
        values = json.loads(metadata) if metadata else {}
    except json.JSONDecodeError:
        return None
    return values.get("run_id") if isinstance(values, dict) else None


def month_condition(month_column: str, months: Sequence[str]) -> str:
    """The SQL condition for the rows that a load of these months replaces.

    >>> month_condition("_month", ["2011-03", "2011-04"])
    "_month IN ('2011-03', '2011-04', 'undated')"

    Raises:
        ValueError: A month is not of the form yyyy-MM.
    """
    strange = [month for month in months if not _MONTH.fullmatch(month)]
    if strange or not months:
        raise ValueError(f"months have the form yyyy-MM; got {strange or 'none'}")
    values = ", ".join(f"'{month}'" for month in [*months, UNDATED])
    return f"{month_column} IN ({values})"


def has_plain_columns(schema: str) -> bool:
    """Whether types and names are those that a table of Delta's first version may have.

    Args:
        schema: The schema as JSON, as Spark and Delta write it.
    """
    return not (_OTHER_TYPE.search(schema) or _OTHER_NAME.search(schema))


def nullable(schema: str) -> str:
    """A schema as JSON in which any value may be missing, as Delta's own writer makes it."""
    return _NEVER_NULL.sub(r"\1true", schema)


def column_types(schema: Schema) -> dict[str, str]:
    """Names and types of the columns, in order, in Delta's words (string, double, array<string>, ...)."""
    return {column.name: _type_name(column.type) for column in schema.fields}


def _type_name(kind: Any) -> str:
    """Spark's short name of one of `deltalake`'s types."""
    name = getattr(kind, "type", None)
    if name == "array":
        return f"array<{_type_name(kind.element_type)}>"
    if name == "map":
        return f"map<{_type_name(kind.key_type)}, {_type_name(kind.value_type)}>"
    if name == "struct":
        return "struct<" + ", ".join(f"{inner.name}: {_type_name(inner.type)}" for inner in kind.fields) + ">"
    return str(name)
