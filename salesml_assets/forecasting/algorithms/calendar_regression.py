"""Calendar regression: weekday, season, holidays, plans and trend of each series, pooled over series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Algorithm, Engines, Fit, Parameters

if TYPE_CHECKING:
    from salesml_assets.config.settings import TrainingSettings
    from salesml_assets.forecasting.model.encoder import Matrix
    from salesml_assets.forecasting.training.sample import Sample


def fit(
    sample: Sample | None,
    candidates: Sequence[Parameters],
    settings: TrainingSettings,
    engines: Engines,
    probe: Matrix | None,
) -> Iterator[Fit]:
    """Nothing is left to fit: the panel's rows have the forecasts of the last knot before their origins."""
    from salesml_assets.forecasting.model.models import Calendar

    return (Fit(Calendar()) for _ in candidates)


ALGORITHM = Algorithm(
    name="calendar_regression",
    title="Calendar regression",
    description="A ridge regression of each series on weekday, season, holidays, plans and trend, pooled over series.",
    grid={},
    fit=fit,
)
