"""Rolling-origin backtest of one algorithm: parameters are chosen on an earlier origin than those that score.

At every origin, whatever is fitted uses rows whose target lies on or before the cutoff.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from salesml_assets.forecasting.algorithms.base import PREDICTION_COLUMNS, VECTOR, Algorithm, Fitted, Parameters
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.panel import SCORE, TRAIN
from salesml_assets.forecasting.training.sample import BIAS_ROWS, EncodedPanel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from salesml_assets.config.settings import Settings

LARGEST_BIAS = 0.2
Report = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """One set of parameters on the tuning origin.

    Attributes:
        parameters: What was tried.
        wape: Σ|y − ŷ| / Σ|y|.
        bias: Σ(ŷ − y) / Σ|y| on training rows.
    """

    parameters: Parameters
    wape: float
    bias: float


@dataclass(frozen=True)
class Backtest:
    """What came of the backtest of one algorithm.

    Attributes:
        parameters: The chosen parameters.
        candidates: All that were tried.
        predictions: Rows of all folds (0 is the tuning origin) with `yhat`.
        fitted: The model of the last origin.
        rows: Training rows of the last origin.
    """

    parameters: Parameters
    candidates: list[Candidate]
    predictions: DataFrame
    fitted: Fitted
    rows: int


def predict(fitted: Fitted, rows: DataFrame, settings: Settings) -> DataFrame:
    """Adds `yhat`, never negative where the target cannot be."""
    return _possible(fitted.predict(rows), settings)


def backtest(
    algorithm: Algorithm,
    encoded: EncodedPanel,
    folds: list[Fold],
    candidates: list[Parameters],
    report: Report = lambda line: None,
) -> Backtest:
    """Chooses parameters on fold 0 and predicts all folds, refitted at each origin.

    Args:
        algorithm: Entry of the table of algorithms.
        encoded: The panel with its training and scoring rows.
        folds: The tuning origin (0) and the scored origins.
        candidates: Parameters to choose among; a single one is taken as it is.
        report: Takes a line of progress.
    """
    tuning, *scored = folds
    settings = encoded.settings
    tried = tune(algorithm, encoded, tuning, candidates, report)
    best, fitted = choose(tried)

    def predictions(fitted: Fitted, fold: Fold) -> DataFrame:
        return _possible(fitted.predict_encoded(_rows_to_score(algorithm, encoded, fold)), settings)

    def refitted(fold: Fold) -> tuple[Fitted, int]:
        trainer = algorithm.prepare(encoded, fold.cutoff)
        try:
            return trainer.fit(best.parameters), trainer.count
        finally:
            trainer.close()

    parts, rows = [predictions(fitted, tuning)], 0
    # One fit does not keep all cores busy, so the origins' fits run side by side.
    parallelism = encoded.panel.sparkSession.sparkContext.defaultParallelism
    with ThreadPoolExecutor(parallelism, thread_name_prefix="origin") as pool:
        for fold, (fitted, rows) in zip(scored, pool.map(refitted, scored), strict=True):
            parts.append(predictions(fitted, fold))
            report(f"{algorithm.name}: origin {fold.number} of {len(scored)} ({fold.cutoff}), {rows:,} training rows")
    everything = functools.reduce(lambda left, right: left.unionByName(right), parts)
    if "category" not in everything.columns:
        everything = everything.withColumn("category", F.lit(None).cast("string"))
    table = everything.select(*PREDICTION_COLUMNS)
    return Backtest(best.parameters, [candidate for candidate, _ in tried], table, fitted, rows)


def tune(
    algorithm: Algorithm, encoded: EncodedPanel, fold: Fold, candidates: list[Parameters], report: Report
) -> list[tuple[Candidate, Fitted]]:
    """Fits every candidate up to the fold's cutoff and measures its error after it, and its bias before it."""
    trainer = algorithm.prepare(encoded, fold.cutoff)
    rows = _rows_to_score(algorithm, encoded, fold)
    if len(candidates) > 1 and algorithm.rows:
        learned = encoded.up_to(fold.cutoff).at_most(BIAS_ROWS).rows
        measured = ("kind", "y", "scale", VECTOR)
        rows = rows.select(*measured).unionByName(learned.select(*measured))
    models: list[Fitted] = []
    try:
        for number, model in enumerate(trainer.fit_all(candidates), 1):
            models.append(model)
            report(f"{algorithm.name}: candidate {number} of {len(candidates)} is fitted: {candidates[number - 1]}")
    finally:
        trainer.close()
    scores = _scores(trainer.predict_all(models, rows), len(models), encoded.settings)
    tried = [
        (Candidate(parameters, wape, bias), model)
        for parameters, (wape, bias), model in zip(candidates, scores, models, strict=True)
    ]
    for candidate, _ in tried:
        report(f"{algorithm.name}: {candidate.parameters}: WAPE {candidate.wape:.4f}, bias {candidate.bias:+.3f}")
    return tried


def choose(tried: list[tuple[Candidate, Any]]) -> tuple[Candidate, Any]:
    """The lowest WAPE among the candidates that are not structurally biased; if all are, the least biased.

    WAPE alone is lowest for a forecast of the median, which is far too low in total for series that often sell
    nothing. That bias shows on the training rows; on the tuning origin, a season would be mistaken for it.
    """
    sound = [pair for pair in tried if abs(pair[0].bias) <= LARGEST_BIAS]
    if sound:
        return min(sound, key=lambda pair: pair[0].wape)
    return min(tried, key=lambda pair: abs(pair[0].bias))


def _rows_to_score(algorithm: Algorithm, encoded: EncodedPanel, fold: Fold) -> DataFrame:
    return encoded.to_score(fold) if algorithm.rows else encoded.fold_rows(fold)


def _possible(predicted: DataFrame, settings: Settings) -> DataFrame:
    return predicted.withColumn("yhat", F.greatest("yhat", F.lit(0.0))) if settings.forecast.non_negative else predicted


def _scores(predictions: DataFrame, models: int, settings: Settings) -> list[tuple[float, float]]:
    """WAPE of each model on the rows to score, and bias on the training rows beside them (0 where there are none)."""
    floor = F.lit(0.0) if settings.forecast.non_negative else F.lit(-math.inf)
    errors = [F.greatest(F.col("yhats")[number], floor) - F.col("y") for number in range(models)]
    sums = predictions.groupBy("kind").agg(
        F.sum(F.abs("y")).alias("volume"),
        *[F.sum(F.abs(error)).alias(f"wrong_{number}") for number, error in enumerate(errors)],
        *[F.sum(error).alias(f"off_{number}") for number, error in enumerate(errors)],
    )
    found = {row["kind"]: row for row in sums.collect()}
    if SCORE not in found or not found[SCORE]["volume"]:
        raise ValueError("nothing was sold at the tuning origin: the series are too short or empty")
    volumes = {kind: row["volume"] for kind, row in found.items()}
    return [
        (
            found[SCORE][f"wrong_{number}"] / volumes[SCORE],
            found[TRAIN][f"off_{number}"] / volumes[TRAIN] if volumes.get(TRAIN) else 0.0,
        )
        for number in range(models)
    ]
