"""A small lake with a production model and its forecasts, made without Spark, for tests of the service."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xgboost

from salesml_assets.config.settings import (
    ForecastSettings,
    KnownFutureSettings,
    LakeSettings,
    ServingSettings,
    Settings,
)
from salesml_assets.forecasting.challenger import Plan, with_challenger
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.intervals import PROBABILITIES, bound_names
from salesml_assets.forecasting.model.bundle import Bundle, Calendar, write_bundle
from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns
from salesml_assets.forecasting.model.models import Baseline, Learned, Model
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.model.profile import Profile
from salesml_assets.forecasting.model.regressors import Trees
from salesml_assets.forecasting.new_series import new_series
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.production import version_row
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.versions import latest_version, read_version
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    DRIFT_REPORT,
    FORECASTS,
    PRODUCTION_MODEL,
    SALES_SERIES,
)
from salesml_assets_tests.forecasting.small_lake import small_series

HORIZON = 7
PLANNED = {"promo": "double", "flyer": "string"}
# Names as they come from source systems: slashes, accents, an emoji, leading zeros, escapes, dots and blanks.
NAMES = ("0012", "a/b", "café", "🧦 socks", "a%2Fb", "../up", "x y+z?#&=", "p7")
CLOSED = (6,)


def service_settings(folder: Path, **serving: object) -> Settings:
    """Settings of a lake and a local copy below a folder."""
    values = {"cache": str(folder / "copy"), "refresh_seconds": 0.2, "drain_seconds": 0.3, "max_rows": 10_000} | serving
    return Settings(
        forecast=ForecastSettings(horizon=HORIZON, known_future=KnownFutureSettings(columns=["promo", "flyer"])),
        lake=LakeSettings(root=str(folder / "lake")),
        serving=ServingSettings(**values),  # type: ignore[arg-type]
    )


def service_series() -> pl.DataFrame:
    """The small shop's series under `NAMES`, with a promotion and a flyer known in advance."""
    named = pl.col("unique_id").replace_strict({f"p{number}": name for number, name in enumerate(NAMES)})
    day = pl.col("ds").dt.ordinal_day()
    return (
        small_series()
        .with_columns(unique_id=named, product=named)
        .with_columns(promo=(day % 10 < 2).cast(pl.Float64), flyer=pl.when(day % 10 < 2).then(pl.lit("front")))
        .with_columns(y=pl.when("closed").then(0.0).otherwise(pl.col("y") * (1 + pl.col("promo"))))
        .select("unique_id", "product", "ds", "y", "closed", "promo", "flyer")
        .sort("unique_id", "ds")
    )


