"""Assets with owners, columns, what to do next, and links to their code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

import salesml_assets
from salesml_assets.config.settings import Settings
from salesml_assets.guide.next_steps import asset_advice


def with_guide(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets with owners (`catalog.owners`) and, in their descriptions, what to do when they fail."""

    def guided(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.to_user_string()
        return spec.replace_attributes(
            description=f"{spec.description}\n\n{asset_advice(name)}", owners=settings.catalog.owners
        )

    return _with_links_to_code(list(dg.map_asset_specs(guided, assets)), settings)


def _with_links_to_code(assets: list[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets with the place of their code: in `catalog.repository` where that is set, else on this machine."""
    with warnings.catch_warnings():
        # Used as documented; goes when Dagster calls it stable.
        warnings.simplefilter("ignore", dg.BetaWarning)
        linked = dg.with_source_code_references(assets)
        if settings.catalog.repository:
            package = Path(salesml_assets.__file__).parent
            linked = dg.link_code_references_to_git(
                linked,
                git_url=settings.catalog.repository,
                git_branch=settings.catalog.revision,
                file_path_mapping=dg.AnchorBasedFilePathMapping(package, package.name),
            )
    return [asset for asset in linked if isinstance(asset, dg.AssetsDefinition)]
