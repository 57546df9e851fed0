"""Findings of checks, and how they become Dagster's asset checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from salesml_assets.config.settings import Settings
from salesml_assets.guide.next_steps import check_advice
from salesml_assets.lake.store import Lakehouse
from salesml_assets.resources.lake import Lake

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
HASHES = 16_000_000  # hashes of keys that are held at a time: 128 MB
MAX_EXAMINED = 1_000_000  # keys of equal hashes that are compared by their values


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


Measure = Callable[[Lakehouse, Settings], Iterator[Finding]]


def in_turn(*measures: Measure) -> Measure:
    """One measure that makes the findings of several."""

    def all_of_them(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
        for measure in measures:
            yield from measure(lake, settings)

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
        dg.AssetCheckSpec(name, asset=asset, description=_advised(text, name), blocking=name in blocking)
        for name, text in checks.items()
    ]

    @dg.multi_asset_check(name=f"check_{asset}", specs=specs)
    def check(context: dg.AssetCheckExecutionContext, tables: Lake) -> Iterator[dg.AssetCheckResult]:
        yield from results(measure(tables.tables, settings), asset)

    return check


def _advised(text: str, check: str) -> str:
    advice = check_advice(check)
    return f"{text} {advice}" if advice else text


def results(findings: Iterator[Finding], asset: str) -> Iterator[dg.AssetCheckResult]:
    """Findings on an asset as Dagster's results."""
    for finding in findings:
        yield dg.AssetCheckResult(
            check_name=finding.check,
            asset_key=asset,
            passed=finding.passed,
            severity=finding.severity,
            metadata=finding.measured,
            description=None if finding.passed else finding.description,
        )


def schema_finding(lake: Lakehouse, name: str, expected: dict[str, str]) -> Finding:
    """Whether a table has the expected columns in the expected types; others may be there as well."""
    found = lake.columns(name)
    wrong = {column: found.get(column, "missing") for column, kind in expected.items() if found.get(column) != kind}
    return Finding(
        "schema",
        not wrong,
        {"columns": len(found), "wrong": str(wrong) if wrong else "none"},
        description=f"columns that are missing or have another type: {wrong}",
    )


def unique_finding(lake: Lakehouse, name: str, key: list[str]) -> Finding:
    """Whether no two rows of a table share a key."""
    rows = lake.size(name).rows
    doubled = repeated_keys(lake, name, key, rows)
    return Finding(
        "unique_keys",
        doubled == 0,
        {"rows": rows, "keys": rows - doubled, "key": ", ".join(key)},
        description=f"{doubled:,} rows repeat a key ({', '.join(key)})",
    )


def repeated_keys(lake: Lakehouse, name: str, key: list[str], rows: int) -> int:
    """How many rows of a table repeat the key of another one.

    Keys are compared by 64-bit hashes, of which `HASHES` are held at a time: larger tables are read once for each of
    their shares. Keys of equal hashes are then compared by their values, so that a collision (in 18 million rows by a
    chance of 1e-5) is no repeated key. Where more than `MAX_EXAMINED` rows have equal hashes, collisions cannot explain
    them, and the hashes count.

    Args:
        lake: The lake.
        name: Name of the table.
        key: Columns of the key.
        rows: Rows of the table.
    """
    shares = max(1, -(-rows // HASHES))
    repeated = 0
    for share in range(shares):
        hashes = pl.concat(
            [pl.Series([], dtype=pl.UInt64)]
            + [
                hashed.filter(hashed % shares == share)
                for batch in lake.batches(name, key)
                for hashed in (batch.select(key).hash_rows(),)
            ]
        ).sort()
        same = hashes.filter(hashes == hashes.shift(1))
        if 0 < same.len() <= MAX_EXAMINED:
            repeated += _repeated(lake, name, key, same.unique())
        else:
            repeated += same.len()
    return repeated


def _repeated(lake: Lakehouse, name: str, key: list[str], hashes: pl.Series) -> int:
    """How many rows repeat a key, of those whose keys have one of some hashes."""
    found = pl.concat(
        batch.select(key).filter(batch.select(key).hash_rows().is_in(hashes.implode()))
        for batch in lake.batches(name, key)
    )
    return found.height - found.n_unique()
