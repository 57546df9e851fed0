"""Learned algorithms: a Spark ML pipeline of indexes, one vector, standard scaling and a regressor.

The pipeline learns the target divided by the series' typical level; everything in it is fitted on the
training rows alone and is stored with the model. Spark is imported in the functions, because the table of
algorithms is read when the code location loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import (
    PanelColumns,
    Parameters,
    read_about,
    write_about,
)

if TYPE_CHECKING:
    from pyspark.ml import Estimator, Model, PipelineModel, Transformer
    from pyspark.sql import DataFrame

    from salesml_assets.config import TrainingSettings

LABEL, NON_NEGATIVE_LABEL, WEIGHT, VECTOR = "label", "non_negative_label", "weight", "features"
# One order of a size never seen before must not decide what a model learns: squared errors of such targets would.
LARGEST_LABEL = 10.0
# The deviance of Tweedie grows far slower, and a quarter's sales on a single day are about 91 times the mean.
LARGEST_TWEEDIE_LABEL = 91.0
# Errors of big series weigh more in the end; with their full weight the small ones would teach nothing.
WEIGHT_POWER = 0.25
EstimatorOf = Callable[[Parameters, "TrainingSettings"], "list[Estimator]"]


def encoder(rows: DataFrame, columns: PanelColumns) -> PipelineModel:
    """Fits the indexes, the vector and the scaling on training rows."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import (
        OneHotEncoder,
        StandardScaler,
        StringIndexer,
        VectorAssembler,
    )

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
    stages += [
        VectorAssembler(inputCols=inputs, outputCol="raw_vector"),
        StandardScaler(inputCol="raw_vector", outputCol=VECTOR),
    ]
    return Pipeline(stages=stages).fit(rows)


@dataclass(frozen=True)
class Learned:
    """Fitted encoder and one or more fitted regressors, whose mean is the forecast."""

    encoder: PipelineModel
    models: tuple[Model, ...]
    inputs: tuple[str, ...]

    def predict(self, rows: DataFrame) -> DataFrame:
        """Adds `yhat`."""
        return self.predict_encoded(self.encoder.transform(rows)).select(*rows.columns, "yhat")

    def predict_encoded(self, encoded: DataFrame) -> DataFrame:
        """Adds `yhat` to rows that the encoder has already been over."""
        from pyspark.sql import functions as F

        result = encoded
        predictions = []
        for number, model in enumerate(self.models):
            column = f"_prediction_{number}"
            result = model.transform(result).withColumnRenamed("prediction", column)
            predictions.append(F.col(column).cast("double"))
        mean = sum(predictions[1:], predictions[0]) / len(predictions)
        return result.withColumn("yhat", mean * F.col("scale")).select(*encoded.columns, "yhat")

    def save(self, path: str) -> None:
        """Writes the encoder, and each regressor as a pipeline of its own."""
        from pyspark.ml import PipelineModel

        write_about({"models": len(self.models), "inputs": self.inputs}, path)
        self.encoder.write().save(f"{path}/encoder")
        for number, model in enumerate(self.models):
            PipelineModel([model]).write().save(f"{path}/model_{number}")

    @classmethod
    def load(cls, path: str) -> Learned:
        """Reads what `save` wrote."""
        from pyspark.ml import PipelineModel

        about = read_about(path)
        loaded: list[Any] = [
            PipelineModel.load(f"{path}/model_{number}").stages[0] for number in range(about["models"])
        ]
        return cls(PipelineModel.load(f"{path}/encoder"), tuple(loaded), tuple(about["inputs"]))

    def importance(self) -> dict[str, float]:
        """Mean over the regressors of each input's share of the split gains, or of |coefficient| for a line."""
        totals = dict.fromkeys(self.inputs, 0.0)
        for model in self.models:
            for name, share in zip(self.inputs, _shares(model, len(self.inputs)), strict=True):
                totals[name] += share / len(self.models)
        return totals


