"""Linear regression of MLlib with regularisation, on scaled inputs."""

from __future__ import annotations

from typing import Any

from salesml_assets.forecasting.algorithms.base import Algorithm, Parameters
from salesml_assets.forecasting.algorithms.mllib import LABEL, VECTOR, WEIGHT, Learner, convert_linear, mllib


def learner() -> Learner:
    """How it is fitted and converted."""
    from pyspark.ml.regression import LinearRegression

    columns: dict[str, Any] = {"featuresCol": VECTOR, "labelCol": LABEL, "weightCol": WEIGHT}

    def estimator(parameters: Parameters, seed: int) -> LinearRegression:
        return LinearRegression(**columns, standardization=False, **parameters)

    return Learner(estimator, convert_linear, scaled=True)


ALGORITHM = Algorithm(
    name="linear_regression",
    title="Linear regression",
    description="MLlib's linear regression on the scaled features, its regularisation chosen by backtest.",
    grid={"regParam": [0.01, 0.1, 1.0]},
    fit=mllib(learner, "max_rows"),
    rows="max_rows",
    kinds=frozenset({"spark"}),
)
