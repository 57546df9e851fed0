"""Versions of the production model: rows of its table in the lake, the newest one serves. No Spark, no Dagster.

A training adds a row, and so does a choice by hand: `promote` and `roll_back` repeat an earlier row under a new number.
"""

from __future__ import annotations

import datetime as dt
import json
import posixpath
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from salesml_assets.names import PRODUCTION_MODEL
from salesml_assets.text import clean

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.lake.store import Lakehouse


PROMOTE, ROLL_BACK = "promote", "rollback"
# Settings of the section `forecast` by which a model's forecasts mean what they say.
MEANING = ("series", "frequency", "target")


class VersionError(ValueError):
    """A version cannot be put into production; the message says why."""


class ReadsFiles(Protocol):
    """The files of the lake: `lake.files.Files`, or Dagster's resource of them."""

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file."""
        ...


@dataclass(frozen=True, kw_only=True)
class Version:
    """One row of the table of production models.

    Attributes:
        version: Its number, from 1.
        algorithm: Name in the table of algorithms.
        parameters: Its parameters.
        path: Folder of its bundle; versions put into production by hand share it with the version that they repeat.
        cutoff: Last step that it learned from.
        trained_at: When, UTC; None where an earlier release did not note it.
        decision: Why it serves: the promotion decision with its numbers, or who chose it by hand.
        lake_versions: Version of each table that it was made from.
        settings: The settings in force when it was trained, without secrets.
    """

    version: int
    algorithm: str
    parameters: dict[str, Any]
    path: str
    cutoff: dt.date
    trained_at: dt.datetime | None
    decision: dict[str, Any]
    lake_versions: dict[str, int]
    settings: dict[str, Any]

    @property
    def by_hand(self) -> bool:
        """Whether somebody chose it, instead of a comparison."""
        return self.decision.get("action") in (PROMOTE, ROLL_BACK)

    @property
    def origin(self) -> str:
        """How it came into production, in a few words."""
        if not self.by_hand:
            return "trained"
        chosen = self.decision
        return f"{chosen['action']} of version {chosen['version']} by {chosen['by']}: {chosen['reason']}"

    @property
    def folder(self) -> str:
        """Name of the folder of its bundle."""
        return posixpath.basename(self.path)


def latest_version(tables: Lakehouse) -> Version | None:
    """The model in production; None before the first one."""
    versions = all_versions(tables)
    return versions[-1] if versions else None


def all_versions(tables: Lakehouse) -> list[Version]:
    """The versions of the production model, oldest first; none before the first one."""
    if not tables.exists(PRODUCTION_MODEL):
        return []
    rows = tables.read_polars(PRODUCTION_MODEL).sort("version")
    return [
        Version(
            version=int(row["version"]),
            algorithm=row["algorithm"],
            path=row["path"],
            cutoff=dt.date.fromisoformat(str(row["cutoff"])[:10]),
            trained_at=row.get("trained_at"),
            parameters=json.loads(row["parameters"]),
            # Releases before these columns wrote rows without them.
            **{name: json.loads(row.get(name) or "{}") for name in ("decision", "lake_versions", "settings")},
        )
        for row in rows.iter_rows(named=True)
    ]


def listing(tables: Lakehouse) -> str:
    """The versions as a table in text, newest first: version, algorithm, cutoff, trained_at, origin, path.

    Raises:
        LakeError: There is no production model yet.
    """
    tables.open(PRODUCTION_MODEL)
    rows = [("version", "algorithm", "cutoff", "trained_at", "origin", "path")] + [
        (
            str(one.version),
            one.algorithm,
            str(one.cutoff),
            f"{one.trained_at:%Y-%m-%d %H:%M}" if one.trained_at else "",
            clean(one.origin, 80),
            one.path,
        )
        for one in reversed(all_versions(tables))
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def read_version(files: ReadsFiles, version: Version) -> Bundle:
    """The bundle of a version, under the version's own number.

    Args:
        files: The files of the lake.
        version: A row of the table of production models.

    Raises:
        BundleError: The bundle is incomplete or was changed, or another release wrote it.
    """
    from salesml_assets.forecasting.model.bundle import read_bundle

    bundle = read_bundle(partial(files.read, PRODUCTION_MODEL, version.folder), version.path)
    return replace(bundle, version=version.version)


def promote(
    tables: Lakehouse, files: ReadsFiles, settings: Settings, *, version: int, by: str, reason: str, now: dt.datetime
) -> Version:
    """Puts an earlier version into production: a new row that repeats it.

    Args:
        tables: The lake.
        files: Its files.
        settings: The settings; the version has to forecast what they say.
        version: Number of the earlier version.
        by: Who chose it.
        reason: Why.
        now: When, with a time zone.

    Returns:
        The new version.

    Raises:
        VersionError: There is no such version, it serves already, or it forecasts other series, at another frequency,
            another target or fewer steps.
        BundleError: Its bundle is incomplete or was changed.
    """
    versions = all_versions(tables)
    return _put(tables, files, settings, versions, _numbered(versions, version), PROMOTE, by, reason, now)


def roll_back(
    tables: Lakehouse, files: ReadsFiles, settings: Settings, *, by: str, reason: str, now: dt.datetime
) -> Version:
    """Puts the version into production that served before the present one; once more: the one before that.

    Args:
        tables: The lake.
        files: Its files.
        settings: As in `promote`.
        by: Who chose it.
        reason: Why.
        now: When, with a time zone.

    Returns:
        The new version.

    Raises:
        VersionError: There is no earlier version, or as in `promote`.
        BundleError: As in `promote`.
    """
    versions = all_versions(tables)
    if not versions:
        raise VersionError("there is no production model yet: run `salesml run` first")
    place = len(versions) - 1
    while versions[place].decision.get("action") == ROLL_BACK:  # it stands where the version stood that it repeats
        place = versions.index(_numbered(versions, versions[place].decision["version"]))
    if place == 0:
        raise VersionError(f"version {versions[0].version} is the first one: there is nothing to go back to")
    return _put(tables, files, settings, versions, versions[place - 1], ROLL_BACK, by, reason, now)


def _numbered(versions: list[Version], number: int) -> Version:
    for version in versions:
        if version.version == number:
            return version
    there = f"there are 1 to {versions[-1].version}" if versions else "there is none yet: run `salesml run` first"
    raise VersionError(f"there is no version {number}: {there}")


def _put(
    tables: Lakehouse,
    files: ReadsFiles,
    settings: Settings,
    versions: list[Version],
    chosen: Version,
    action: str,
    by: str,
    reason: str,
    now: dt.datetime,
) -> Version:
    present = versions[-1]
    if chosen.folder == present.folder:
        same = "" if chosen.version == present.version else f", as version {present.version}"
        raise VersionError(f"version {chosen.version} is in production already{same}")
    _refuse_unfit(read_version(files, chosen), settings)  # what cannot be read would stop the next forecasts
    number = present.version + 1
    decision = {
        "action": action,
        "version": chosen.version,
        "by": by,
        "reason": reason,
        "at": now.astimezone(dt.UTC).isoformat(timespec="seconds"),
    }
    rows = tables.read_polars(PRODUCTION_MODEL).sort("version")
    repeated = rows.filter(pl.col("version") == chosen.version).with_columns(
        pl.lit(number).cast(rows["version"].dtype).alias("version"),
        pl.lit(json.dumps(decision, sort_keys=True)).alias("decision"),
    )
    tables.write_polars(pl.concat([rows, repeated]), PRODUCTION_MODEL)
    return replace(chosen, version=number, decision=decision)


def _refuse_unfit(bundle: Bundle, settings: Settings) -> None:
    learned, wanted = bundle.settings["forecast"], settings.forecast
    for name in MEANING:
        if learned[name] != getattr(wanted, name):
            raise VersionError(
                f"version {bundle.version} was trained with forecast.{name} {_shown(learned[name])}, the settings say "
                f"{_shown(getattr(wanted, name))}: it cannot serve these series"
            )
    if bundle.horizon < wanted.horizon:
        raise VersionError(
            f"version {bundle.version} forecasts {bundle.horizon} steps, forecast.horizon is {wanted.horizon}: "
            "it cannot serve the last ones"
        )


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
