"""Baselines: an expression over the panel, nothing to train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Parameters, read_about, write_about

if TYPE_CHECKING:
    import datetime as dt

    from pyspark.sql import DataFrame

    from salesml_assets.forecasting.training.sample import EncodedPanel


@dataclass(frozen=True)
class Baseline:
    """A column of the panel that is the forecast."""

    column: str
    parameters: Parameters

    def predict(self, rows: DataFrame) -> DataFrame:
        """Adds `yhat`."""
        from pyspark.sql import functions as F

        return rows.withColumn("yhat", F.col(self.column))

    predict_encoded = predict  # from rows of the panel: there is nothing to encode

    def save(self, path: str) -> None:
        """Writes which column it is."""
        write_about({"column": self.column, "parameters": self.parameters}, path)

    @classmethod
    def load(cls, path: str) -> Baseline:
        """Reads what `save` wrote."""
        return cls(**read_about(path))

    def importance(self) -> dict[str, float]:
        """Nothing is learned."""
        return {}


@dataclass(frozen=True)
class BaselineTrainer:
    """Turns parameters into a column name."""

    column_of: Callable[[Parameters], str]
    count: int = 0

    def fit(self, parameters: Parameters) -> Baseline:
        """Nothing to fit."""
        return Baseline(self.column_of(parameters), parameters)

    def fit_all(self, candidates: Sequence[Parameters]) -> Iterator[Baseline]:
        """The same for several sets of parameters."""
        return map(self.fit, candidates)

    def predict_all(self, fitted: Sequence[Baseline], rows: DataFrame) -> DataFrame:
        """Adds `yhats`."""
        from pyspark.sql import functions as F

        return rows.withColumn("yhats", F.array(*[F.col(one.column) for one in fitted]))

    def close(self) -> None:
        """Nothing has been begun."""


def baseline(column_of: Callable[[Parameters], str]) -> Callable[[EncodedPanel, dt.date], BaselineTrainer]:
    """The `prepare` of a baseline."""

    def prepare(encoded: EncodedPanel, cutoff: dt.date) -> BaselineTrainer:
        return BaselineTrainer(column_of)

    return prepare
