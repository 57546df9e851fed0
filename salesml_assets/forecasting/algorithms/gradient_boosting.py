"""Gradient-boosted trees of MLlib."""

from __future__ import annotations

from typing import Any

from salesml_assets.forecasting.algorithms.base import Algorithm, Parameters
from salesml_assets.forecasting.algorithms.mllib import LABEL, VECTOR, WEIGHT, Learner, convert_trees, mllib


def learner() -> Learner:
    """How it is fitted and converted."""
    from pyspark.ml.regression import GBTRegressor

    columns: dict[str, Any] = {"featuresCol": VECTOR, "labelCol": LABEL, "weightCol": WEIGHT}

    def estimator(parameters: Parameters, seed: int) -> GBTRegressor:
        return GBTRegressor(**columns, seed=seed, minInstancesPerNode=5, **parameters)

    return Learner(estimator, convert_trees(normalized_gain=False), trees="maxIter")


ALGORITHM = Algorithm(
    name="gradient_boosting",
    title="Gradient boosting",
    description="MLlib's gradient-boosted trees, iterations and depth chosen by backtest.",
    grid={"maxIter": [10, 20], "maxDepth": [5, 10]},
    fit=mllib(learner, "tree_rows"),
    rows="tree_rows",
    kinds=frozenset({"spark"}),
)
