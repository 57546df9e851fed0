"""The production model: the winner refitted on all data, one row per version in a table of the lake."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.features import FeatureSpec, feature_spec
from salesml_assets.forecasting.model.bundle import Bundle, Calendar
from salesml_assets.forecasting.model.predict import predict_folds
from salesml_assets.forecasting.pooled import latest, plan_rows
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.training.backtest import Backtest, backtest
from salesml_assets.forecasting.versions import latest_version
from salesml_assets.lake.store import LakeError
from salesml_assets.names import POOLED_CALENDAR, PRODUCTION_MODEL, SALES_SERIES
from salesml_assets.release import code_version
from salesml_assets.text import masked_tree

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.forecasting.algorithms.base import Engines
    from salesml_assets.forecasting.batches import Batches
    from salesml_assets.forecasting.model.models import Model
    from salesml_assets.forecasting.training.sample import TrainingPanel
    from salesml_assets.lake.store import Lakehouse


def champion_recipe(tables: Lakehouse) -> Recipe | None:
    """Algorithm and parameters of the model in production."""
    newest = latest_version(tables)
    return Recipe(algorithm=newest.algorithm, parameters=newest.parameters) if newest else None


def champion_predictions(champion: Recipe, panel: TrainingPanel, engines: Engines) -> Batches:
    """Backtests the champion's own recipe on the rows on which its challengers are scored."""
    result = backtest(ALGORITHMS[champion.algorithm], panel, [champion.parameters], engines)
    return predictions_of(result, panel)


def predictions_of(result: Backtest, panel: TrainingPanel) -> Batches:
    """Predictions of all folds of a backtest: recomputed batch by batch, each time that they are asked for."""
    profiles = panel.fold_profiles

    def batches(columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        for rows in panel.to_score():
            predicted = predict_folds(result.models, profiles, rows, panel.settings.forecast.non_negative)
            yield predicted if columns is None else predicted.select(columns)

    return batches


def make_bundle(
    model: Model,
    recipe: Recipe,
    panel: TrainingPanel,
    tables: Lakehouse,
    *,
    cutoff: dt.date,
    rows: int,
    version: int = 0,
    intervals: pl.DataFrame | None = None,
    lake_versions: dict[str, int] | None = None,
    decision: dict[str, Any] | None = None,
) -> Bundle:
    """A fitted model with all that is needed to use it.

    Args:
        model: The model.
        recipe: What was fitted.
        panel: The panel that it learned from.
        tables: The lake, for the trading calendar, the covariates and the pooled calendar.
        cutoff: Last step that it learned from.
        rows: Training rows.
        version: Number of the production model; 0 for a model of the backtest.
        intervals: Interval table of its backtest.
        lake_versions: Versions of the tables that it was made from.
        decision: The promotion decision.
    """
    settings = panel.settings
    kinds = tables.columns(SALES_SERIES)
    covariates = {name: kinds[name] for name in settings.forecast.known_future.columns if name in kinds}
    spec = feature_spec(settings, covariates, kinds)
    return Bundle(
        model=model,
        version=version,
        algorithm=recipe.algorithm,
        parameters=recipe.parameters,
        cutoff=cutoff,
        rows=rows,
        features=spec,
        series_keys=tuple(settings.forecast.series),
        horizon=settings.forecast.horizon,
        calendar=trading_calendar(tables.batches(SALES_SERIES, ["ds", "y"]), settings.forecast.frequency),
        non_negative=settings.forecast.non_negative,
        intervals=pl.DataFrame() if intervals is None else intervals,
        lake_versions=lake_versions or {},
        settings=masked_tree(settings.model_dump(mode="json")),
        trained_at=dt.datetime.now(dt.UTC),
        decision=decision or {},
        pooled=pl.concat([latest(tables.read_polars(POOLED_CALENDAR)), *_plans(panel, spec)]),
        profile=panel.profile(cutoff),
        code_version=code_version(),
    )


def _plans(panel: TrainingPanel, spec: FeatureSpec) -> list[pl.DataFrame]:
    """What is planned ahead for groups of series; at most one row for each group, step and planned number."""
    if not (spec.plan_groups and spec.numbers):
        return []
    rows = pl.concat([plan_rows(batch, spec) for batch in panel.to_forecast()])
    # A group that is spread over batches is known where all of them agree.
    means = rows.group_by("part", "group", "day", "term", maintain_order=True).agg(
        pl.col("linear").first(), pl.col("log").first(), same=pl.col("linear").n_unique() == 1
    )
    return [means.filter("same").drop("same").sort("group", "day", "term")]


def trading_calendar(steps: Iterable[pl.DataFrame], frequency: str) -> Calendar:
    """When the business trades, as its series show it.

    Args:
        steps: Batches of the table `sales_series` with `ds` and `y`.
        frequency: The setting `forecast.frequency`.
    """
    sold = [batch.group_by("ds").agg(rows=(pl.col("y").fill_null(0.0) != 0).sum()) for batch in steps]
    daily = pl.concat(sold).group_by("ds").agg(pl.col("rows").sum()).sort("ds").rename({"ds": "date"})
    calendar = business_calendar(daily.to_pandas(), frequency)
    return Calendar(calendar.step_days, calendar.week_end, calendar.closed_weekdays)


def with_version(tables: Lakehouse, bundle: Bundle, path: str) -> pd.DataFrame:
    """The table of production models with a new row.

    Args:
        tables: The lake.
        bundle: The new model.
        path: Folder of its bundle.

    Raises:
        LakeError: Another version came in while this one was trained.
    """
    import pandas as pd

    new = pd.DataFrame([version_row(bundle, path)])
    if not tables.exists(PRODUCTION_MODEL):
        return new
    rows = tables.read_pandas(PRODUCTION_MODEL)
    if (newest := rows["version"].max()) != bundle.version - 1:
        raise LakeError(
            f"{PRODUCTION_MODEL}: version {newest} came in while version {bundle.version} was trained: run again."
        )
    return pd.concat([rows, new], ignore_index=True)


def version_row(bundle: Bundle, path: str) -> dict[str, Any]:
    """A model's row in the table of production models.

    Args:
        bundle: The model.
        path: Folder of its bundle.
    """
    return {
        "version": bundle.version,
        "algorithm": bundle.algorithm,
        "parameters": json.dumps(bundle.parameters, sort_keys=True),
        "path": path,
        "cutoff": bundle.cutoff,
        "trained_at": bundle.trained_at,
        "decision": json.dumps(bundle.decision, sort_keys=True, default=str),
        "lake_versions": json.dumps(bundle.lake_versions, sort_keys=True),
        "settings": json.dumps(bundle.settings, sort_keys=True),
    }
