"""Assets with owners, columns and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from salesml_assets.config.settings import Settings
from salesml_assets.guide.next_steps import asset_advice


def with_guide(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets with owners (`catalog.owners`) and, in their descriptions, what to do when they fail."""

    def guided(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.to_user_string()
        return spec.replace_attributes(
            description=f"{spec.description}\n\n{asset_advice(name)}", owners=settings.catalog.owners
        )

    return list(dg.map_asset_specs(guided, assets))
