"""The table of algorithms: one entry and one file each."""

from salesml_assets.forecasting.algorithms import (
    calendar_regression,
    ensemble,
    gradient_boosting,
    linear_regression,
    moving_average,
    random_forest,
    seasonal_naive,
    tuned,
    xgboost,
)
from salesml_assets.forecasting.algorithms.base import Algorithm

ALGORITHMS: dict[str, Algorithm] = {
    module.ALGORITHM.name: module.ALGORITHM
    for module in (
        seasonal_naive,
        moving_average,
        calendar_regression,
        linear_regression,
        random_forest,
        gradient_boosting,
        xgboost,
        ensemble,
        tuned,
    )
}
