"""Linear regression of MLlib with regularisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import LABEL, VECTOR, WEIGHT, Algorithm, Parameters
from salesml_assets.forecasting.algorithms.learned import learned

if TYPE_CHECKING:
    from pyspark.ml import Estimator

    from salesml_assets.config.settings import TrainingSettings


def estimators(parameters: Parameters, settings: TrainingSettings) -> list[Estimator]:
    """One linear regression; the vector is scaled already."""
    from pyspark.ml.regression import LinearRegression

    return [LinearRegression(featuresCol=VECTOR, labelCol=LABEL, weightCol=WEIGHT, standardization=False, **parameters)]


ALGORITHM = Algorithm(
    name="linear_regression",
    title="Linear regression",
    description="MLlib's linear regression on the scaled features, its regularisation chosen by backtest.",
    grid={"regParam": [0.01, 0.1, 1.0]},
    prepare=learned(estimators, "max_rows"),
    rows="max_rows",
)
