"""A lake of 5,000 series with two production models, made without Spark."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import xgboost

from salesml_assets.config.settings import LakeSettings, ServingSettings, Settings
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.intervals import bound_names
from salesml_assets.forecasting.model.bundle import Bundle, Calendar, write_bundle
from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns
from salesml_assets.forecasting.model.models import Learned
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.model.regressors import Trees
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FORECASTS, PRODUCTION_MODEL

SERIES, TRAINED, DAYS, HORIZON = 5_000, 100, 400, 28
LAST = dt.date(2024, 6, 30)
ROUNDS, DEPTH = 200, 6


def settings_of(folder: Path) -> Settings:
    return Settings(
        lake=LakeSettings(root=str(folder / "lake")),
        serving=ServingSettings(cache=str(folder / "copy"), refresh_seconds=1.0, drain_seconds=0.0),
    )


def history(count: int = TRAINED, days: int = DAYS) -> pl.DataFrame:
    random = np.random.default_rng(11)
    dates = pl.date_range(LAST - dt.timedelta(days - 1), LAST, eager=True)
    week = 1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7)
    frames = []
    for number in range(count):
        level = random.gamma(2.0, 10.0)
        y = random.poisson(level * week) * 2.5
        frames.append(pl.DataFrame({"unique_id": f"P{number:05d}", "product": f"P{number:05d}", "ds": dates, "y": y}))
    return pl.concat(frames).with_columns(closed=pl.lit(False))


def promote(settings: Settings, bundle: Bundle, folder: str) -> None:
    """A new row of the table of production models, which names a folder of a bundle."""
    lake = Lakehouse(settings.lake.root)
    row = pl.DataFrame(
        {
            "version": [bundle.version],
            "algorithm": [bundle.algorithm],
            "parameters": ["{}"],
            "path": [Files(settings.lake.root).path(PRODUCTION_MODEL, folder)],
            "cutoff": [bundle.cutoff],
            "trained_at": [bundle.trained_at],
            "decision": ["{}"],
            "lake_versions": ["{}"],
            "settings": [json.dumps(bundle.settings)],
        }
    )
    before = [lake.read_polars(PRODUCTION_MODEL)] if lake.exists(PRODUCTION_MODEL) else []
    lake.write_polars(pl.concat([*before, row], how="vertical_relaxed"), PRODUCTION_MODEL)


def make_shop(settings: Settings) -> Bundle:
    """Bundles `a` and `b`, version 1 of the production model (`a`), and forecasts of all series."""
    series = history()
    spec = feature_spec(settings, {})
    steps = pl.DataFrame({"ds": [LAST + dt.timedelta(step) for step in range(1, HORIZON + 1)]})
    future = series.select("unique_id", "product").unique().sort("unique_id").join(steps, how="cross")
    extended = pl.concat([add_features(series, spec), future.with_columns(closed=pl.lit(False))], how="diagonal")
    plan = PanelPlan(HORIZON, LAST, tuple(rolling_folds(LAST, HORIZON, 3, 1)), 0.01, 1)
    panel = expand(extended, spec, plan)
    rows = panel.filter(pl.col("kind") == "train")
    encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
    data = xgboost.QuantileDMatrix(encoder.encode(rows), (rows["y"] / rows["scale"]).to_numpy())
    scores = dict(zip(bound_names(), (-0.5, 0.7, -0.9, 1.4), strict=True))
    bundles, files = {}, Files(settings.lake.root)
    for name, seed in (("a", 1), ("b", 2)):
        parameters = {"objective": "reg:tweedie", "max_depth": DEPTH, "eta": 0.05, "subsample": 0.8, "seed": seed}
        booster = xgboost.train(parameters | {"nthread": 1}, data, ROUNDS)
        bundles[name] = Bundle(
            model=Learned(encoder, (Trees(bytes(booster.save_raw("ubj"))),)),
            version=1,
            algorithm="xgboost",
            parameters={},
            cutoff=LAST,
            rows=len(rows),
            features=spec,
            series_keys=("product",),
            horizon=HORIZON,
            calendar=Calendar(1, None, ()),
            non_negative=True,
            intervals=pl.DataFrame([{"horizon": step, "rows": 1, **scores} for step in range(1, HORIZON + 1)]),
            lake_versions={},
            settings=settings.model_dump(mode="json"),
            trained_at=dt.datetime(2024, 7, 1, 6, tzinfo=dt.UTC),
        )
        write_bundle(bundles[name], lambda content, file, name=name: files.write(content, PRODUCTION_MODEL, name, file))
    promote(settings, bundles["a"], "a")
    made = forecast(bundles["a"], panel.filter(pl.col("kind") == "future"))
    copies = [
        made.with_columns(pl.col("unique_id", "product") + f"-{number:02d}") for number in range(SERIES // TRAINED)
    ]
    Lakehouse(settings.lake.root).write_polars(pl.concat(copies).sort("unique_id", "ds"), FORECASTS)
    return bundles["a"]


def swap(settings: Settings, bundle: Bundle, version: int) -> None:
    """The next version, by turns of the two models."""
    promote(settings, replace(bundle, version=version), "ab"[version % 2 == 0])
