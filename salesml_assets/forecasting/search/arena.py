"""Where recipes are compared: origins before the scored ones, on samples of series of growing size.

The scored origins stay unseen: every target lies on or before the first of them. The origins of a search are one and
two horizons before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Parameters
from salesml_assets.forecasting.batches import Totals
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.errors import daily_errors, daily_sums, decisive_losses
from salesml_assets.forecasting.folds import Fold, rolling_folds
from salesml_assets.forecasting.origin_rows import rows_at
from salesml_assets.forecasting.panel import SCORE, TRAIN
from salesml_assets.forecasting.pool_table import spec_of_lake
from salesml_assets.forecasting.training.backtest import refit
from salesml_assets.forecasting.training.sample import Once, TrainingPanel, in_memory, last_step
from salesml_assets.names import PANEL

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

TOO_SHORT = (
    "the history is too short for a search: there is nothing to learn from and to score before the scored origins. "
    "Lower forecast.horizon or training.folds, or go on without a search"
)
REDUCTION = 3  # each stage has so many times the series of the one before
MIN_SERIES = 30  # of a stage
MAX_SERIES = 2_000  # that are scored
MAX_BIAS, BIAS_PENALTY = 0.10, 20.0  # as the ensemble's weights: WAPE alone is lowest for forecasts that are too low


@dataclass(frozen=True)
class Stage:
    """One step of a trial.

    Attributes:
        resource: Effort, by which recipes of different stages are told apart.
        share: Share of the series that take part.
        origins: Numbers of the origins that are scored.
    """

    resource: int
    share: float
    origins: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """How a recipe did in a stage.

    Attributes:
        value: What is minimized: error as a share of the default recipe's, plus the penalty on bias; mean over origins.
        error: The error that decides on promotions, mean over origins.
        bias: Σ(ŷ - y) / Σ|y|, mean over origins.
    """

    value: float
    error: float
    bias: float


class SearchPanel(TrainingPanel):
    """A panel whose folds are the origins of a search; of each series only what a model forecasts."""

    def __init__(self, rows: pl.DataFrame, settings: Settings, origins: Sequence[Fold]) -> None:
        """Takes the rows of some series.

        Args:
            rows: Rows to learn from, and rows to score with the numbers of the origins as `fold`.
            settings: The settings.
            origins: The origins.
        """
        super().__init__(in_memory(rows), lambda: iter(()), settings)
        self._origins = list(origins)

    @cached_property
    def folds(self) -> list[Fold]:
        """The origins of the search."""
        return self._origins


class Arena:
    """The rows of a search, and the scores of recipes on them."""

    def __init__(self, rows: pl.DataFrame, origins: Sequence[Fold], settings: Settings, default: Parameters) -> None:
        """Takes the rows.

        Args:
            rows: As for `SearchPanel`, with `series_draw`: a uniform draw of each series.
            origins: The origins, the oldest first; without rows to score they are left out.
            settings: The settings.
            default: The recipe that others are compared with.

        Raises:
            ConfigurationError: There is nothing to learn from or to score.
        """
        self.settings, self.default, self._rows = settings, default, rows
        scored = rows.filter(pl.col("kind") == SCORE)
        present = set(scored["fold"].unique())
        learnable = rows.filter(pl.col("kind") == TRAIN)["ds"]
        self.origins = [fold for fold in origins if fold.number in present and bool((learnable <= fold.cutoff).any())]
        if not self.origins:
            raise ConfigurationError(TOO_SHORT)
        self.columns = rows.columns
        self.series = scored["unique_id"].n_unique()
        self._panels: dict[float, SearchPanel] = {}
        self._defaults: dict[tuple[float, int], tuple[float, float]] = {}

    @cached_property
    def stages(self) -> list[Stage]:
        """Stages of growing effort: a ninth of the series, a third, all at the latest origin; the last one at all."""
        latest, everything = self.origins[-1].number, tuple(fold.number for fold in self.origins)
        shares = [min(1.0, max(REDUCTION**-power, MIN_SERIES / self.series)) for power in (2, 1, 0)]
        found: list[Stage] = []
        for place, share in enumerate(shares):
            origins = everything if place == len(shares) - 1 else (latest,)
            if not found or (found[-1].share, found[-1].origins) != (share, origins):
                found.append(Stage(REDUCTION**place, share, origins))
        return found

    def score(self, algorithm: Algorithm, recipe: Parameters, stage: Stage, engines: Engines) -> Score:
        """Fits a recipe at the origins of a stage and measures it."""
        values, errors, biases = [], [], []
        for number in stage.origins:
            at = stage.share, number
            if at not in self._defaults:
                self._defaults[at] = self._measured(algorithm, self.default, *at, engines)
            usual, usual_bias = self._defaults[at]
            is_default = recipe == self.default
            error, bias = self._defaults[at] if is_default else self._measured(algorithm, recipe, *at, engines)
            over = max(abs(bias) - max(MAX_BIAS, abs(usual_bias)), 0.0)
            values.append((error / usual if usual > 0 else 1.0) + BIAS_PENALTY * over**2)
            errors.append(error)
            biases.append(bias)
        self._panel(stage.share).fits = Once()  # the origins of a recipe share fits; no other recipe needs them
        return Score(*(float(f"{np.mean(found):.10g}") for found in (values, errors, biases)))

    def _panel(self, share: float) -> SearchPanel:
        if share not in self._panels:
            drawn = self._rows.filter(pl.col("series_draw") < share)
            self._panels[share] = SearchPanel(drawn.drop("series_draw"), self.settings, self.origins)
        return self._panels[share]

    def _measured(
        self, algorithm: Algorithm, recipe: Parameters, share: float, number: int, engines: Engines
    ) -> tuple[float, float]:
        """Error by the metric that decides, and bias."""
        panel = self._panel(share)
        fold = next(fold for fold in self.origins if fold.number == number)
        fit, _ = refit(algorithm, recipe, panel, fold.cutoff, engines, fold)
        days = Totals(["fold", "ds"], largest=["origin"])
        for batch in panel.to_score(number):
            yhat = fit.model.predict(batch)
            if self.settings.forecast.non_negative:
                yhat = np.maximum(yhat, 0.0)
            days.add(daily_errors(batch.with_columns(yhat=pl.Series(yhat))))
        sums = daily_sums({algorithm.name: days.frame()})
        losses = decisive_losses(sums, self.settings)
        volume, sold = float(losses["volume"].sum()), float(sums["volume"].sum())
        error = float(losses[algorithm.name].sum()) / volume if volume > 0 else 0.0
        return error, float((sums["yhat"] - sums["y"]).sum()) / sold if sold > 0 else 0.0


def arena_of_lake(lake: Lakehouse, settings: Settings, default: Parameters) -> Arena:
    """The rows of the lake's panel that a search may see, and rows of an earlier origin.

    Args:
        lake: The lake.
        settings: The settings.
        default: The recipe that others are compared with.

    Raises:
        LakeError: There is no panel.
        ConfigurationError: The history is too short.
    """
    import pyarrow.compute as pc

    panel = partial(lake.batches, PANEL, version=lake.version(PANEL))
    step_days = 7 if settings.forecast.frequency != "D" else 1
    horizon = settings.forecast.horizon
    last = last_step(panel)
    latest = rolling_folds(last, horizon, settings.training.folds, step_days)[0]
    before = latest.cutoff - dt.timedelta(step_days * horizon)
    origins = (Fold(0, before, latest.cutoff), Fold(1, latest.cutoff, latest.last))
    usable = ~pl.col("short") & ~pl.col("ended")  # the others have the same forecast in every model
    score = (pc.field("kind") == SCORE) & (pc.field("fold") == latest.number)
    scored = _concat(batch.filter(usable) for batch in panel(filters=score))
    train = _concat(panel(filters=(pc.field("kind") == TRAIN) & (pc.field("ds") <= latest.cutoff)))
    if scored is None or train is None:
        raise ConfigurationError(TOO_SHORT)
    names = scored["unique_id"].unique().sort()
    drawn = names.to_frame().with_columns(uniform(names, seed=settings.training.seed)).sort("draw", "unique_id")
    chosen = drawn.head(MAX_SERIES)["unique_id"]
    parts = [
        train.with_columns(fold=pl.lit(None, pl.Int32)),
        scored.filter(pl.col("unique_id").is_in(chosen.implode())).with_columns(fold=pl.lit(1, pl.Int32)),
    ]
    earlier = rows_at(lake, spec_of_lake(lake, settings), chosen, [before], horizon).filter(usable)
    if earlier.height:
        about = {"fold": pl.lit(0, pl.Int32), "volume_class": pl.lit(None, pl.String)}
        parts.append(earlier.with_columns(**about))
    shared = [name for name in train.columns if all(name in part.columns for part in parts)]
    rows = pl.concat([part.select(shared) for part in parts])
    draws = uniform(rows["unique_id"], seed=settings.training.seed).alias("series_draw")
    return Arena(rows.with_columns(draws), origins, settings, default)


def _concat(frames: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    found = [frame for frame in frames if frame.height]
    return pl.concat(found) if found else None
