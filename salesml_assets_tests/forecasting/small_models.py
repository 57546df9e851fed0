"""Production models of the small shop in a lake, made without Spark."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import xgboost

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.features import feature_spec
from salesml_assets.forecasting.model.bundle import Bundle, Calendar, write_bundle
from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns
from salesml_assets.forecasting.model.models import Baseline, Learned, Model
from salesml_assets.forecasting.model.regressors import Trees
from salesml_assets.forecasting.panel import TRAIN
from salesml_assets.forecasting.production import with_version
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import MODEL_COMPARISON, PRODUCTION_MODEL, SALES_SERIES
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_series

HORIZON = 7
SETTINGS = Settings(forecast={"horizon": HORIZON})
TRAINED_AT = dt.datetime(2024, 3, 1, 6, tzinfo=dt.UTC)


@functools.cache
def learned() -> Learned:
    """Ten small trees on the shop's training rows."""
    rows = small_panel(small_features(SETTINGS), SETTINGS).filter(pl.col("kind") == TRAIN)
    encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
    label = (rows["y"] / rows["scale"]).to_numpy()
    data = xgboost.QuantileDMatrix(encoder.encode(rows), label)
    booster = xgboost.train({"max_depth": 3, "nthread": 1}, data, 10)
    return Learned(encoder, (Trees(bytes(booster.save_raw("ubj"))),))


def bundle(version: int, settings: Settings = SETTINGS, **changes: Any) -> Bundle:
    """A model of the shop: the seasonal naive as version 1, then trees."""
    model: Model = Baseline("seasonal_naive") if version == 1 else learned()
    algorithm = "seasonal_naive" if version == 1 else "xgboost"
    last = small_series()["ds"].max()
    assert isinstance(last, dt.date)
    values: dict[str, Any] = {
        "model": model, "version": version, "algorithm": algorithm,
        "parameters": {} if version == 1 else {"max_depth": 3, "n_estimators": 10},
        "cutoff": last, "rows": 1_000, "features": feature_spec(settings, {}),
        "series_keys": tuple(settings.forecast.series), "horizon": settings.forecast.horizon,
        "calendar": Calendar(1, None, (6,)), "non_negative": True,
        "intervals": pl.DataFrame({"min_scale": [20.0, 0.0], "rows": 50, "lo80": -0.3, "hi80": 0.4,
                                   "lo95": -0.5, "hi95": 0.9}),
        "lake_versions": {MODEL_COMPARISON: 0, SALES_SERIES: 0}, "settings": settings.model_dump(mode="json"),
        "trained_at": TRAINED_AT + dt.timedelta(days=version),
        "decision": {"winner": algorithm, "reason": f"{algorithm} is better beyond chance."},
        "code_version": "0.1.0+gabcdef",
    }  # fmt: skip
    return Bundle(**values | changes)


@dataclass(frozen=True)
class Shop:
    """The lake of the small shop.

    Attributes:
        root: Folder of the lake.
    """

    root: Path

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(str(self.root))

    @property
    def files(self) -> Files:
        return Files(str(self.root))

    def sell(self) -> None:
        """Writes the series."""
        self.lake.write_polars(small_series(), SALES_SERIES, run_id="run-of-sales")

    def train(self, made: Bundle) -> None:
        """Adds a version as the asset does."""
        folder = (PRODUCTION_MODEL, f"{made.version}-run-{made.version}")
        write_bundle(made, lambda content, name: self.files.write(content, *folder, name))
        rows = with_version(self.lake, made, self.files.path(*folder))
        self.lake.write_polars(pl.from_pandas(rows), PRODUCTION_MODEL, run_id=f"run-{made.version}")
