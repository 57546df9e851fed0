"""Brings the registry in step with the table of production models, which stays the truth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from salesml_assets.config.settings import ROLLBACK_DAYS
from salesml_assets.forecasting.model.bundle import BundleError
from salesml_assets.forecasting.retention import kept_bundles
from salesml_assets.forecasting.versions import ListsFiles, Version, all_versions
from salesml_assets.registry.connection import Connection, RegistryAwayError, connected
from salesml_assets.registry.entry import gather
from salesml_assets.registry.tracking import BUNDLE_TAG, register
from salesml_assets.text import masked

if TYPE_CHECKING:
    from salesml_assets.config.settings import RegistrySettings
    from salesml_assets.lake.store import Lakehouse

CHAMPION, CHALLENGER = "champion", "challenger"
MAX_CAUGHT_UP = 20  # trainings that the registry gets to know: the newest ones, so that a new registry costs minutes


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """How the registry stands to the table.

    Attributes:
        champion: The model's version in the registry that serves; None while it is not registered.
        added: Names of the models that were registered now: `version 3`, `challenger 1`.
        missing: Names of those that are not registered.
        run_id: The champion's run in MLflow.
        link: Page of that run; None without a server.
        problem: Why it is not in step; None where it is.
    """

    champion: str | None = None
    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    run_id: str | None = None
    link: str | None = None
    problem: str | None = None

    @property
    def caught_up_later(self) -> str:
        """The problem as a sentence, and what follows from it."""
        return f"{(self.problem or '').rstrip('.')}. The next run catches up."


def mirror(
    lake: Lakehouse,
    files: ListsFiles,
    settings: RegistrySettings,
    challenger: Version | None = None,
    *,
    rollback_days: int = ROLLBACK_DAYS,
) -> Mirror:
    """Registers what the registry lacks, and points its aliases at what serves; once more, it changes nothing.

    Versions that can no longer be put back leave the registry; their runs in MLflow, with metrics, stay.

    Whatever MLflow raises is returned as the problem: a registry that is away stops no run and no promotion, and the
    next call makes up for it.

    Args:
        lake: The lake.
        files: Its files.
        settings: Where the registry is.
        challenger: The model that is tested against the one in production, if there is one.
        rollback_days: Days for which a replaced version can be put back.
    """
    versions = all_versions(lake)
    kept = kept_bundles(versions, dt.datetime.now(dt.UTC), rollback_days)
    wanted = {CHAMPION: versions[-1]} if versions else {}
    if challenger is not None:
        wanted[CHALLENGER] = challenger
        versions.append(challenger)
        kept.add(challenger.folder)
    # The first row of a bundle is its training.
    trained = {version.folder: version for version in reversed(versions) if version.folder in kept}
    lacking = list(reversed(list(trained.values())[:MAX_CAUGHT_UP]))
    added: list[str] = []
    problems: list[str] = []
    champion = run_id = link = None
    try:
        with connected(settings) as connection:
            with connection.asking():
                known = _registered(connection)
            lacking = [version for version in lacking if version.folder not in known]
            for version in lacking:
                try:
                    entry = gather(lake, files, version)
                except BundleError as error:
                    problems.append(masked(str(error)))
                    continue
                with connection.asking():
                    known[version.folder] = register(connection, entry)
                added.append(version.name)
            with connection.asking():
                _point(connection, {alias: known.get(version.folder) for alias, version in wanted.items()})
                for folder in known.keys() - kept:
                    connection.client.delete_model_version(connection.name, known[folder])
                champion = known.get(wanted[CHAMPION].folder) if CHAMPION in wanted else None
                if champion is not None:
                    run_id = connection.client.get_model_version(connection.name, champion).run_id
                    link = connection.link(run_id) if run_id else None
    except RegistryAwayError as error:
        problems.append(str(error))
    return Mirror(
        champion=champion,
        added=tuple(added),
        missing=tuple(version.name for version in lacking if version.name not in added),
        run_id=run_id,
        link=link,
        problem="; ".join(problems) or None,
    )


def _registered(connection: Connection) -> dict[str, str]:
    """Version in the registry of each bundle; the model is created where it is not there."""
    client, name = connection.client, connection.name
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description="Mirror of the production models in the lake.")
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found |= {one.tags[BUNDLE_TAG]: str(one.version) for one in page if BUNDLE_TAG in one.tags}
        token = page.token
        if not token:
            return found


def _point(connection: Connection, wanted: Mapping[str, str | None]) -> None:
    """Sets the aliases; one that nothing is wanted for is removed."""
    client, name = connection.client, connection.name
    present = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    for alias in (CHAMPION, CHALLENGER):
        version = wanted.get(alias)
        if version is not None and present.get(alias) != version:
            client.set_registered_model_alias(name, alias, version)
        elif alias not in wanted and alias in present:
            client.delete_registered_model_alias(name, alias)
