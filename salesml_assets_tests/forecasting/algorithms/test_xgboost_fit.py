"""The fit without barriers against the one of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:tweedie"])
def test_the_model_is_that_of_a_barrier_stage(spark: SparkSession, tmp_path: Path, objective: str) -> None:
    from xgboost.spark import SparkXGBRegressor, SparkXGBRegressorModel

    from salesml_assets.forecasting.algorithms.xgboost_fit import OneTaskXGBRegressor

    rng = np.random.default_rng(4)
    features, noise = rng.normal(size=(400, 3)), rng.exponential(size=400)
    rows = spark.createDataFrame(
        [
            (Vectors.dense(row), float(max(0.0, row[0] + extra)), float(extra))
            for row, extra in zip(features, noise, strict=True)
        ],
        ["features", "label", "weight"],
    ).repartition(1)  # a barrier stage works on no other single partition
    options: dict[str, Any] = {
        "weight_col": "weight", "objective": objective, "num_workers": 1, "random_state": 7, "tree_method": "hist",
        "max_bin": 64, "n_estimators": 15, "subsample": 0.7, "colsample_bytree": 0.7, "verbosity": 0, "verbose": False,
    }  # fmt: skip
    model = OneTaskXGBRegressor(**options).fit(rows)
    other = SparkXGBRegressor(**options).fit(rows)
    assert model.get_booster().save_raw("json") == other.get_booster().save_raw("json")
    model.write().save(str(tmp_path / "model"))
    loaded = SparkXGBRegressorModel.load(str(tmp_path / "model"))
    one, two = (each.transform(rows).select("prediction").toPandas() for each in (loaded, other))
    assert one.equals(two)
