"""Learned algorithms: a Spark ML pipeline of indexes, one vector, standard scaling and a regressor.

The pipeline learns the target divided by the series' typical level; everything in it is fitted on the
training rows alone (`encoded.py`) and is stored with the model. Spark is imported in the functions, because the table
of algorithms is read when the code location loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import (
    VECTOR,
    Parameters,
    read_about,
    write_about,
)

if TYPE_CHECKING:
    import datetime as dt

    from pyspark.ml import Estimator, Model, PipelineModel
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.training.sample import EncodedPanel, TrainingRows

EstimatorOf = Callable[[Parameters, "TrainingSettings"], "list[Estimator]"]


@dataclass(frozen=True)
class Learned:
    """Fitted encoder and one or more fitted regressors, whose mean is the forecast."""

    encoder: PipelineModel
    models: tuple[Model, ...]
    inputs: tuple[str, ...]

    def predict(self, rows: DataFrame) -> DataFrame:
        """Adds `yhat`."""
        return self.predict_encoded(self.encoder.transform(rows)).select(*rows.columns, "yhat")

    def predict_encoded(self, rows: DataFrame) -> DataFrame:
        """Adds `yhat` to rows that have their vector already."""
        from pyspark.sql import functions as F

        return mean_predictions([self], rows).withColumn("yhat", F.col("yhats")[0]).drop("yhats")

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


def mean_predictions(fitted: Sequence[Learned], encoded: DataFrame) -> DataFrame:
    """Adds `yhats`, the forecasts of several models in units of the target; a regressor that they share works once."""
    from pyspark.sql import functions as F

    models = {id(model): model for one in fitted for model in one.models}
    boosters = [key for key, model in models.items() if hasattr(model, "get_booster")]
    others = [key for key in models if key not in boosters]
    columns = {key: F.col("_boosted")[number] for number, key in enumerate(boosters)}
    columns |= {key: F.col(f"_prediction_{number}") for number, key in enumerate(others)}
    result = encoded
    if boosters:
        from salesml_assets.forecasting.algorithms.xgboost_predict import predictions_of

        result = result.withColumn("_boosted", predictions_of([models[key] for key in boosters], VECTOR))
    for number, key in enumerate(others):
        result = models[key].transform(result).withColumnRenamed("prediction", f"_prediction_{number}")
    means = []
    for one in fitted:
        predictions = [columns[id(model)] for model in one.models]
        means.append(sum(predictions[1:], predictions[0]) / len(predictions) * F.col("scale"))
    return result.withColumn("yhats", F.array(*means)).select(*encoded.columns, "yhats")


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
    """Fits regressors on encoded training rows.

    Attributes:
        training: The rows and what encoded them.
        estimators: The regressors of a candidate.
        settings: The settings.
        pool: Where fits run side by side.
        trees: The parameter that counts the trees of an ensemble, if it is one.
        fitted: Fits that have been begun.
    """

    training: TrainingRows
    estimators: EstimatorOf
    settings: TrainingSettings
    pool: ThreadPoolExecutor
    trees: str | None
    fitted: dict[str, Future[Model]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rows are learned from."""
        return self.training.count

    def fit(self, parameters: Parameters) -> Learned:
        """Fits the regressor or regressors of one set of parameters."""
        return next(self.fit_all([parameters]))

    def fit_all(self, candidates: Sequence[Parameters]) -> Iterator[Learned]:
        """Fits several sets of parameters, some at the same time, and yields them in order.

        One fit on capped rows seldom keeps all cores busy: Spark's own work between the passes is done by one. Of
        ensembles that differ in the number of their trees alone, only the largest is grown.
        """
        grown = [self._largest(one, candidates) for one in candidates]
        # Grids go from small to large: the longest fit begins first, lest it be the one that all wait for.
        wanted = [[self._start(each) for each in self.estimators(one, self.settings)] for one in reversed(grown)][::-1]
        for parameters, futures in zip(candidates, wanted, strict=True):
            models = [future.result() for future in futures]
            if self.trees:
                models = [first_trees(model, self.trees, parameters[self.trees]) for model in models]
            yield Learned(self.training.encoder, tuple(models), self.training.inputs)

    def _largest(self, parameters: Parameters, candidates: Sequence[Parameters]) -> Parameters:
        if self.trees is None:
            return parameters
        alike = [one for one in candidates if {**one, self.trees: None} == {**parameters, self.trees: None}]
        return max(alike, key=lambda one: int(one[str(self.trees)]))

    def _start(self, estimator: Estimator) -> Future[Model]:
        """Candidates that are means of the same regressors share them."""
        values = estimator.extractParamMap().items()
        key = repr(sorted((parameter.name, repr(value)) for parameter, value in values))
        if key not in self.fitted:
            self.fitted[key] = self.pool.submit(estimator.fit, self.training.rows)
        return self.fitted[key]

    def predict_all(self, fitted: Sequence[Learned], rows: DataFrame) -> DataFrame:
        """Adds `yhats` to rows that have their vector already."""
        return mean_predictions(fitted, rows)

    def close(self) -> None:
        """A fit that nobody waits for any more is not begun."""
        self.pool.shutdown(cancel_futures=True)


def learned(
    estimators: EstimatorOf, rows: str, trees: str | None = None
) -> Callable[[EncodedPanel, dt.date], LearnedTrainer]:
    """The `prepare` of a learned algorithm.

    Args:
        estimators: The regressors of a candidate.
        rows: Name of the setting that caps the training rows.
        trees: The parameter that counts the trees of an ensemble, if it is one.
    """

    def prepare(encoded: EncodedPanel, cutoff: dt.date) -> LearnedTrainer:
        settings = encoded.settings.training
        parallelism = encoded.panel.sparkSession.sparkContext.defaultParallelism
        pool = ThreadPoolExecutor(parallelism, thread_name_prefix="fit")
        training = encoded.up_to(cutoff).at_most(getattr(settings, rows))
        return LearnedTrainer(training, estimators, settings, pool, trees)

    return prepare


def first_trees(model: Any, parameter: str, count: int) -> Any:
    """The ensemble of the first trees of an ensemble of MLlib.

    The trees of a forest are grown independently of each other, and each boosted tree knows those before it only: so
    it is one of that size.

    Args:
        model: The ensemble.
        parameter: The one that counts its trees.
        count: How many of them are wanted.
    """
    if model.getNumTrees == count:
        return model
    from pyspark import SparkContext
    from pyspark.ml.regression import GBTRegressionModel

    gateway = SparkContext._gateway
    java = model._java_obj
    package = gateway.jvm.org.apache.spark.ml  # type: ignore[union-attr]
    every, trees = java.trees(), gateway.new_array(package.regression.DecisionTreeRegressionModel, count)  # type: ignore[union-attr]
    for number in range(count):
        trees[number] = every[number]
    arguments = [java.uid(), trees]
    if isinstance(model, GBTRegressionModel):
        weights = gateway.new_array(gateway.jvm.double, count)  # type: ignore[union-attr]
        for number, weight in enumerate(model.treeWeights[:count]):
            weights[number] = weight
        arguments.append(weights)
    smaller = getattr(package.regression, type(model).__name__)(*arguments, java.numFeatures())
    return type(model)(java.copyValues(smaller, package.param.ParamMap()))._set(**{parameter: count})
