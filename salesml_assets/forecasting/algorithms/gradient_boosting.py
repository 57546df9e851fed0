"""Gradient-boosted trees of MLlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import LABEL, VECTOR, WEIGHT, Algorithm, Parameters
from salesml_assets.forecasting.algorithms.learned import learned

if TYPE_CHECKING:
    from pyspark.ml import Estimator

    from salesml_assets.config.settings import TrainingSettings


def estimators(parameters: Parameters, settings: TrainingSettings) -> list[Estimator]:
    """One sequence of boosted trees."""
    from pyspark.ml.regression import GBTRegressor

    columns: dict[str, Any] = {"featuresCol": VECTOR, "labelCol": LABEL, "weightCol": WEIGHT}
    return [GBTRegressor(**columns, seed=settings.seed, minInstancesPerNode=5, **parameters)]


ALGORITHM = Algorithm(
    name="gradient_boosting",
    title="Gradient boosting",
    description="MLlib's gradient-boosted trees, iterations and depth chosen by backtest.",
    grid={"maxIter": [10, 20], "maxDepth": [5, 10]},
    prepare=learned(estimators, "tree_rows", trees="maxIter"),
    rows="tree_rows",
)
