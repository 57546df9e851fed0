"""Calendar regression: weekday, season, holidays, plans and trend of each series, pooled over series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesml_assets.forecasting.algorithms.base import Algorithm, Parameters
from salesml_assets.forecasting.algorithms.baseline import untrained

if TYPE_CHECKING:
    from salesml_assets.forecasting.model.models import Model


def model(parameters: Parameters) -> Model:
    """Nothing is left to fit: the panel's rows have the forecasts of the last knot before their origins."""
    from salesml_assets.forecasting.model.models import Calendar

    return Calendar()


ALGORITHM = Algorithm(
    name="calendar_regression",
    title="Calendar regression",
    description="A ridge regression of each series on weekday, season, holidays, plans and trend, pooled over series.",
    grid={},
    fit=untrained(model),
)
