"""A production model as MLflow loads it: `mlflow.pyfunc.load_model("models:/salesml@champion").predict(rows)`.

MLflow imports this module by name and gives it the folder of the bundle: nothing is unpickled, and nothing needs Java.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from salesml_assets.forecasting.model.bundle import Bundle, read_bundle
from salesml_assets.forecasting.model.history import forecast_history
from salesml_assets.names import STOCK_OUT

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

LOADER = __name__


class ForecastModel:
    """Forecasts from raw history.

    Args:
        bundle: A production model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecasts every series over the whole horizon.

        Args:
            model_input: Rows of the series keys, `ds`, `y`, and where known `category`, `closed`, `stock_out` and
                covariates. Rows after the last `y` of all series are the plan: their covariates and `closed` count,
                their `y` is empty.
            params: None are known.

        Returns:
            The series keys, `unique_id`, `ds`, `yhat`, its 80 % and 95 % intervals, `model`, `model_version`,
            `cutoff` (last known step).

        Raises:
            HistoryError: A column is missing, or nothing is known.
        """
        rows = pl.from_pandas(model_input)
        known = rows.filter(pl.col("y").is_not_null() & pl.col("y").is_not_nan())["ds"].max()
        later = pl.col("ds") > pl.lit(known, rows["ds"].dtype)
        plan = rows.filter(later)
        history = rows.filter(~later).with_columns(pl.col("y").fill_nan(None))
        made = forecast_history(self.bundle, history, None if plan.is_empty() else plan)
        return made.with_columns(pl.col("ds", "cutoff").cast(pl.Datetime("us"))).to_pandas()


def _load_pyfunc(path: str) -> ForecastModel:
    """What MLflow calls with the folder of the model's data."""
    folder = Path(path)
    return ForecastModel(read_bundle(lambda name: (folder / name).read_bytes(), str(folder)))


def signature(bundle: Bundle, with_category: bool) -> ModelSignature:
    """Columns that the model takes and gives.

    Args:
        bundle: The model.
        with_category: Whether the history has a category that is none of the series keys.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    text, number, date = DataType.string, DataType.double, DataType.datetime
    optional = [
        *([ColSpec(text, "category", required=False)] if with_category else []),
        ColSpec(DataType.boolean, "closed", required=False),
        ColSpec(DataType.boolean, STOCK_OUT, required=False),
        *[ColSpec(number, name, required=False) for name in bundle.features.numbers],
        *[ColSpec(text, name, required=False) for name in bundle.features.texts],
    ]
    keys = [ColSpec(text, key) for key in bundle.series_keys]
    amounts = [ColSpec(number, name) for name in ("yhat", "lo80", "hi80", "lo95", "hi95")]
    made = [ColSpec(text, "model"), ColSpec(DataType.integer, "model_version"), ColSpec(date, "cutoff")]
    return ModelSignature(
        inputs=Schema([*keys, ColSpec(date, "ds"), ColSpec(number, "y"), *optional]),
        outputs=Schema([ColSpec(text, "unique_id"), *keys, ColSpec(date, "ds"), *amounts, *made]),
    )
