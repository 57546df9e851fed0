"""A lake of 5,000 series with two production models, made without Spark."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from salesml_assets.config.settings import LakeSettings, ServingSettings, Settings
from salesml_assets.forecasting.model.bundle import Bundle, write_bundle
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FORECASTS, PRODUCTION_MODEL
from salesml_assets_tests.serving.small_service import bundle_of, fitted, panel_of, promote

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


def make_shop(settings: Settings) -> Bundle:
    """Bundles `a` and `b`, version 1 of the production model (`a`), and forecasts of all series."""
    panel = panel_of(history(), settings, share=0.01)
    bundles, files = {}, Files(settings.lake.root)
    for name, seed in (("a", 1), ("b", 2)):
        model = fitted(panel, ROUNDS, DEPTH, eta=0.05, subsample=0.8, seed=seed)
        bundles[name] = bundle_of(model, settings, LAST)
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
