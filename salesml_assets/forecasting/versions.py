"""Versions of the production model: rows of its table in the lake, the newest one serves. No Spark, no Dagster."""

from __future__ import annotations

import datetime as dt
import json
import posixpath
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from salesml_assets.names import PRODUCTION_MODEL

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.lake.store import Lakehouse


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
        trained_at: When, UTC.
        decision: Why it serves: the promotion decision with its numbers, or who chose it by hand.
        lake_versions: Version of each table that it was made from.
        settings: The settings in force when it was trained, without secrets.
    """

    version: int
    algorithm: str
    parameters: dict[str, Any]
    path: str
    cutoff: dt.date
    trained_at: dt.datetime
    decision: dict[str, Any]
    lake_versions: dict[str, int]
    settings: dict[str, Any]

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
            trained_at=row["trained_at"],
            **{name: json.loads(row[name]) for name in ("parameters", "decision", "lake_versions", "settings")},
        )
        for row in rows.iter_rows(named=True)
    ]


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
