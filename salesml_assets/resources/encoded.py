"""The panel's rows as vectors, shared by all algorithms that one process computes in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from salesml_assets.config.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from salesml_assets.forecasting.training.sample import EncodedPanel


class EncodedPanels(dg.ConfigurableResource):
    """What one algorithm has encoded, the next one finds; Spark's session frees it at the end of the run."""

    _panels: dict[int, EncodedPanel] = PrivateAttr(default_factory=dict)

    def of(self, panel: DataFrame, settings: Settings) -> EncodedPanel:
        """The panel's vectors.

        Args:
            panel: A version of the panel, as the lake reads it.
            settings: The settings.
        """
        from salesml_assets.forecasting.training.sample import EncodedPanel

        version = panel.semanticHash()  # the same for each look at the same files
        if version not in self._panels:
            self._panels[version] = EncodedPanel(panel, settings)
        return self._panels[version]
