"""Does any feature see past its origin? The panel is made again from values up to a cutoff, and compared."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from pyspark.sql import functions as F

from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.panel import SCORE, PanelPlan, expand
from salesml_assets.forecasting.training.panel import folds_of
from salesml_assets.forecasting.training.planned import covariates_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import Settings

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Leakage:
    """Outcome of the test.

    Attributes:
        cutoff: Origin that was tested.
        latest_value: Latest step whose value the second calculation had.
        compared: Rows compared.
        changed: Features that differ.
    """

    cutoff: dt.date
    latest_value: dt.date
    compared: int
    changed: list[str]


def changed_features(features: DataFrame, panel: DataFrame, settings: Settings, series: int) -> Leakage:
    """Compares the panel at the last origin with one made from values up to that origin alone.

    Args:
        features: The table `features`; its `y`, `closed` and planned covariates are used.
        panel: The table `panel`.
        settings: The settings.
        series: How many series are tested; they are drawn by a hash of their name.
    """
    folds = folds_of(panel, settings)
    cutoff = folds[-1].cutoff
    scored = panel.where((F.col("kind") == SCORE) & (F.col("origin") == F.lit(cutoff)))
    drawn = scored.select("unique_id").distinct().orderBy(F.xxhash64("unique_id")).limit(series)
    covariates = covariates_of(features, settings)
    values = features.join(F.broadcast(drawn), "unique_id", "left_semi").select(
        "unique_id", "ds", "y", "closed", *covariates
    )
    history = pl.DataFrame(pl.from_arrow(values.toArrow()))
    stored = pl.DataFrame(pl.from_arrow(scored.join(F.broadcast(drawn), "unique_id", "left_semi").toArrow()))
    spec = feature_spec(settings, covariates)
    after = pl.col("ds") > cutoff
    known = add_features(history.filter(~after), spec)
    # What lies after the cutoff keeps its calendar and planned covariates, and loses its values.
    future = history.filter(after).drop("y")
    plan = PanelPlan(settings.forecast.horizon, cutoff, (folds[-1],), 0.0, settings.training.seed)
    again = expand(pl.concat([known, future], how="diagonal_relaxed"), spec, plan)
    names = [name for name in stored.columns if name.startswith("f_")]
    key = ["unique_id", "horizon"]
    both = stored.select(*key, *names).join(again.filter(pl.col("kind") == "future"), on=key, suffix="_again")
    off = both.select((pl.col(name) - pl.col(f"{name}_again")).abs().max().alias(name) for name in names)
    size = both.select(pl.col(name).abs().max().clip(1.0) for name in names)
    changed = [name for name in names if both.height and off[name].item() > TOLERANCE * size[name].item()]
    return Leakage(cutoff, known["ds"].max(), both.height, changed)  # type: ignore[arg-type]
