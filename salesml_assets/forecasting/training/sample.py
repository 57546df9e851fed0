"""What algorithms learn from at one origin: the bounded sample of the panel's training rows as a matrix."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from salesml_assets.forecasting.features import feature_spec
from salesml_assets.forecasting.folds import Fold, rolling_folds
from salesml_assets.forecasting.model.encoder import Encoder, Matrix, PanelColumns, Vector
from salesml_assets.forecasting.model.profile import Profile
from salesml_assets.forecasting.new_series import NewSeries, new_series
from salesml_assets.forecasting.panel import FUTURE, SCORE, TRAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from salesml_assets.config.settings import Settings

# Sales are heavy-tailed: the total of fewer rows is itself off by 5 % and more.
BIAS_ROWS = 50_000
# One order of a size never seen before must not decide what a model learns: squared errors of such targets would.
MAX_LABEL = 10.0
# The deviance of Tweedie grows far slower, and a quarter's sales on a single day are about 91 times the mean.
MAX_TWEEDIE_LABEL = 91.0
# Errors of big series weigh more in the end; with their full weight the small ones would teach nothing.
WEIGHT_POWER = 0.25


class Source(Protocol):
    """Batches of a table, as `Lakehouse.batches` gives them."""

    def __call__(self, columns: Sequence[str] | None = None, filters: Any = None) -> Iterator[pl.DataFrame]:
        """Yields the rows in frames; `filters` is a pyarrow expression."""


def in_memory(rows: pl.DataFrame) -> Source:
    """A frame as a source: one batch of the rows that a filter leaves."""
    table = rows.to_arrow()

    def batches(columns: Sequence[str] | None = None, filters: Any = None) -> Iterator[pl.DataFrame]:
        found = pl.DataFrame(pl.from_arrow(table if filters is None else table.filter(filters)))
        yield found if columns is None else found.select(columns)

    return batches


@dataclass(frozen=True)
class Sample:
    """Rows whose target date is on or before a cutoff.

    Attributes:
        encoder: Fitted on them.
        matrix: The encoded rows.
        y: Targets.
        scale: Typical level of each row's series.
        draw: Uniform draw of each row, the same in every run.
        max_draw: Upper end of the draws.
    """

    encoder: Encoder
    matrix: Matrix
    y: Vector
    scale: Vector
    draw: Vector
    max_draw: float

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.y)

    def at_most(self, limit: int) -> Sample:
        """About `limit` of the rows, thinned by their draws: the same rows in every run."""
        if self.count <= limit:
            return self
        max_draw = self.max_draw * limit / self.count
        kept = self.draw < max_draw
        return replace(
            self,
            matrix=self.matrix[kept],
            y=self.y[kept],
            scale=self.scale[kept],
            draw=self.draw[kept],
            max_draw=max_draw,
        )

    @cached_property
    def labels(self) -> Vector:
        """Targets as multiples of the scale, cut off at ±`MAX_LABEL`."""
        return np.clip(self.y / self.scale, -MAX_LABEL, MAX_LABEL)

    @cached_property
    def non_negative_labels(self) -> Vector:
        """Targets as multiples of the scale, cut off at 0 and `MAX_TWEEDIE_LABEL`."""
        return np.clip(self.y / self.scale, 0.0, MAX_TWEEDIE_LABEL)

    @cached_property
    def weights(self) -> Vector:
        """Weight of each row."""
        return np.asarray(self.scale**WEIGHT_POWER)


class Once:
    """Results by key, each computed once, whichever thread asks first; a failed one is computed again."""

    def __init__(self) -> None:
        """Nothing is computed yet."""
        self._lock = Lock()
        self._futures: dict[Hashable, Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The result of a key."""
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
        if is_first:
            try:
                future.set_result(compute())
            except BaseException as error:
                with self._lock:
                    del self._futures[key]
                future.set_exception(error)
        return future.result()


