"""Baselines: a column of the panel, nothing to train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Engines, Fit, FitAll, Parameters

if TYPE_CHECKING:
    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.model.models import Model
    from salesml_assets.forecasting.training.sample import Sample


def untrained(model_of: Callable[[Parameters], Model]) -> FitAll:
    """The `fit` of an algorithm whose forecasts the panel has already.

    Args:
        model_of: The model for a set of parameters.
    """

    def fit(
        sample: Sample | None,
        candidates: Sequence[Parameters],
        settings: TrainingSettings,
        engines: Engines,
        probe: Matrix | None,
    ) -> Iterator[Fit]:
        return (Fit(model_of(parameters)) for parameters in candidates)

    return fit


def baseline(column_of: Callable[[Parameters], str]) -> FitAll:
    """The `fit` of a baseline.

    Args:
        column_of: The column for a set of parameters.
    """

    def model_of(parameters: Parameters) -> Model:
        from salesml_assets.forecasting.model.models import Baseline

        return Baseline(column_of(parameters))

    return untrained(model_of)
