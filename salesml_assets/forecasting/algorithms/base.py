"""What an algorithm is, and what a fitted one can do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from salesml_assets.forecasting.batches import PREDICTION_COLUMNS as PREDICTION_COLUMNS
from salesml_assets.spark.hadoop import file_system, hadoop_path

if TYPE_CHECKING:
    import datetime as dt

    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.training.sample import EncodedPanel

Parameters = dict[str, Any]
# What learned algorithms find in training rows.
VECTOR, LABEL, NON_NEGATIVE_LABEL, WEIGHT = "features", "label", "non_negative_label", "weight"
ROWS_PER_TASK = 250_000


class Fitted(Protocol):
    """A fitted model of one algorithm."""

    def predict(self, rows: DataFrame) -> DataFrame:
        """Adds `yhat`, in units of the target, to rows of the panel."""

    def predict_encoded(self, rows: DataFrame) -> DataFrame:
        """The same for rows that are encoded already; what needs no vector takes rows of the panel here, too."""

    def save(self, path: str) -> None:
        """Writes the model below a path that Spark reaches, without pickle."""

    def importance(self) -> dict[str, float]:
        """Share of each feature in the model, summing to 1; empty where the idea makes no sense."""


@dataclass(frozen=True)
class Algorithm:
    """An entry of the table of algorithms.

    Attributes:
        name: Name of the asset.
        title: Name for people.
        description: One sentence for the asset graph.
        grid: Values of each parameter among which the backtest chooses.
        prepare: The trainer for a panel and a cutoff.
        rows: Name of the setting that caps the training rows; None where nothing is trained.
    """

    name: str
    title: str
    description: str
    grid: dict[str, list[Any]]
    prepare: Callable[[EncodedPanel, dt.date], Trainer]
    rows: str | None = None

    def candidates(self, settings: TrainingSettings) -> list[Parameters]:
        """All combinations of the grid, the settings' own grid taking precedence."""
        grid = settings.grids.get(self.name, self.grid)
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


class Trainer(Protocol):
    """Fits one candidate after another on the training rows of one origin."""

    @property
    def count(self) -> int:
        """How many rows are learned from; 0 where nothing is learned."""

    def fit(self, parameters: Parameters) -> Fitted:
        """Fits one set of parameters."""

    def fit_all(self, candidates: Sequence[Parameters]) -> Iterator[Fitted]:
        """Fits several sets of parameters and yields them in order."""

    def predict_all(self, fitted: Sequence[Any], rows: DataFrame) -> DataFrame:
        """Adds `yhats`, an array with the forecast of each of its fitted models, as `predict_encoded` does for one."""

    def close(self) -> None:
        """A fit that nobody waits for any more is not begun."""


@dataclass(frozen=True)
class PanelColumns:
    """Columns of the panel that models learn from.

    Attributes:
        features: Numeric features.
        texts: Text covariates known in advance, one-hot encoded.
        keys: Series keys and category, indexed by frequency.
    """

    features: tuple[str, ...]
    texts: tuple[str, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, panel: DataFrame) -> PanelColumns:
        """Reads them off a panel's column names."""
        return cls(
            tuple(name for name in panel.columns if name.startswith("f_")),
            tuple(name for name in panel.columns if name.startswith("c_")),
            tuple(name for name in ("store", "category", "product") if name in panel.columns),
        )


def write_about(about: dict[str, Any], path: str) -> None:
    """Writes what else is to be known of a saved model, as JSON, wherever Spark can write."""
    from pyspark.sql import SparkSession

    # Without a job: one for a single line takes a quarter of a second, and each model has one.
    spark, file = SparkSession.active(), f"{path}/about"
    stream = file_system(spark, file).create(hadoop_path(spark, file), True)
    try:
        stream.write(json.dumps(about, sort_keys=True).encode())
    finally:
        stream.close()


def read_about(path: str) -> dict[str, Any]:
    """Reads what `write_about` wrote."""
    from pyspark.sql import SparkSession

    about: dict[str, Any] = json.loads(SparkSession.active().read.text(f"{path}/about").first()["value"])  # type: ignore[index]
    return about


def tasks(rows: int) -> int:
    """Spark tasks that work together on one fit.

    Handing over sums after every level of every tree costs more than it saves on few rows: there, fits side by side
    keep the cores busy. By the rows alone, so that every machine gets the same model.

    >>> tasks(100_000), tasks(1_000_000)
    (1, 4)
    """
    return -(-rows // ROWS_PER_TASK)
