"""Predictions of several of XGBoost's models at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column
from pyspark.sql.functions import col
from pyspark.sql.pandas.functions import pandas_udf


def predictions_of(models: Sequence[Any], features: str) -> Column:
    """What several models predict, as an array of one number for each.

    The numbers are those of the models' own `transform`, each of which hands all rows to Python processes of its own.

    Args:
        models: Regressors of `xgboost.spark`.
        features: The column with the vector.
    """
    boosters = [bytes(model.get_booster().save_raw("ubj")) for model in models]

    def predicted(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        loaded = [xgboost.Booster({"nthread": 1}, model_file=bytearray(booster)) for booster in boosters]
        for batch in batches:
            rows = np.stack(batch.to_list())
            yield pd.Series(list(np.column_stack([booster.inplace_predict(rows) for booster in loaded])))

    predict = pandas_udf(predicted, "array<double>")  # type: ignore[call-overload]
    column: Column = predict(vector_to_array(col(features), dtype="float32"))
    return column