def _shares(model: Any, size: int) -> list[float]:
    if hasattr(model, "get_feature_importances"):
        gains = model.get_feature_importances(importance_type="total_gain")
        weights = [float(gains.get(f"f{number}", 0.0)) for number in range(size)]
    elif hasattr(model, "featureImportances"):
        weights = [float(value) for value in model.featureImportances.toArray()]
    else:
        weights = [abs(float(value)) for value in model.coefficients.toArray()]
    total = sum(weights)
    return [value / total if total else 0.0 for value in weights]


@dataclass
class LearnedTrainer:
    """Encoded training rows, held in memory while candidates are fitted."""

    fitted_encoder: PipelineModel
    encoded: DataFrame
    inputs: tuple[str, ...]
    estimators: EstimatorOf
    settings: TrainingSettings
    pool: ThreadPoolExecutor
    fitted: dict[str, Future[Model]] = field(default_factory=dict)

    def fit(self, parameters: Parameters) -> Learned:
        """Fits the regressor or regressors of one set of parameters."""
        return next(self.fit_all([parameters]))

    def fit_all(self, candidates: Sequence[Parameters]) -> Iterator[Learned]:
        """Fits several sets of parameters, some at the same time, and yields them in order.

        One fit on capped rows seldom keeps all cores busy: Spark's own work between the passes is done by one.
        """
        wanted = [[self._start(each) for each in self.estimators(one, self.settings)] for one in candidates]
        for futures in wanted:
            yield Learned(self.fitted_encoder, tuple(future.result() for future in futures), self.inputs)

    def _start(self, estimator: Estimator) -> Future[Model]:
        """Candidates that are means of the same regressors share them."""
        values = estimator.extractParamMap().items()
        key = repr(sorted((parameter.name, repr(value)) for parameter, value in values))
        if key not in self.fitted:
            self.fitted[key] = self.pool.submit(estimator.fit, self.encoded)
        return self.fitted[key]

    def encode(self, rows: DataFrame) -> DataFrame:
        """Rows with the vector that all candidates look at."""
        return self.fitted_encoder.transform(rows).select(*rows.columns, VECTOR)

    def close(self) -> None:
        """Frees the encoded rows; a fit that nobody waits for any more is not begun."""
        self.pool.shutdown(cancel_futures=True)
        self.encoded.unpersist()


def learned(estimators: EstimatorOf) -> Callable[[DataFrame, PanelColumns, TrainingSettings], LearnedTrainer]:
    """The `prepare` of a learned algorithm."""

    def prepare(rows: DataFrame, columns: PanelColumns, settings: TrainingSettings) -> LearnedTrainer:
        from pyspark.sql import functions as F

        # Bagging follows partitions and row order, so both are fixed.
        parallelism = rows.sparkSession.sparkContext.defaultParallelism
        relative = F.col("y") / F.col("scale")
        labels = {
            LABEL: F.least(F.greatest(relative, F.lit(-LARGEST_LABEL)), F.lit(LARGEST_LABEL)),
            NON_NEGATIVE_LABEL: F.least(F.greatest(relative, F.lit(0.0)), F.lit(LARGEST_TWEEDIE_LABEL)),
            WEIGHT: F.pow("scale", F.lit(WEIGHT_POWER)),
        }
        ordered = (
            rows.withColumns(labels)
            .repartition(parallelism, "unique_id")
            .sortWithinPartitions("unique_id", "origin", "horizon")
        )
        fitted = encoder(ordered, columns)
        transformed = fitted.transform(ordered)
        encoded = transformed.select(VECTOR, LABEL, NON_NEGATIVE_LABEL, WEIGHT).persist()
        encoded.count()  # once, before several fits would each begin to compute it
        pool = ThreadPoolExecutor(parallelism, thread_name_prefix="fit")
        return LearnedTrainer(fitted, encoded, _input_names(transformed), estimators, settings, pool)

    return prepare


def _input_names(transformed: DataFrame) -> tuple[str, ...]:
    """Names of the vector's entries; the scaled vector itself has lost them."""
    groups = transformed.schema["raw_vector"].metadata["ml_attr"]["attrs"].values()
    names = {entry["idx"]: entry["name"] for group in groups for entry in group}
    return tuple(names[number] for number in range(len(names)))
