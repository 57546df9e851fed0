"""Random forest of MLlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import LABEL, VECTOR, WEIGHT, Algorithm, Parameters
from salesml_assets.forecasting.algorithms.learned import learned

if TYPE_CHECKING:
    from pyspark.ml import Estimator

    from salesml_assets.config.settings import TrainingSettings


def estimators(parameters: Parameters, settings: TrainingSettings) -> list[Estimator]:
    """One random forest."""
    from pyspark.ml.regression import RandomForestRegressor

    columns: dict[str, Any] = {"featuresCol": VECTOR, "labelCol": LABEL, "weightCol": WEIGHT}
    return [RandomForestRegressor(**columns, seed=settings.seed, minInstancesPerNode=5, **parameters)]


ALGORITHM = Algorithm(
    name="random_forest",
    title="Random forest",
    description="MLlib's random forest, number and depth of its trees chosen by backtest.",
    grid={"numTrees": [10, 20, 30], "maxDepth": [5, 10, 15]},
    prepare=learned(estimators, "tree_rows", trees="numTrees"),
    rows="tree_rows",
)
