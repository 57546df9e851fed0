"""Findings of checks, and how they become Dagster's asset checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True)
class Finding:
    """What a check measured.

    Attributes:
        check: Name of the check.
        passed: Whether it is all right.
        measured: Numbers and texts for the check's metadata.
        severity: How bad it is if not; a blocking check stops the run only with ERROR.
        description: One sentence on what is wrong.
    """

    check: str
    passed: bool
    measured: dict[str, Any] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = ERROR
    description: str = ""


Measure = Callable[[Lake, Settings], Iterator[Finding]]


def in_turn(*measures: Measure) -> Measure:
    """One measure that makes the findings of several."""

    def all_of_them(tables: Lake, settings: Settings) -> Iterator[Finding]:
        for measure in measures:
            yield from measure(tables, settings)

    return all_of_them


def table_checks(
    asset: str, checks: dict[str, str], measure: Measure, settings: Settings, blocking: tuple[str, ...] = ()
) -> dg.AssetChecksDefinition:
    """The checks of one table, measured together.

    Args:
        asset: Name of the asset.
        checks: Name and description of each check.
        measure: Reads the table and yields one finding per check.
        settings: The settings.
        blocking: Checks that stop what comes after, if they fail with severity ERROR.
    """
    specs = [
        dg.AssetCheckSpec(name, asset=asset, description=text, blocking=name in blocking)
        for name, text in checks.items()
    ]

    @dg.multi_asset_check(name=f"check_{asset}", specs=specs)
    def check(context: dg.AssetCheckExecutionContext, tables: Lake) -> Iterator[dg.AssetCheckResult]:
        for finding in measure(tables, settings):
            yield dg.AssetCheckResult(
                check_name=finding.check,
                asset_key=asset,
                passed=finding.passed,
                severity=finding.severity,
                metadata=finding.measured,
                description=None if finding.passed else finding.description,
            )

    return check


def schema_finding(tables: Lake, name: str, expected: dict[str, str]) -> Finding:
    """Whether a table has the expected columns in the expected types; others may stand beside them."""
    found = tables.tables.columns(name)
    wrong = {column: found.get(column, "missing") for column, kind in expected.items() if found.get(column) != kind}
    return Finding(
        "schema",
        not wrong,
        {"columns": len(found), "wrong": str(wrong) if wrong else "none"},
        description=f"columns that are missing or have another type: {wrong}",
    )


def unique_finding(tables: Lake, name: str, key: list[str]) -> Finding:
    """Whether no two rows of a table share a key."""
    from pyspark.sql import functions as F

    frame = tables.read(name)
    groups = frame.groupBy(*key).count()
    rows, keys = groups.agg(F.sum("count"), F.count(F.lit(1))).first()  # type: ignore[misc]
    doubled = (rows or 0) - keys
    return Finding(
        "unique_keys",
        doubled == 0,
        {"rows": rows or 0, "keys": keys, "key": ", ".join(key)},
        description=f"{doubled:,} rows repeat a key ({', '.join(key)})",
    )
