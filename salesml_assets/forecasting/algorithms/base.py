"""What an algorithm is, and what its fit is given."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.model.models import Model
    from salesml_assets.forecasting.training.sample import Sample, TrainingPanel

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Engines:
    """What fits run on.

    Attributes:
        cores: Cores of this machine: so many fits run side by side.
        spark: Gives the Spark session; it starts when something first asks for it.
        scratch: Address of a folder that Spark can write to, for what is read back at once.
    """

    cores: int
    spark: Callable[[], SparkSession]
    scratch: str


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        model: The model as plain data.
        difference: Where another library fitted it: its largest difference from that library's own predictions, as a
            multiple of the series' scale; None where the model is the library's own.
        original: That library's model; None where the model is the library's own.
    """

    model: Model
    difference: float | None = None
    original: Any = None


class FitAll(Protocol):
    """Fits several sets of parameters on one sample."""

    def __call__(
        self,
        sample: Sample,
        candidates: Sequence[Parameters],
        settings: TrainingSettings,
        engines: Engines,
        probe: Matrix,
    ) -> Iterator[Fit]:
        """Yields the fits in the order of the candidates; `probe` holds encoded rows to compare predictions on."""


class Combine(Protocol):
    """Fits a combination of models, whose weights come from earlier origins of the panel."""

    def __call__(
        self, panel: TrainingPanel, parameters: Parameters, cutoff: dt.date, engines: Engines
    ) -> tuple[Fit, int]:
        """The combination for what is known at a cutoff, and the number of training rows."""


@dataclass(frozen=True)
class Algorithm:
    """An entry of the table of algorithms.

    Attributes:
        name: Name of the asset.
        title: Name for people.
        description: One sentence for the asset graph.
        grid: Values of each parameter among which the backtest chooses.
        fit: Fits candidates on a sample.
        rows: Name of the setting that caps the training rows; None where nothing is trained.
        combine: Fits a combination of models instead of `fit`; None for a model of its own.
        kinds: What it runs on, for the asset graph.
        is_searched: Whether it takes the recipe of the latest model search, where the settings have no grid for it.
    """

    name: str
    title: str
    description: str
    grid: dict[str, list[Any]]
    fit: FitAll
    rows: str | None = None
    combine: Combine | None = None
    kinds: frozenset[str] = frozenset()
    is_searched: bool = False

    def candidates(self, settings: TrainingSettings) -> list[Parameters]:
        """All combinations of the grid, the settings' own grid taking precedence."""
        grid = settings.grids.get(self.name, self.grid)
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
