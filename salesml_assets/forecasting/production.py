"""The production model: the winner refitted on all data, kept with everything needed to use it again."""

from __future__ import annotations

import datetime as dt
import json
import posixpath
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from pyspark.sql import functions as F

from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.baseline import Baseline
from salesml_assets.forecasting.algorithms.learned import Learned
from salesml_assets.forecasting.intervals import BOUNDS, apply_intervals
from salesml_assets.forecasting.panel import FUTURE
from salesml_assets.forecasting.promotion import Recipe
from salesml_assets.forecasting.training.backtest import backtest, predict
from salesml_assets.forecasting.training.sample import EncodedPanel
from salesml_assets.names import FALLBACK

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import Settings
    from salesml_assets.forecasting.algorithms.base import Algorithm, Fitted, Parameters
    from salesml_assets.forecasting.features import FeatureSpec
    from salesml_assets.lake.store import Lakehouse

TABLE = "production_model"
FORECAST_COLUMNS = ("ds", "yhat", *BOUNDS, "model", "model_version", "cutoff")


@dataclass(frozen=True)
class Manifest:
    """What must be known to use a saved model again; it lies beside the model as `manifest.json`.

    Attributes:
        version: Number of the production model.
        algorithm: Name in the table of algorithms.
        parameters: Its parameters.
        cutoff: Last step that it learned from.
        rows: Training rows.
        features: Definition of the features (`FeatureSpec`).
        columns: Features in the order of the vector, text covariates, indexed keys.
        intervals: The interval table, one record per horizon.
        settings: The settings in force, without secrets.
        lake_versions: Version of each table that it was made from.
        trained_at: When, UTC.
    """

    version: int
    algorithm: str
    parameters: Parameters
    cutoff: dt.date
    rows: int
    features: FeatureSpec
    columns: dict[str, list[str]]
    intervals: list[dict[str, Any]]
    settings: dict[str, Any]
    lake_versions: dict[str, int]
    trained_at: dt.datetime

    def to_json(self) -> str:
        """As JSON, keys sorted."""
        return json.dumps(asdict(self), default=str, indent=2, sort_keys=True)


@dataclass(frozen=True)
class Version:
    """One row of the table of production models.

    Attributes:
        version: Its number, from 1.
        algorithm: Name in the table of algorithms.
        parameters: Its parameters.
        path: Folder of the model and its manifest.
        cutoff: Last step that it learned from.
    """

    version: int
    algorithm: str
    parameters: Parameters
    path: str
    cutoff: dt.date

    @property
    def folder(self) -> str:
        """Name of that folder."""
        return posixpath.basename(self.path)


def latest_version(tables: Lakehouse) -> Version | None:
    """The model in production; None before the first one."""
    if not tables.exists(TABLE):
        return None
    versions = tables.read_pandas(TABLE, ["version", "algorithm", "parameters", "path", "cutoff"])
    newest = versions.sort_values("version").iloc[-1]
    parameters, cutoff = json.loads(newest["parameters"]), dt.date.fromisoformat(str(newest["cutoff"])[:10])
    return Version(int(newest["version"]), newest["algorithm"], parameters, newest["path"], cutoff)


def champion_recipe(tables: Lakehouse) -> Recipe | None:
    """Algorithm and parameters of the model in production."""
    newest = latest_version(tables)
    return Recipe(algorithm=newest.algorithm, parameters=newest.parameters) if newest else None


def champion_predictions(champion: Recipe, encoded: EncodedPanel) -> pl.DataFrame:
    """Backtests the champion's own recipe on the rows on which its challengers are scored."""
    result = backtest(ALGORITHMS[champion.algorithm], encoded, encoded.folds, [champion.parameters])
    return pl.DataFrame(pl.from_arrow(result.predictions.toArrow()))


def all_versions(tables: Lakehouse, manifest: Manifest, path: str, decision: dict[str, Any]) -> pd.DataFrame:
    """The table of production models with a new row.

    Args:
        tables: The lake.
        manifest: What was trained.
        path: Folder of the model and its manifest.
        decision: The promotion decision with its numbers.
    """
    import pandas as pd

    row = {
        "version": manifest.version,
        "algorithm": manifest.algorithm,
        "parameters": json.dumps(manifest.parameters, sort_keys=True),
        "path": path,
        "cutoff": manifest.cutoff,
        "trained_at": manifest.trained_at,
        "decision": json.dumps(decision, sort_keys=True, default=str),
        "lake_versions": json.dumps(manifest.lake_versions, sort_keys=True),
        "settings": json.dumps(manifest.settings, sort_keys=True),
    }
    new = pd.DataFrame([row])
    return pd.concat([tables.read_pandas(TABLE), new], ignore_index=True) if tables.exists(TABLE) else new


def load(manifest: dict[str, Any], path: str) -> Fitted:
    """Loads a saved model.

    Args:
        manifest: The manifest as JSON has it.
        path: Folder of the model.
    """
    kind = Baseline if ALGORITHMS[manifest["algorithm"]].rows is None else Learned
    return kind.load(path)


def refit(algorithm: Algorithm, parameters: Parameters, encoded: EncodedPanel, cutoff: dt.date) -> tuple[Fitted, int]:
    """Fits the winner's recipe on all data.

    Returns:
        The model and the number of its training rows.
    """
    trainer = algorithm.prepare(encoded, cutoff)
    try:
        return trainer.fit(parameters), trainer.count
    finally:
        trainer.close()


def forecast(
    fitted: Fitted, panel: DataFrame, intervals: pd.DataFrame, settings: Settings, model: str, version: int
) -> DataFrame:
    """Forecasts every series over the whole horizon, with intervals.

    Weekdays on which the business is closed are zero. A series too short for the model gets the mean of what
    is known of it, and its row says so in `model`.

    Args:
        fitted: The production model.
        panel: The panel with its future rows.
        intervals: Interval table of the model's backtest.
        settings: The settings.
        model: Name of the algorithm.
        version: Version of the production model.

    Returns:
        `unique_id`, the series keys, and `FORECAST_COLUMNS`.
    """
    future = panel.where(F.col("kind") == FUTURE)
    predicted = predict(fitted, future, settings)
    short = F.col("short")
    mean = F.greatest("average_long", F.lit(0.0)) if settings.forecast.non_negative else F.col("average_long")
    chosen = predicted.withColumns(
        {
            "yhat": F.when(short, mean).otherwise(F.col("yhat")),
            "model": F.when(short, F.lit(f"{FALLBACK} (short series)")).otherwise(F.lit(model)),
        }
    )
    with_bounds = apply_intervals(chosen, intervals, settings.forecast.non_negative)
    zero_when_closed = {name: F.when(F.col("closed"), F.lit(0.0)).otherwise(F.col(name)) for name in ("yhat", *BOUNDS)}
    return with_bounds.withColumns(
        {**zero_when_closed, "model_version": F.lit(version), "cutoff": F.col("origin")}
    ).select("unique_id", *settings.forecast.series, *FORECAST_COLUMNS)
