"""Rolling-origin backtest of one algorithm: parameters are chosen on an earlier origin than those that score.

At every origin, whatever is fitted uses rows whose target date is on or before the cutoff.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Fit, Parameters
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.model.models import Learned, Model, predict_all, relative_predictions
from salesml_assets.forecasting.training.sample import BIAS_ROWS, Sample, TrainingPanel

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.encoder import Matrix

MAX_STRUCTURAL_BIAS = 0.2
PROBE_ROWS = 1_000
Report = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """One set of parameters on the tuning origin.

    Attributes:
        parameters: What was tried.
        wape: Σ|y − ŷ| / Σ|y| over the rows that the model itself forecasts; NaN where nothing was sold there.
        bias: Σ(ŷ − y) / Σ|y| on training rows.
    """

    parameters: Parameters
    wape: float
    bias: float


@dataclass(frozen=True)
class Backtest:
    """Result of the backtest of one algorithm.

    Attributes:
        parameters: The chosen parameters.
        candidates: All that were tried.
        models: The model of each fold (0 is the tuning origin).
        rows: Training rows of the last origin.
        difference: Largest difference of a portable model from the library that fitted it; None where there is no
            other library.
    """

    parameters: Parameters
    candidates: list[Candidate]
    models: dict[int, Model]
    rows: int
    difference: float | None

    @property
    def model(self) -> Model:
        """The model of the last origin."""
        return self.models[max(self.models)]


def backtest(
    algorithm: Algorithm,
    panel: TrainingPanel,
    candidates: Sequence[Parameters],
    engines: Engines,
    report: Report = lambda line: None,
) -> Backtest:
    """Chooses parameters on fold 0 and fits them at each scored origin.

    Args:
        algorithm: Entry of the table of algorithms.
        panel: The panel with its training and scoring rows.
        candidates: Parameters to choose among; a single one is taken as it is.
        engines: What fits run on.
        report: Takes a line of progress.
    """
    tuning, *scored = panel.folds
    tried = tune(algorithm, panel, tuning, candidates, engines, report)
    best, fitted = choose(tried)
    fits, rows = {tuning.number: fitted}, 0
    # One fit does not keep all cores busy, so the origins' fits run side by side.
    with ThreadPoolExecutor(engines.cores, thread_name_prefix="origin") as pool:
        begun = [pool.submit(refit, algorithm, best.parameters, panel, fold.cutoff, engines, fold) for fold in scored]
        for fold, future in zip(scored, begun, strict=True):
            fits[fold.number], rows = future.result()
            report(f"{algorithm.name}: origin {fold.number} of {len(scored)} ({fold.cutoff}), {rows:,} training rows")
    differences = [fit.difference for fit in (*(fit for _, fit in tried), *fits.values()) if fit.difference is not None]
    return Backtest(
        best.parameters,
        [candidate for candidate, _ in tried],
        {number: fit.model for number, fit in fits.items()},
        rows,
        max(differences, default=None),
    )


def refit(
    algorithm: Algorithm,
    parameters: Parameters,
    panel: TrainingPanel,
    cutoff: dt.date,
    engines: Engines,
    fold: Fold | None = None,
) -> tuple[Fit, int]:
    """Fits one set of parameters on all that is known at a cutoff.

    Args:
        algorithm: Entry of the table of algorithms.
        parameters: Its parameters.
        panel: The panel.
        cutoff: Last target date that may be learned from.
        engines: What the fit runs on.
        fold: The fold that it is to predict; None for the rows to forecast.

    Returns:
        The fit and the number of its training rows.
    """
    if algorithm.combine is not None:
        return algorithm.combine(panel, parameters, cutoff, engines)
    # Algorithms of one run that fit the same share it: the ensemble has XGBoost's boosters.
    key = (algorithm.fit, repr(sorted(parameters.items())), cutoff)
    return panel.fits.get(key, lambda: _fit_once(algorithm, parameters, panel, cutoff, engines, fold))


def _fit_once(
    algorithm: Algorithm,
    parameters: Parameters,
    panel: TrainingPanel,
    cutoff: dt.date,
    engines: Engines,
    fold: Fold | None,
) -> tuple[Fit, int]:
    sample, probe = _prepared(algorithm, panel, cutoff, fold)
    (fit,) = algorithm.fit(sample, [parameters], panel.settings.training, engines, probe)  # type: ignore[arg-type]
    limit = getattr(panel.settings.training, algorithm.rows) if algorithm.rows else 0
    return fit, sample.at_most(limit).count if sample else 0


def tune(
    algorithm: Algorithm,
    panel: TrainingPanel,
    fold: Fold,
    candidates: Sequence[Parameters],
    engines: Engines,
    report: Report,
) -> list[tuple[Candidate, Fit]]:
    """Fits every candidate up to the fold's cutoff and measures its error after it, and its bias before it."""
    if algorithm.combine is not None or len(candidates) == 1:
        made = [refit(algorithm, parameters, panel, fold.cutoff, engines, fold)[0] for parameters in candidates]
        sample, begun = panel.up_to(fold.cutoff) if algorithm.rows else None, iter(made)
    else:
        sample, probe = _prepared(algorithm, panel, fold.cutoff, fold)
        begun = algorithm.fit(sample, candidates, panel.settings.training, engines, probe)  # type: ignore[arg-type]
    fits = []
    for fit in begun:
        fits.append(fit)
        report(f"{algorithm.name}: candidate {len(fits)} of {len(candidates)} is fitted: {candidates[len(fits) - 1]}")
    models = [fit.model for fit in fits]
    floor = 0.0 if panel.settings.forecast.non_negative else -math.inf
    wapes = _wapes(models, panel.to_score(fold.number), floor)
    biases = (
        _biases(models, sample, floor)
        if sample and len(candidates) > 1 and not algorithm.combine
        else [0.0] * len(models)
    )
    tried = [
        (Candidate(parameters, wape, bias), fit)
        for parameters, wape, bias, fit in zip(candidates, wapes, biases, fits, strict=True)
    ]
    for candidate, _ in tried:
        report(f"{algorithm.name}: {candidate.parameters}: WAPE {candidate.wape:.4f}, bias {candidate.bias:+.3f}")
    return tried


