"""Several models at once against each model's own predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_each_model_predicts_what_it_would_alone(spark: SparkSession) -> None:
    from salesml_assets.forecasting.algorithms.xgboost_fit import OneTaskXGBRegressor
    from salesml_assets.forecasting.algorithms.xgboost_predict import predictions_of

    features = np.random.default_rng(11).normal(size=(300, 3)).round(3)
    features[:40, 1] = np.nan
    rows = spark.createDataFrame(
        [(number, row.tolist(), float(max(0.0, row[0] + number % 3))) for number, row in enumerate(features)],
        "id long, numbers array<double>, label double",
    ).select("id", "label", array_to_vector("numbers").alias("features"))
    models = [
        OneTaskXGBRegressor(
            objective=objective, n_estimators=12, max_bin=64, random_state=3, verbosity=0, verbose=False
        ).fit(rows.repartition(1))
        for objective in ("reg:squarederror", "reg:tweedie", "reg:absoluteerror")
    ]
    together = rows.repartition(3).withColumn("all", predictions_of(models, "features"))
    for number, model in enumerate(models):
        both = model.transform(together).select("prediction", F.col("all")[number].alias("other")).toPandas()
        assert both["prediction"].nunique() > 10
        np.testing.assert_array_equal(both["other"], both["prediction"])
