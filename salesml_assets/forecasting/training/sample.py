"""The panel's rows as vectors: encoded once for each origin, and held in memory for all algorithms that learn.

Indexes and scaling are fitted on the training rows of their origin alone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import functions as F

from salesml_assets.forecasting.algorithms.base import (
    LABEL,
    NON_NEGATIVE_LABEL,
    PREDICTION_COLUMNS,
    VECTOR,
    WEIGHT,
    PanelColumns,
    tasks,
)
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.panel import SCORE, TRAIN
from salesml_assets.forecasting.training.panel import folds_of

if TYPE_CHECKING:
    from pyspark.ml import Estimator, Transformer
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import Settings

RAW_VECTOR = "raw_vector"
# Sales are heavy-tailed: the total of fewer rows is itself off by 5 % and more.
BIAS_ROWS = 50_000
# One order of a size never seen before must not decide what a model learns: squared errors of such targets would.
LARGEST_LABEL = 10.0
# The deviance of Tweedie grows far slower, and a quarter's sales on a single day are about 91 times the mean.
LARGEST_TWEEDIE_LABEL = 91.0
# Errors of big series weigh more in the end; with their full weight the small ones would teach nothing.
WEIGHT_POWER = 0.25


@dataclass(frozen=True)
class TrainingRows:
    """Rows whose target lies on or before a cutoff.

    Attributes:
        encoder: Indexes, vector and scaling, fitted on them.
        inputs: Names of the vector's entries.
        rows: `kind`, `draw`, `y`, `scale`, the vector, and what a model learns: labels and weight.
        count: How many there are.
        widest: The largest `draw` among them.
    """

    encoder: PipelineModel
    inputs: tuple[str, ...]
    rows: DataFrame
    count: int
    widest: float

    def at_most(self, limit: int) -> TrainingRows:
        """About `limit` of them, thinned by their `draw`: the same rows in every run."""
        rows, count, widest = _thinned(self.rows, self.count, self.widest, limit)
        return replace(self, rows=rows, count=count, widest=widest)


class EncodedPanel:
    """A panel's rows as vectors, made when they are first asked for.

    Spark holds them until the session ends, or until its cache is cleared.
    """

    def __init__(self, panel: DataFrame, settings: Settings) -> None:
        """Nothing is computed yet.

        Args:
            panel: The panel with its training and scoring rows.
            settings: The settings.
        """
        self.panel = panel
        self.settings = settings
        self._training: dict[dt.date, TrainingRows] = {}
        self._scored: dict[int, DataFrame] = {}

    @cached_property
    def folds(self) -> list[Fold]:
        """The origins of the backtest that are in the panel."""
        return folds_of(self.panel, self.settings)

    def up_to(self, cutoff: dt.date) -> TrainingRows:
        """The rows that may be learned from at a cutoff: at most as many as any algorithm takes.

        Different cutoffs may be asked for by several threads at once.

        Raises:
            ValueError: There are none.
        """
        if cutoff not in self._training:
            self._training[cutoff] = self._encode(cutoff)
        return self._training[cutoff]

    def to_score(self, fold: Fold) -> DataFrame:
        """The rows of a fold of the backtest, encoded as the training rows of its origin are."""
        if fold.number not in self._scored:
            # The features themselves are in the vector.
            kept = [name for name in ("kind", *PREDICTION_COLUMNS) if name in self.panel.columns]
            encoded = self.up_to(fold.cutoff).encoder.transform(self.fold_rows(fold)).select(*kept, VECTOR)
            self._scored[fold.number] = encoded.persist()
        return self._scored[fold.number]

    def fold_rows(self, fold: Fold) -> DataFrame:
        """The rows of a fold of the backtest as they stand in the panel."""
        return self.panel.where((F.col("kind") == SCORE) & (F.col("fold") == fold.number))

    def _encode(self, cutoff: dt.date) -> TrainingRows:
        training = self.settings.training
        rows, count, widest = training_rows(self.panel, cutoff, max(training.max_rows, training.tree_rows, BIAS_ROWS))
        relative = F.col("y") / F.col("scale")
        labels = {
            LABEL: F.least(F.greatest(relative, F.lit(-LARGEST_LABEL)), F.lit(LARGEST_LABEL)),
            NON_NEGATIVE_LABEL: F.least(F.greatest(relative, F.lit(0.0)), F.lit(LARGEST_TWEEDIE_LABEL)),
            WEIGHT: F.pow("scale", F.lit(WEIGHT_POWER)),
        }
        assembled = _assembler(rows, PanelColumns.of(self.panel))
        # Sums and bagging follow partitions and row order, so both are fixed, and the same on every machine.
        order = ("unique_id", "origin", "horizon")
        held = (
            assembled.transform(rows.withColumns(labels))
            .select(*order, "kind", "draw", "y", "scale", RAW_VECTOR, *labels)
            .repartition(tasks(training.max_rows), "unique_id")
            .sortWithinPartitions(*order)
            .drop(*order)
            .persist()  # many fits go through them, some several times
        )
        # Goes through all rows, so they are computed once, before several fits would each begin to.
        scaler = StandardScaler(inputCol=RAW_VECTOR, outputCol=VECTOR).fit(held)
        encoder = PipelineModel([*assembled.stages, scaler])
        return TrainingRows(encoder, _input_names(held), scaler.transform(held).drop(RAW_VECTOR), count, widest)


def training_rows(panel: DataFrame, cutoff: dt.date, limit: int) -> tuple[DataFrame, int, float]:
    """Rows of a panel whose target lies on or before the cutoff, at most about `limit` of them.

    Rows are thinned by their `draw`, so the same rows are taken in every run.

    Returns:
        The rows, how many they are, and the largest `draw` among them.

    Raises:
        ValueError: There are none.
    """
    rows = panel.where((F.col("kind") == TRAIN) & (F.col("ds") <= F.lit(cutoff)))
    count, widest = rows.agg(F.count(F.lit(1)), F.max("draw")).first()  # type: ignore[misc]
    if count == 0:
        raise ValueError(f"there are no rows to train on up to {cutoff}: the series are too short")
    return _thinned(rows, count, widest, limit)


def _thinned(rows: DataFrame, count: int, widest: float, limit: int) -> tuple[DataFrame, int, float]:
    """About `limit` of `count` rows whose draws are spread up to `widest`; with how many they are, and their widest."""
    if count <= limit:
        return rows, count, widest
    widest *= limit / count
    return rows.where(F.col("draw") < widest), limit, widest


def _assembler(rows: DataFrame, columns: PanelColumns) -> PipelineModel:
    """Fits the indexes on training rows; with the vector behind them, which has nothing to fit."""
    indexed = [*columns.keys, *columns.texts]
    stages: list[Estimator | Transformer] = []
    inputs = [*columns.features, *[f"{name}_index" for name in columns.keys]]
    if indexed:
        outputs = [f"{name}_index" for name in indexed]
        # Ties in frequency are broken by name, so that the same rows give the same index.
        stages.append(StringIndexer(inputCols=indexed, outputCols=outputs, handleInvalid="keep"))
    if columns.texts:
        hot = [f"{name}_hot" for name in columns.texts]
        stages.append(OneHotEncoder(inputCols=[f"{name}_index" for name in columns.texts], outputCols=hot))
        inputs += hot
    stages.append(VectorAssembler(inputCols=inputs, outputCol=RAW_VECTOR))
    return Pipeline(stages=stages).fit(rows)


def _input_names(assembled: DataFrame) -> tuple[str, ...]:
    """Names of the vector's entries; the scaled vector itself has lost them."""
    groups = assembled.schema[RAW_VECTOR].metadata["ml_attr"]["attrs"].values()
    names = {entry["idx"]: entry["name"] for group in groups for entry in group}
    return tuple(names[number] for number in range(len(names)))
