"""A search on the panel of a lake, from its rows to the table of its trials."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.algorithms.tuned import ALGORITHM
from salesml_assets.forecasting.search.arena import arena_of_lake
from salesml_assets.forecasting.search.found import found_recipe, study_name, trials_table
from salesml_assets.forecasting.search.space import Space, default_recipe
from salesml_assets.forecasting.search.study import Limits, Outcome, Report, search
from salesml_assets.names import MODEL_SEARCH

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse


def search_lake(
    lake: Lakehouse, settings: Settings, limits: Limits, cores: int, report: Report, run_id: str | None = None
) -> Outcome:
    """Searches on the panel of a lake, and writes the table `model_search`.

    The recipe of the latest search and those of `training.grids.tuned` are tried right after the default one.

    Args:
        lake: The lake.
        settings: The settings.
        limits: When it ends.
        cores: Fits that run side by side.
        report: Takes each trial.
        run_id: The Dagster run that searches.

    Raises:
        LakeError: There is no panel.
        ConfigurationError: The history is too short.
    """
    default = default_recipe()
    arena = arena_of_lake(lake, settings, default)
    space = Space(arena.columns, settings.forecast.non_negative)
    known = [default, found_recipe(lake), *ALGORITHM.candidates(settings.training)]
    first = [recipe for recipe in known if recipe is not None and space.is_inside(recipe)]
    engines = Engines(cores, _no_spark, "")
    outcome = search(
        arena, space, study_name(lake, settings), Path(settings.search.folder), limits, engines, first, report
    )
    lake.write_polars(trials_table(outcome, settings, dt.datetime.now(dt.UTC)), MODEL_SEARCH, run_id=run_id)
    return outcome


def _no_spark() -> SparkSession:
    raise RuntimeError("a search fits in this process and needs no Spark")
