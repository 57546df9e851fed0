"""Small fitted models for tests, made without Spark."""

from __future__ import annotations

import numpy as np
import polars as pl
import xgboost

from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns
from salesml_assets.forecasting.model.models import Learned
from salesml_assets.forecasting.model.regressors import Linear, Trees

_RANDOM = np.random.default_rng(7)
_COUNT = 300
ROWS = pl.DataFrame(
    {
        "unique_id": [f"p{number % 5}" for number in range(_COUNT)],
        "product": [f"p{number % 5}" for number in range(_COUNT)],
        "origin": [None] * _COUNT,
        "horizon": [1 + number % 7 for number in range(_COUNT)],
        "ds": [None] * _COUNT,
        "scale": _RANDOM.uniform(1, 50, _COUNT),
        "seasonal_naive": _RANDOM.uniform(0, 50, _COUNT),
        "f_level": _RANDOM.normal(size=_COUNT),
        "f_last": _RANDOM.normal(size=_COUNT),
        "c_plan": ["flyer" if number % 3 else "none" for number in range(_COUNT)],
        "y": _RANDOM.uniform(0, 50, _COUNT),
    }
)


def learned() -> Learned:
    """A mean of two boosters, one of them with a logarithmic link, and a linear model."""
    encoder = Encoder.fit(ROWS, PanelColumns.of(ROWS.columns))
    matrix = encoder.encode(ROWS)
    label = np.exp(matrix[:, 0]) + matrix[:, 1] ** 2 + matrix[:, 3]
    data = xgboost.QuantileDMatrix(matrix, label)
    boosters = [
        Trees(bytes(xgboost.train({"objective": objective, "max_depth": 3, "nthread": 1}, data, 10).save_raw("ubj")))
        for objective in ("reg:squarederror", "reg:tweedie")
    ]
    line = Linear(np.linspace(-1, 1, matrix.shape[1]), 0.5, encoder.means, encoder.deviations)
    return Learned(encoder, (*boosters, line))
