"""Versions of the production model: rows of its table in the lake, the newest one serves. No Spark, no Dagster.

A training adds a row. So does a choice by hand, which repeats an earlier row under a new number (`promote`,
`roll_back`), and an A/B test that the challenger has won (`promote_challenger`).
"""

from __future__ import annotations

import datetime as dt
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.names import CHALLENGER_MODEL, PRODUCTION_MODEL
from salesml_assets.text import aligned, clean

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.lake.store import Lakehouse


PROMOTE, ROLL_BACK, AB_TEST = "promote", "rollback", "ab_test"
# Settings of the section `forecast` by which a model's forecasts mean what they say.
MEANING = ("series", "frequency", "target")


class VersionError(ValueError):
    """A version cannot be put into production; the message says why."""


class ReadsFiles(Protocol):
    """The files of the lake: `lake.files.Files`, or Dagster's resource of them."""

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file."""
        ...


class ListsFiles(ReadsFiles, Protocol):
    """The files of the lake, which can be listed, too."""

    def list(self, name: str, version: str | int) -> list[str]:
        """The files of a version, as paths below its folder."""
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
        challenger: Whether it is a row of the table of challengers, which are numbered apart.
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
    challenger: bool = False

    @property
    def repeats(self) -> bool:
        """Whether it is a model that was trained before, and was chosen by hand or by an A/B test."""
        return self.decision.get("action") in (PROMOTE, ROLL_BACK, AB_TEST)

    @property
    def origin(self) -> str:
        """How it came into production, in a few words."""
        if not self.repeats:
            return "trained"
        chosen = self.decision
        if chosen["action"] == AB_TEST:
            return f"{chosen['by']}: {chosen['reason']}"
        return f"{chosen['action']} of version {chosen['version']} by {chosen['by']}: {chosen['reason']}"

    @property
    def in_production_since(self) -> dt.datetime | None:
        """When it came into production, UTC; None where an earlier release did not note it."""
        at = dt.datetime.fromisoformat(self.decision["at"]) if self.repeats else self.trained_at
        return at.replace(tzinfo=dt.UTC) if at and at.tzinfo is None else at

    @property
    def trained(self) -> str:
        """When it was trained, to the minute, UTC; empty where that is not known."""
        return f"{self.trained_at:%Y-%m-%d %H:%M}" if self.trained_at else ""

    @property
    def folder(self) -> str:
        """Name of the folder of its bundle."""
        return posixpath.basename(self.path)

    @property
    def name(self) -> str:
        """What it is called: `version 3`, or `challenger 2`."""
        return f"{'challenger' if self.challenger else 'version'} {self.version}"

    @property
    def recipe(self) -> Recipe:
        """Algorithm and parameters."""
        return Recipe(algorithm=self.algorithm, parameters=self.parameters)


def latest_version(tables: Lakehouse) -> Version | None:
    """The model in production; None before the first one."""
    versions = all_versions(tables)
    return versions[-1] if versions else None


def all_versions(tables: Lakehouse) -> list[Version]:
    """The versions of the production model, oldest first; none before the first one."""
    if not tables.exists(PRODUCTION_MODEL):
        return []
    rows = tables.read_polars(PRODUCTION_MODEL).sort("version")
    return [version_of(row) for row in rows.iter_rows(named=True)]


def version_of(row: Mapping[str, Any], challenger: bool = False) -> Version:
    """A row of the table of production models, or of that of challengers."""
    return Version(
        version=int(row["version"]),
        algorithm=row["algorithm"],
        path=row["path"],
        cutoff=dt.date.fromisoformat(str(row["cutoff"])[:10]),
        trained_at=row.get("trained_at"),
        parameters=json.loads(row["parameters"]),
        challenger=challenger,
        # Releases before these columns wrote rows without them.
        **{name: json.loads(row.get(name) or "{}") for name in ("decision", "lake_versions", "settings")},
    )


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
            one.trained,
            clean(one.origin, 80),
            one.path,
        )
        for one in reversed(all_versions(tables))
    ]
    return aligned(rows)


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


@dataclass(frozen=True)
class Choice:
    """A choice that is not a training's.

    Attributes:
        action: `PROMOTE`, `ROLL_BACK` or `AB_TEST`.
        by: Who chose.
        reason: Why.
        now: When, with a time zone.
        evidence: Figures behind it, as JSON takes them.
    """

    action: str
    by: str
    reason: str
    now: dt.datetime
    evidence: Mapping[str, Any] | None = None

    def decision(self, chosen: Version) -> dict[str, Any]:
        """What the new row says of why it serves."""
        found = {
            "action": self.action,
            "version": chosen.version,
            "by": self.by,
            "reason": self.reason,
            "at": self.now.astimezone(dt.UTC).isoformat(timespec="seconds"),
        }
        return found | ({"evidence": dict(self.evidence)} if self.evidence is not None else {})


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
    chosen = _numbered(all_versions(tables), version)
    return _put(tables, files, settings, chosen, Choice(PROMOTE, by, reason, now))


def roll_back(
    tables: Lakehouse, files: ReadsFiles, settings: Settings, *, by: str, reason: str, now: dt.datetime
) -> Version:
    """Puts the version into production that served before the present one; once more: the one before that.

    Arguments, result and errors as for `promote`.

    Raises:
        VersionError: There is no earlier version, or as in `promote`.
    """
    versions = all_versions(tables)
    if not versions:
        raise VersionError("there is no production model yet: run `salesml run` first")
    place = len(versions) - 1
    while versions[place].decision.get("action") == ROLL_BACK:  # it stands where the version stood that it repeats
        place = versions.index(_numbered(versions, versions[place].decision["version"]))
    if place == 0:
        raise VersionError(f"version {versions[0].version} is the first one: there is nothing to go back to")
    return _put(tables, files, settings, versions[place - 1], Choice(ROLL_BACK, by, reason, now))


def promote_challenger(
    tables: Lakehouse, files: ReadsFiles, settings: Settings, challenger: Version, choice: Choice
) -> Version:
    """Puts a challenger into production: a new row of the table of production models.

    Args:
        tables: The lake.
        files: Its files.
        settings: As in `promote`.
        challenger: A row of the table of challengers.
        choice: The A/B test that it won.

    Returns:
        The new version.

    Raises:
        VersionError: As in `promote`.
        BundleError: As in `promote`.
    """
    return _put(tables, files, settings, challenger, choice)


def _numbered(versions: list[Version], number: int) -> Version:
    for version in versions:
        if version.version == number:
            return version
    there = f"there are 1 to {versions[-1].version}" if versions else "there is none yet: run `salesml run` first"
    raise VersionError(f"there is no version {number}: {there}")


def _put(tables: Lakehouse, files: ReadsFiles, settings: Settings, chosen: Version, choice: Choice) -> Version:
    rows = tables.read_polars(PRODUCTION_MODEL).sort("version")
    present = version_of(rows.row(-1, named=True))
    if chosen.folder == present.folder:
        same = "" if chosen.version == present.version else f", as version {present.version}"
        raise VersionError(f"{chosen.name} is in production already{same}")
    _refuse_unfit(read_version(files, chosen), chosen.name, settings)  # what cannot be read stops the next forecasts
    number, decision = present.version + 1, choice.decision(chosen)
    source = tables.read_polars(CHALLENGER_MODEL) if chosen.challenger else rows
    repeated = source.filter(pl.col("version") == chosen.version).with_columns(
        version=pl.lit(number), decision=pl.lit(json.dumps(decision, sort_keys=True, default=str))
    )
    # A table of an earlier release lacks columns; one that it has and the challengers' table has not stays null.
    new = pl.concat([rows.clear(), repeated.select(set(rows.columns) & {*repeated.columns})], how="diagonal_relaxed")
    tables.write_polars(pl.concat([rows, new.select(rows.columns).cast(rows.schema)]), PRODUCTION_MODEL)
    return replace(chosen, version=number, decision=decision, challenger=False)


def _refuse_unfit(bundle: Bundle, called: str, settings: Settings) -> None:
    learned, wanted = bundle.settings["forecast"], settings.forecast
    for name in MEANING:
        if learned[name] != getattr(wanted, name):
            raise VersionError(
                f"{called} was trained with forecast.{name} {_shown(learned[name])}, the settings say "
                f"{_shown(getattr(wanted, name))}: it cannot serve these series"
            )
    if bundle.horizon < wanted.horizon:
        raise VersionError(
            f"{called} forecasts {bundle.horizon} steps, forecast.horizon is {wanted.horizon}: "
            "it cannot serve the last ones"
        )


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
