"""Learners of Spark's MLlib: fitted on Spark, then turned into plain data and compared with MLlib's own predictions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from salesml_assets.forecasting.algorithms.base import Engines, Fit, FitAll, Parameters

if TYPE_CHECKING:
    from pyspark.ml import Estimator
    from pyspark.ml import Model as SparkModel
    from pyspark.sql import DataFrame, SparkSession

    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.model.regressors import Regressor
    from salesml_assets.forecasting.training.sample import Sample

VECTOR, LABEL, WEIGHT = "features", "label", "weight"
ROWS_PER_TASK = 250_000
# Sums of float32 leaves differ from MLlib's sums of doubles by some 1e-6 of their size.
TOLERANCE = 1e-5


class ParityError(RuntimeError):
    """The portable form of a model predicts other values than MLlib does."""


@dataclass(frozen=True)
class Learner:
    """How one of MLlib's estimators is fitted and converted.

    Attributes:
        estimator: The estimator for parameters and a seed.
        convert: The regressors of a fitted model: of an ensemble those of its first trees, for each count in `trees`.
        trees: The parameter that counts the trees of an ensemble; None for other models.
        scaled: Whether it learns from inputs divided by their standard deviation.
    """

    estimator: Callable[[Parameters, int], Estimator]
    convert: Callable[[SparkModel, Sample, Engines, Sequence[int]], list[Regressor]]
    trees: str | None = None
    scaled: bool = False


def mllib(learner: Callable[[], Learner], rows: str) -> FitAll:
    """The `fit` of one of MLlib's learners.

    Args:
        learner: Gives the learner; called when Spark is there.
        rows: Name of the setting that caps the training rows.
    """

    def fit(
        sample: Sample,
        candidates: Sequence[Parameters],
        settings: TrainingSettings,
        engines: Engines,
        probe: Matrix,
    ) -> Iterator[Fit]:
        return _fit_all(learner(), sample.at_most(getattr(settings, rows)), candidates, settings.seed, engines, probe)

    return fit


def tasks(rows: int) -> int:
    """Spark tasks that work together on one fit.

    Handing over sums after every level of every tree costs more than it saves on few rows: there, fits side by side
    keep the cores busy. By the rows alone, so that every machine gets the same model.

    >>> tasks(100_000), tasks(1_000_000)
    (1, 4)
    """
    return -(-rows // ROWS_PER_TASK)


def _fit_all(
    learner: Learner,
    sample: Sample,
    candidates: Sequence[Parameters],
    seed: int,
    engines: Engines,
    probe: Matrix,
) -> Iterator[Fit]:
    """Of ensembles that differ in the number of their trees alone, only the largest is grown: the first trees of a
    forest are a forest, and each boosted tree knows only those before it.
    """  # fmt: skip
    from salesml_assets.forecasting.model.models import Learned

    spark = engines.spark()
    training = training_frame(spark, sample, learner.scaled).persist()
    groups: dict[str, list[int]] = {}
    for number, parameters in enumerate(candidates):
        alike = {name: value for name, value in parameters.items() if name != learner.trees}
        groups.setdefault(repr(sorted(alike.items())), []).append(number)

    def fit(numbers: list[int]) -> dict[int, Fit]:
        counts = [int(candidates[number][learner.trees]) if learner.trees else 0 for number in numbers]
        largest = candidates[numbers[int(np.argmax(counts))]]
        fitted = learner.estimator(largest, seed).fit(training)
        regressors = learner.convert(fitted, sample, engines, counts)
        difference = parity(fitted, regressors[int(np.argmax(counts))], sample, probe, learner.scaled, spark)
        return {
            number: Fit(Learned(sample.encoder, (regressor,)), difference, fitted)
            for number, regressor in zip(numbers, regressors, strict=True)
        }

    with ThreadPoolExecutor(engines.cores, thread_name_prefix="fit") as pool:
        # Grids go from small to large: the longest fit starts first, so that the others do not wait for it at the end.
        begun = {key: pool.submit(fit, numbers) for key, numbers in reversed(groups.items())}
        try:
            for number in range(len(candidates)):
                (key,) = (key for key, numbers in groups.items() if number in numbers)
                yield begun[key].result()[number]
        finally:
            for future in begun.values():
                future.cancel()
            training.unpersist()


def training_frame(spark: SparkSession, sample: Sample, scaled: bool) -> DataFrame:
    """A sample as a Spark frame: vector, label and weight, in the sample's order and a fixed number of partitions."""
    matrix = sample.matrix / sample.encoder.deviations if scaled else sample.matrix
    return vector_frame(spark, matrix, **{LABEL: sample.labels, WEIGHT: sample.weights})