def future_of(series: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The steps to forecast."""
    last = series["ds"].max()
    assert isinstance(last, dt.date)
    horizon = settings.forecast.horizon
    steps = pl.DataFrame({"ds": [last + dt.timedelta(step) for step in range(1, horizon + 1)]})
    ids = series.select("unique_id", "product").unique().sort("unique_id")
    planned = {
        "promo": (pl.col("ds").dt.weekday() == 3).cast(pl.Float64),
        "flyer": pl.when(pl.col("ds").dt.weekday() == 3).then(pl.lit("front")),
    }
    chosen = {name: planned[name] for name in settings.forecast.known_future.columns}
    return ids.join(steps, how="cross").with_columns(closed=pl.col("ds").dt.weekday() == 7, **chosen)


def spec_of(settings: Settings) -> FeatureSpec:
    """The definition of the features."""
    return feature_spec(settings, {name: PLANNED[name] for name in settings.forecast.known_future.columns})


def panel_of(series: pl.DataFrame, settings: Settings, share: float = 0.5) -> pl.DataFrame:
    """The panel, by the batch run's functions; of the rows to learn from, a share."""
    spec, horizon = spec_of(settings), settings.forecast.horizon
    last = series["ds"].max()
    assert isinstance(last, dt.date)
    plan = PanelPlan(horizon, last, tuple(rolling_folds(last, horizon, 3, 1)), share, 1)
    return expand(pl.concat([add_features(series, spec), future_of(series, settings)], how="diagonal"), spec, plan)


def fitted(panel: pl.DataFrame, rounds: int = 20, depth: int = 4, **parameters: Any) -> Learned:
    """Boosted trees on the rows to learn from."""
    rows = panel.filter(pl.col("kind") == "train")
    encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
    data = xgboost.QuantileDMatrix(encoder.encode(rows), (rows["y"] / rows["scale"]).to_numpy().clip(0))
    chosen = {"objective": "reg:tweedie", "max_depth": depth, "nthread": 1, "seed": 1} | parameters
    return Learned(encoder, (Trees(bytes(xgboost.train(chosen, data, rounds).save_raw("ubj"))),))


def bundle_of(model: Model, settings: Settings, cutoff: dt.date, version: int = 1) -> Bundle:
    """A model with all that is needed to use it."""
    scores = dict(zip(bound_names(), (-0.5, 0.7, -0.9, 1.4), strict=True))
    horizon = settings.forecast.horizon
    return Bundle(
        model=model,
        version=version,
        algorithm="xgboost" if isinstance(model, Learned) else "seasonal_naive",
        parameters={},
        cutoff=cutoff,
        rows=100,
        features=spec_of(settings),
        series_keys=("product",),
        horizon=horizon,
        calendar=Calendar(1, None, CLOSED),
        non_negative=True,
        intervals=pl.DataFrame([{"min_scale": scale, "rows": 100, **scores} for scale in (20.0, 0.0)]).with_columns(
            quantiles=pl.lit(np.interp(PROBABILITIES, (0.025, 0.1, 0.9, 0.975), sorted(scores.values())).tolist())
        ),
        lake_versions={},
        settings=settings.model_dump(mode="json"),
        trained_at=dt.datetime(2023, 7, 17, 6, tzinfo=dt.UTC),
    )


def profile_of(series: pl.DataFrame, cutoff: dt.date) -> Profile:
    """How new series of this shop sell."""
    spec = FeatureSpec(numbers=("promo",), texts=("flyer",))
    features = add_features(series, spec)
    return new_series(lambda: [features], spec, cutoff - dt.timedelta(28)).profile(cutoff, HORIZON)


def promote(settings: Settings, bundle: Bundle, folder: str | None = None) -> None:
    """Writes a bundle and its row of the table of production models.

    Args:
        settings: The settings.
        bundle: The model, with the number of the new version.
        folder: Folder of a bundle that is there already; default: a new one.
    """
    lake, files = Lakehouse(settings.lake.root), Files(settings.lake.root)
    place = folder or f"{bundle.version}-run"
    if folder is None:
        write_bundle(bundle, lambda content, name: files.write(content, PRODUCTION_MODEL, place, name))
    row = pl.DataFrame(
        {
            "version": [bundle.version],
            "algorithm": [bundle.algorithm],
            "parameters": ["{}"],
            "path": [files.path(PRODUCTION_MODEL, place)],
            "cutoff": [bundle.cutoff],
            "trained_at": [bundle.trained_at],
            "decision": ["{}"],
            "lake_versions": ["{}"],
            "settings": [json.dumps(bundle.settings)],
        }
    )
    before = [lake.read_polars(PRODUCTION_MODEL)] if lake.exists(PRODUCTION_MODEL) else []
    lake.write_polars(pl.concat([*before, row], how="vertical_relaxed"), PRODUCTION_MODEL)


def write_forecasts(settings: Settings, bundle: Bundle, panel: pl.DataFrame) -> pl.DataFrame:
    """Writes the table of forecasts as the batch run does, and returns it."""
    future = panel.filter(pl.col("kind") == "future")
    made = forecast(bundle, future, settings.orders.service_level).sort("unique_id", "ds")
    Lakehouse(settings.lake.root).write_polars(made, FORECASTS)
    return made


def make_lake(settings: Settings) -> Bundle:
    """A lake with series, a model, its forecasts and an evaluation of drift."""
    lake, series = Lakehouse(settings.lake.root), service_series()
    lake.write_polars(series, SALES_SERIES)
    panel = panel_of(series, settings)
    cutoff = series["ds"].max()
    assert isinstance(cutoff, dt.date)
    bundle = replace(bundle_of(fitted(panel), settings, cutoff), profile=profile_of(series, cutoff))
    promote(settings, bundle)
    write_forecasts(settings, bundle, panel)
    drift = pl.DataFrame(
        {
            "evaluated_at": [cutoff] * 2,
            "kind": ["input", "target"],
            "effect": [0.2, 0.05],
            "min_effect": [0.1, 0.1],
            "model_version": [1, 1],
        }
    )
    lake.write_polars(drift, DRIFT_REPORT)
    return bundle


def other_model(bundle: Bundle, version: int) -> Bundle:
    """A model of another kind, as the next version."""
    return replace(bundle, model=Baseline("seasonal_naive"), algorithm="seasonal_naive", version=version)


def start_test(settings: Settings, bundle: Bundle) -> None:
    """Makes a bundle the challenger of A/B test 1, which forecasts 1.0 for every step.

    Args:
        settings: The settings.
        bundle: The model, with the number of the challenger.
    """
    lake, files = Lakehouse(settings.lake.root), Files(settings.lake.root)
    serving = latest_version(lake)
    assert serving is not None
    folder = f"challenger-{bundle.version}-run"
    write_bundle(bundle, lambda content, name: files.write(content, PRODUCTION_MODEL, folder, name))
    plan = Plan(
        reason="", recipe=Recipe(algorithm=bundle.algorithm), test=1, started=bundle.cutoff, champion=serving.recipe
    )
    row = version_row(bundle, files.path(PRODUCTION_MODEL, folder))
    lake.write_polars(with_challenger(lake, row, plan), CHALLENGER_MODEL)
    made = lake.read_polars(FORECASTS).with_columns(
        yhat=1.0, lo80=0.5, hi80=1.5, lo95=0.2, hi95=2.0, model=pl.lit(bundle.algorithm),
        model_version=pl.lit(bundle.version, pl.Int32),
    )  # fmt: skip
    lake.write_polars(made, CHALLENGER_FORECASTS)


def challenger_of(settings: Settings) -> Bundle:
    """A challenger of the model in production: the seasonal naive, as number 1."""
    serving = latest_version(Lakehouse(settings.lake.root))
    assert serving is not None
    return other_model(read_version(Files(settings.lake.root), serving), 1)
