"""The table of a search's trials, and the recipe that it found."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from salesml_assets.forecasting.algorithms.base import Parameters
from salesml_assets.forecasting.algorithms.tuned import ALGORITHM
from salesml_assets.forecasting.search.study import Outcome, Trial
from salesml_assets.names import MODEL_SEARCH, PANEL

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "trial": pl.Int32,
    "state": pl.String,
    "value": pl.Float64,
    "error": pl.Float64,
    "bias": pl.Float64,
    "stages": pl.String,
    "recipe": pl.String,
    "seconds": pl.Float64,
    "is_found": pl.Boolean,
    "ended": pl.String,
    "searched_at": pl.Datetime("us", "UTC"),
}


def study_name(lake: Lakehouse, settings: Settings) -> str:
    """The name of the search on the present panel: the same rows, metric and seed give the same name."""
    version = lake.version(PANEL)
    about = {
        "panel": [lake.identity(PANEL), version],
        "training": [settings.training.max_rows, settings.training.seed, settings.training.folds],
        "promotion": [settings.promotion.metric, *settings.orders.costs],
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return f"panel {version}, {digest[:12]}"


def found_trial(outcome: Outcome, settings: Settings) -> Trial | None:
    """The best trial, where it is better than the default recipe by at least `promotion.min_gain`; else None."""
    best = outcome.best
    if best is None or best.number == 0 or best.value is None or best.value > 1 - settings.promotion.min_gain:
        return None
    return best


def trials_table(outcome: Outcome, settings: Settings, now: dt.datetime) -> pl.DataFrame:
    """One row per trial, `is_found` in that of the recipe that was found.

    Args:
        outcome: The search.
        settings: The settings.
        now: When it ended.
    """
    found = found_trial(outcome, settings)
    rows = [
        {
            "study": outcome.study,
            "trial": trial.number,
            "state": trial.state,
            "value": trial.value,
            "error": trial.error,
            "bias": trial.bias,
            "stages": json.dumps(trial.stages),
            "recipe": json.dumps(trial.recipe, sort_keys=True),
            "seconds": trial.seconds,
            "is_found": trial is found,
            "ended": outcome.reason,
            "searched_at": now,
        }
        for trial in outcome.trials
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def found_recipe(lake: Lakehouse) -> Parameters | None:
    """The recipe that the latest search found; None where there was none, or none was better than the default."""
    if not lake.exists(MODEL_SEARCH):
        return None
    rows = lake.read_polars(MODEL_SEARCH, ["recipe", "is_found"]).filter("is_found")
    if rows.is_empty():
        return None
    recipe: Parameters = json.loads(rows["recipe"][0])
    return recipe


def as_settings(recipe: Parameters) -> str:
    """A recipe as a part of the settings file, which keeps it whatever later searches find."""
    grid = {name: [value] for name, value in recipe.items()}
    return yaml.safe_dump({"training": {"grids": {ALGORITHM.name: grid}}}, sort_keys=False)
