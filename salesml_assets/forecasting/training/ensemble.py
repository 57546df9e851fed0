"""Weights of an ensemble: errors at the two origins before, half shrunk to fixed weights, bias held within bounds.

Weights that are chosen freely on two origins fit their noise; means are hard to beat (the forecast combination puzzle:
Stock & Watson 2004; Claeskens et al. 2016). Hence they go only half of the way from the fixed ones.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Fit, Parameters
from salesml_assets.forecasting.calendar_columns import REGRESSION
from salesml_assets.forecasting.model.models import Blend, Calendar, Learned, Model, predict_all
from salesml_assets.forecasting.training.backtest import refit

if TYPE_CHECKING:
    from salesml_assets.forecasting.training.sample import TrainingPanel

ORIGINS = 2  # from which the weights come
SHRINKAGE = 0.5
REGRESSION_WEIGHT = 0.2  # of the fixed weights; the boosters share the rest
MAX_BIAS, BIAS_PENALTY = 0.10, 20.0
# Errors below this share of the mean sales count quadratically, so that the minimum is smooth.
SMOOTH = 0.01
MAX_ROWS = 400_000  # of the origins before; more are thinned by their draws


def combined(
    boosters: Algorithm, panel: TrainingPanel, parameters: Parameters, cutoff: dt.date, engines: Engines
) -> tuple[Fit, int]:
    """Boosters and calendar regression fitted at a cutoff, with weights from the origins before.

    Args:
        boosters: The algorithm of the boosters.
        panel: The panel; its scored origins before the cutoff give the weights.
        parameters: Of the boosters, several objectives joined by `+`.
        cutoff: Last target date that may be learned from.
        engines: What fits run on.

    Returns:
        The fit and the number of training rows.
    """
    fit, rows = refit(boosters, parameters, panel, cutoff, engines)
    learned = fit.model
    if not isinstance(learned, Learned):
        raise TypeError(f"{boosters.name} has no regressors to weight")
    fixed = fixed_weights(len(learned.regressors))
    earlier = [fold for fold in panel.folds if fold.last <= cutoff][-ORIGINS:]
    y, members = [], []
    for fold in earlier:
        before, _ = refit(boosters, parameters, panel, fold.cutoff, engines, fold)
        for sales, predictions in _predictions(before.model, panel, fold.number):
            y.append(sales)
            members.append(predictions)
    weights = fixed
    if y:
        weights = shrunk_weights(np.concatenate(y), np.concatenate(members), fixed)
    return replace(fit, model=blend(learned, weights)), rows


def fixed_weights(boosters: int) -> np.ndarray:
    """Weights without any evidence: of each booster and, last, of the calendar regression.

    >>> fixed_weights(2).tolist()
    [0.4, 0.4, 0.2]
    """
    return np.array([(1.0 - REGRESSION_WEIGHT) / boosters] * boosters + [REGRESSION_WEIGHT])


def shrunk_weights(y: np.ndarray, members: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Convex weights with the smallest absolute error, half shrunk to the fixed ones.

    A bias of the shrunk weights beyond ±`MAX_BIAS` is penalized by its square.

    Args:
        y: Sales.
        members: Forecasts: rows × members.
        fixed: The fixed weights.
    """
    volume = float(np.abs(y).sum())
    if volume <= 0:
        return fixed
    smooth = SMOOTH * volume / len(y)

    def final(free: np.ndarray) -> np.ndarray:
        return SHRINKAGE * fixed + (1.0 - SHRINKAGE) * free

    bias_of = (members - y[:, None]).sum(axis=0) / volume  # the bias is linear in weights that add up to 1

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        error = members @ free - y
        size = np.sqrt(error**2 + smooth**2)
        value, slope = float(size.sum()) / volume, (error / size) @ members / volume
        bias = float(bias_of @ final(free))
        over = max(abs(bias) - MAX_BIAS, 0.0)
        value += BIAS_PENALTY * over**2
        return value, slope + 2 * BIAS_PENALTY * over * np.sign(bias) * (1.0 - SHRINKAGE) * bias_of

    found = minimize(
        loss,
        fixed,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(fixed),
        constraints={"type": "eq", "fun": lambda free: free.sum() - 1.0, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-9},
    )
    free = np.clip(found.x, 0.0, None)
    # Digits that depend on the order of the rows are no use.
    weights = final(free / free.sum()).round(6)
    return np.asarray(weights / weights.sum())


def blend(learned: Learned, weights: np.ndarray) -> Model:
    """The model of the weights: of each booster and, last, of the calendar regression."""
    own = float(weights[:-1].sum())  # at least half of the boosters' fixed weights
    inner = weights[:-1] / own
    boosters = replace(learned, weights=tuple(inner.tolist()))
    return Blend((boosters, Calendar()), (own, float(weights[-1])))


def _predictions(model: Model, panel: TrainingPanel, fold: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sales and forecasts of each member at one origin, batch by batch, at most `MAX_ROWS` of all origins."""
    assert isinstance(model, Learned)
    singles = [Learned(model.encoder, (regressor,)) for regressor in model.regressors]
    share = _share(panel, fold)
    for batch in panel.to_score(fold):
        rows = batch.filter(batch["draw"] < share) if share < 1 else batch
        stacked = np.column_stack([predict_all(singles, rows), rows[REGRESSION].to_numpy()])
        yield rows["y"].to_numpy(), np.maximum(stacked, 0.0) if panel.settings.forecast.non_negative else stacked


def _share(panel: TrainingPanel, fold: int) -> float:
    """Share of an origin's rows that are used."""
    count = sum(batch.height for batch in panel.to_score(fold))
    return MAX_ROWS / ORIGINS / max(count, 1)
