"""The panel of a run and what models are fitted on, shared by all assets that one process computes."""

# No postponed annotations here: Dagster reads the types of nested resources from the class.
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from salesml_assets.config.settings import Settings
from salesml_assets.lake.files import FOLDER
from salesml_assets.lake.parquet import Batches, frames_as_batches
from salesml_assets.names import FEATURES, PANEL
from salesml_assets.resources.lake import Lake
from salesml_assets.resources.spark import SparkResource
from salesml_assets.spark.session import cores_here, is_local

if TYPE_CHECKING:
    import polars as pl

    from salesml_assets.forecasting.algorithms.base import Engines
    from salesml_assets.forecasting.training.sample import TrainingPanel

SCRATCH = "_scratch"


class Training(dg.ConfigurableResource):
    """The samples that one algorithm has encoded, the next one finds; they are freed at the end of the run."""

    tables: dg.ResourceDependency[Lake]
    spark: dg.ResourceDependency[SparkResource]
    _panels: dict[int, Any] = PrivateAttr(default_factory=dict)

    def panel(self, settings: Settings, run_id: str) -> "TrainingPanel":
        """The panel that a run reads: the version that it wrote, else the latest."""
        from salesml_assets.forecasting.new_series import COLUMNS
        from salesml_assets.forecasting.training.sample import TrainingPanel

        version = self.tables.version_in_run(PANEL, run_id)
        if version not in self._panels:
            source = partial(self.tables.tables.batches, PANEL, version=version)
            lake, features = self.tables.tables, self.tables.version_in_run(FEATURES, run_id)
            columns = [name for name in COLUMNS if name in lake.columns(FEATURES)]
            sums_of = partial(lake.batches, FEATURES, columns, version=features)
            self._panels = {version: TrainingPanel(source, sums_of, settings)}
        return self._panels[version]

    def engines(self, settings: Settings) -> "Engines":
        """What models are fitted on."""
        from salesml_assets.forecasting.algorithms.base import Engines

        return Engines(
            cores=cores_here(settings.spark.master),
            spark=lambda: self.spark.session,
            scratch=f"{settings.lake.root.rstrip('/')}/{FOLDER}/{SCRATCH}",
        )

    def apply(
        self, function: "Callable[[pl.DataFrame], pl.DataFrame]", kind: str, settings: Settings, run_id: str
    ) -> Any:
        """Applies a function of single rows to the panel's rows of a kind.

        Args:
            function: Takes and returns a frame; each row's result depends on that row alone.
            kind: `score` or `future`.
            settings: The settings.
            run_id: The run that reads.

        Returns:
            What the lake's IO manager writes: batches on one machine, a Spark frame on a cluster.
        """
        if is_local(settings.spark.master):
            import pyarrow.compute as pc

            panel = self.panel(settings, run_id)
            return _to_write(map(function, panel.source(filters=pc.field("kind") == kind)))
        from salesml_assets.spark.partitions import map_rows

        rows = self.tables.read(PANEL, self.tables.version_in_run(PANEL, run_id))
        return map_rows(rows.where(rows["kind"] == kind), function)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> "Iterator[Training]":
        """Dagster's frame around a run."""
        try:
            yield self
        finally:
            self._panels = {}


def _to_write(frames: "Iterator[pl.DataFrame]") -> Batches:
    """Frames with the schema of the first one.

    Raises:
        ValueError: There is none.
    """
    made = frames_as_batches(frames)
    if made is None:
        raise ValueError("the panel has no such rows: materialize `panel` again")
    return made
