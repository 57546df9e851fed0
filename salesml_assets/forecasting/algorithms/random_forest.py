"""Random forest of MLlib."""

from __future__ import annotations

from typing import Any

from salesml_assets.forecasting.algorithms.base import Algorithm, Parameters
from salesml_assets.forecasting.algorithms.mllib import LABEL, VECTOR, WEIGHT, Learner, convert_trees, mllib


def learner() -> Learner:
    """How it is fitted and converted."""
    from pyspark.ml.regression import RandomForestRegressor

    columns: dict[str, Any] = {"featuresCol": VECTOR, "labelCol": LABEL, "weightCol": WEIGHT}

    def estimator(parameters: Parameters, seed: int) -> RandomForestRegressor:
        return RandomForestRegressor(**columns, seed=seed, minInstancesPerNode=5, **parameters)

    return Learner(estimator, convert_trees(normalized_gain=True), trees="numTrees")


ALGORITHM = Algorithm(
    name="random_forest",
    title="Random forest",
    description="MLlib's random forest, number and depth of its trees chosen by backtest.",
    grid={"numTrees": [10, 20, 30], "maxDepth": [5, 10, 15]},
    fit=mllib(learner, "tree_rows"),
    rows="tree_rows",
    kinds=frozenset({"spark"}),
)