def vector_frame(spark: SparkSession, matrix: np.ndarray, **columns: np.ndarray) -> DataFrame:
    """A matrix and columns of numbers as a Spark frame with the column `features`, in order, in one partition for
    every `ROWS_PER_TASK` rows.
    """  # fmt: skip
    import pyarrow as pa
    from pyspark.ml.functions import array_to_vector

    values = pa.array(np.ascontiguousarray(matrix, np.float64).reshape(-1))
    offsets = pa.array(np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1])
    table = pa.table({VECTOR: pa.ListArray.from_arrays(offsets, values), **columns})
    frame = spark.createDataFrame(table).coalesce(tasks(len(matrix)))
    return frame.withColumn(VECTOR, array_to_vector(frame[VECTOR]))


def parity(
    fitted: Any, regressor: Regressor, sample: Sample, probe: Matrix, scaled: bool, spark: SparkSession
) -> float:
    """The largest difference between MLlib's predictions and those of the portable form.

    Raises:
        ParityError: It is beyond what rounding to float32 explains.
    """
    vectors = vector_frame(spark, probe / sample.encoder.deviations if scaled else probe)
    own = fitted.transform(vectors).select("prediction").toArrow()["prediction"].to_numpy()
    portable = regressor.predict(probe)
    difference = np.abs(own - portable)
    if not (difference <= TOLERANCE * (1.0 + np.abs(own))).all():
        raise ParityError(
            f"{type(fitted).__name__}: the portable model differs from MLlib's predictions by up to "
            f"{difference.max():.3g} (as a multiple of a series' typical level); it is not used"
        )
    return float(difference.max())


def saved_tables(model: Any, engines: Engines, *names: str) -> list[Any]:
    """Tables that MLlib saves with a model, as Arrow tables; the saved model is removed again."""
    from salesml_assets.spark.hadoop import file_system, hadoop_path

    spark, folder = engines.spark(), f"{engines.scratch}/{uuid.uuid4()}"
    try:
        model.write().save(folder)
        return [spark.read.parquet(f"{folder}/{name}").toArrow() for name in names]
    finally:
        file_system(spark, folder).delete(hadoop_path(spark, folder), True)


def convert_trees(normalized_gain: bool) -> Callable[[Any, Sample, Engines, Sequence[int]], list[Regressor]]:
    """The `convert` of ensembles of trees.

    Args:
        normalized_gain: Whether the ensemble is a mean of trees (a forest) and not a weighted sum.
    """

    def convert(fitted: Any, sample: Sample, engines: Engines, counts: Sequence[int]) -> list[Regressor]:
        from salesml_assets.forecasting.model.mllib_trees import booster_of, read_trees
        from salesml_assets.forecasting.model.regressors import Trees

        (nodes,) = saved_tables(fitted, engines, "data")
        trees, weights = read_trees(nodes), list(fitted.treeWeights)
        return [
            Trees(
                booster_of(
                    trees[:count],
                    [1 / count] * count if normalized_gain else weights[:count],
                    sample.matrix.shape[1],
                    normalized_gain,
                )
            )
            for count in counts
        ]

    return convert


def convert_linear(fitted: Any, sample: Sample, engines: Engines, counts: Sequence[int]) -> list[Regressor]:
    """The `convert` of a linear model of scaled inputs."""
    from salesml_assets.forecasting.model.regressors import Linear

    encoder = sample.encoder
    return [Linear(fitted.coefficients.toArray(), float(fitted.intercept), encoder.means, encoder.deviations)]
