"""XGBoost on Spark; the objective is chosen by backtest, because it decides more than the booster."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import (
    LABEL,
    NON_NEGATIVE_LABEL,
    VECTOR,
    WEIGHT,
    Algorithm,
    Parameters,
    tasks,
)
from salesml_assets.forecasting.algorithms.learned import learned

if TYPE_CHECKING:
    from pyspark.ml import Estimator

    from salesml_assets.config.settings import TrainingSettings

SQUARED, ABSOLUTE = "reg:squarederror", "reg:absoluteerror"
TWEEDIE = "reg:tweedie"  # needs targets that are not negative


def estimators(parameters: Parameters, settings: TrainingSettings) -> list[Estimator]:
    """One booster for each objective; several joined by `+` are averaged."""
    from xgboost.spark import SparkXGBRegressor

    from salesml_assets.forecasting.algorithms.xgboost_fit import OneTaskXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    rest = {name: value for name, value in parameters.items() if name != "objective"}
    tweedie: dict[str, Any] = {"tweedie_variance_power": 1.2}
    workers = tasks(settings.max_rows)
    regressor = OneTaskXGBRegressor if workers == 1 else SparkXGBRegressor
    return [
        regressor(
            features_col=VECTOR,
            label_col=NON_NEGATIVE_LABEL if objective == TWEEDIE else LABEL,
            weight_col=WEIGHT,
            objective=objective,
            num_workers=workers,
            random_state=settings.seed,
            tree_method="hist",
            max_bin=128,
            verbosity=0,
            verbose=False,
            **(tweedie if objective == TWEEDIE else {}),
            **rest,
        )
        for objective in parameters["objective"].split("+")
    ]


ALGORITHM = Algorithm(
    name="xgboost",
    title="XGBoost",
    description="XGBoost on Spark; objective chosen by backtest among squared, Tweedie and absolute error and means.",
    grid={
        # From the mean to the median of what may be sold; means of the same three boosters cost nothing.
        "objective": [
            SQUARED,
            TWEEDIE,
            f"{SQUARED}+{TWEEDIE}+{TWEEDIE}+{ABSOLUTE}",
            f"{SQUARED}+{TWEEDIE}+{ABSOLUTE}",
            f"{TWEEDIE}+{ABSOLUTE}",
            ABSOLUTE,
        ],
        "n_estimators": [200],
        "learning_rate": [0.07],
        "max_depth": [6],
        "min_child_weight": [10.0],
        "subsample": [0.8],
        "colsample_bytree": [0.5],
    },
    prepare=learned(estimators, "max_rows"),
    rows="max_rows",
)