def choose(tried: Sequence[tuple[Candidate, Any]]) -> tuple[Candidate, Any]:
    """The lowest WAPE among the candidates that are not structurally biased; if all are, the least biased.

    WAPE alone is lowest for a forecast of the median, which is far too low in total for series that often sell
    nothing. That bias shows on the training rows; on the tuning origin, a season would be mistaken for it. Where
    nothing was sold at the tuning origin, no WAPE is known, and the first of them is taken.
    """
    sound = [pair for pair in tried if abs(pair[0].bias) <= MAX_STRUCTURAL_BIAS]
    if sound:
        return min(sound, key=lambda pair: pair[0].wape)
    return min(tried, key=lambda pair: abs(pair[0].bias))


def _prepared(
    algorithm: Algorithm, panel: TrainingPanel, cutoff: dt.date, fold: Fold | None
) -> tuple[Sample | None, Matrix | None]:
    """The sample of a cutoff, and encoded rows that the fit's predictions are compared on; nothing for a baseline."""
    if algorithm.rows is None:
        return None, None
    sample = panel.up_to(cutoff)
    first = next(panel.to_forecast() if fold is None else panel.to_score(fold.number), None)
    if first is None:
        return sample, sample.matrix[:PROBE_ROWS]
    return sample, sample.encoder.encode(_with_odd_rows(first.head(PROBE_ROWS), sample))


def _with_odd_rows(rows: pl.DataFrame, sample: Sample) -> pl.DataFrame:
    """Rows, and copies of some of them with labels never seen, with missing and with infinite features."""
    columns = sample.encoder.columns
    few = rows.head(10)
    texts = [*columns.keys, *columns.texts]
    unseen = few.with_columns(pl.lit("\N{SNOWMAN} never seen").alias(name) for name in texts)
    nothing = few.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in (*columns.features, *texts))
    infinite = [
        few.with_columns(pl.lit(value).alias(name) for name in columns.features) for value in (math.inf, -math.inf)
    ]
    return pl.concat([rows, unseen, nothing, *infinite], how="vertical_relaxed")


def _all(models: Sequence[Model], rows: pl.DataFrame) -> np.ndarray:
    learned = [model for model in models if isinstance(model, Learned)]
    if len(learned) == len(models):
        return predict_all(learned, rows)
    return np.stack([model.predict(rows) for model in models], axis=1)


def _wapes(models: Sequence[Model], batches: Iterable[pl.DataFrame], floor: float) -> list[float]:
    wrong: list[np.ndarray] = []
    volume = []
    for rows in batches:
        own = rows.filter(~pl.col("short") & ~pl.col("ended"))  # the others have the same forecast in every model
        if own.is_empty():
            continue
        y = own["y"].to_numpy()
        wrong.append(np.abs(np.maximum(_all(models, own), floor) - y[:, None]).sum(axis=0))
        volume.append(float(np.abs(y).sum()))
    total = math.fsum(volume)
    if not total:
        return [math.nan] * len(models)
    return [_rounded(math.fsum(sums) / total) for sums in zip(*wrong, strict=True)]


def _biases(models: Sequence[Model], sample: Sample, floor: float) -> list[float]:
    """Bias on the training rows."""
    some = sample.at_most(BIAS_ROWS)
    learned = [model for model in models if isinstance(model, Learned)]
    predicted = np.maximum(relative_predictions(learned, some.matrix) * some.scale[:, None], floor)
    volume = float(np.abs(some.y).sum())
    return [_rounded(float(off) / volume) if volume else 0.0 for off in (predicted - some.y[:, None]).sum(axis=0)]


def _rounded(value: float) -> float:
    """Without the digits that depend on the order of the batches."""
    return float(f"{value:.12g}")