class TrainingPanel:
    """The panel of one run: what is learned from, and what is scored.

    The training rows are bounded by `training.max_rows` and held in memory; rows to score and to forecast grow with
    the number of series and are read in batches.
    """

    def __init__(self, source: Source, features: Callable[[], Iterator[pl.DataFrame]], settings: Settings) -> None:
        """Nothing is read yet.

        Args:
            source: Gives batches of the table `panel`.
            features: Gives batches of the table `features` that it was made of (`new_series.COLUMNS`).
            settings: The settings.
        """
        self.source = source
        self.features = features
        self.settings = settings
        self._profiles: dict[dt.date, Profile] = {}
        self._samples: dict[dt.date, Sample] = {}
        self.fits = Once()

    @cached_property
    def last(self) -> dt.date:
        """The last step of the data, from which the forecasts start."""
        return last_step(self.source)

    @cached_property
    def folds(self) -> list[Fold]:
        """The tuning origin (0) and the scored origins of the backtest."""
        step_days = 1 if self.settings.forecast.frequency == "D" else 7
        return rolling_folds(self.last, self.settings.forecast.horizon, self.settings.training.folds, step_days)

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """The training rows, sorted, so that whatever is learned depends on no order of files."""
        rows = _all_of(self.source, TRAIN)
        return rows.sort("unique_id", "origin", "horizon")

    def up_to(self, cutoff: dt.date) -> Sample:
        """The rows that may be learned from at a cutoff: at most as many as any algorithm takes.

        Raises:
            ValueError: There are none.
        """
        if cutoff not in self._samples:
            training = self.settings.training
            rows, max_draw = training_rows(self._rows, cutoff, max(training.max_rows, training.tree_rows, BIAS_ROWS))
            encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
            y, scale, draw = (rows[name].cast(pl.Float64).to_numpy() for name in ("y", "scale", "draw"))
            self._samples[cutoff] = Sample(encoder, encoder.encode(rows), y, scale, draw, max_draw)
        return self._samples[cutoff]

    @cached_property
    def _new_series(self) -> NewSeries:
        return new_series(self.features, feature_spec(self.settings, {}), self.folds[0].cutoff)

    def profile(self, cutoff: dt.date) -> Profile:
        """How new series sell, as known at a cutoff."""
        if cutoff not in self._profiles:
            self._profiles[cutoff] = self._new_series.profile(cutoff, self.settings.forecast.horizon)
        return self._profiles[cutoff]

    @property
    def fold_profiles(self) -> dict[int, Profile]:
        """The profile of each fold's cutoff."""
        return {fold.number: self.profile(fold.cutoff) for fold in self.folds}

    def to_score(self, fold: int | None = None) -> Iterator[pl.DataFrame]:
        """Rows to score in batches: of all folds, or of one."""
        import pyarrow.compute as pc

        wanted = pc.field("kind") == SCORE
        return self.source(filters=wanted if fold is None else wanted & (pc.field("fold") == fold))

    def to_forecast(self) -> Iterator[pl.DataFrame]:
        """Rows to forecast in batches."""
        import pyarrow.compute as pc

        return self.source(filters=pc.field("kind") == FUTURE)


def last_step(source: Source) -> dt.date:
    """The last step of the data of a panel.

    Raises:
        ValueError: The panel has no rows to forecast.
    """
    import pyarrow.compute as pc

    origins = {day for batch in source(["origin"], pc.field("kind") == FUTURE) for day in batch["origin"].unique()}
    if not origins:
        raise ValueError("the panel has no rows to forecast: materialize `panel` again")
    last: dt.date = max(origins)
    return last


def training_rows(rows: pl.DataFrame, cutoff: dt.date, limit: int) -> tuple[pl.DataFrame, float]:
    """Training rows whose target date is on or before the cutoff, at most about `limit` of them.

    Rows are thinned by their `draw`, so the same rows are taken in every run.

    Returns:
        The rows, and the upper end of their draws.

    Raises:
        ValueError: There are none.
    """
    known = rows.filter(pl.col("ds") <= cutoff)
    if known.is_empty():
        raise ValueError(f"there are no rows to train on up to {cutoff}: the series are too short")
    max_draw = float(known["draw"].max())  # type: ignore[arg-type]
    if known.height <= limit:
        return known, max_draw
    max_draw *= limit / known.height
    return known.filter(pl.col("draw") < max_draw), max_draw


def _all_of(source: Source, kind: str) -> pl.DataFrame:
    import pyarrow.compute as pc

    parts = list(source(filters=pc.field("kind") == kind))
    return pl.concat(parts) if parts else pl.DataFrame(schema={"ds": pl.Date, "draw": pl.Float64})
