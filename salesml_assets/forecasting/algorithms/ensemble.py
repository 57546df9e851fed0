"""Ensemble: two boosters and the calendar regression, weighted by the two origins before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Fit, Parameters
from salesml_assets.forecasting.algorithms.xgboost import ALGORITHM as XGBOOST

if TYPE_CHECKING:
    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.training.sample import Sample, TrainingPanel


def combine(panel: TrainingPanel, parameters: Parameters, cutoff: dt.date, engines: Engines) -> tuple[Fit, int]:
    """The members fitted at a cutoff, with weights from the origins before it."""
    from salesml_assets.forecasting.training.ensemble import combined

    return combined(XGBOOST, panel, parameters, cutoff, engines)


def fit(
    sample: Sample, candidates: Sequence[Parameters], settings: TrainingSettings, engines: Engines, probe: Matrix
) -> Iterator[Fit]:
    """The members without earlier origins are the mean of the boosters."""
    return XGBOOST.fit(sample, candidates, settings, engines, probe)


ALGORITHM = Algorithm(
    name="ensemble",
    title="Ensemble",
    description="XGBoost's two models and the calendar regression, weighted by their errors at the two origins before.",
    grid=XGBOOST.grid,
    fit=fit,
    rows="max_rows",
    combine=combine,
    kinds=frozenset({"xgboost"}),
)
