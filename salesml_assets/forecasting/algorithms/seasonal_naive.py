"""Seasonal naive: the value one season before the target, the nearest one not after the origin."""

from salesml_assets.forecasting.algorithms.base import Algorithm
from salesml_assets.forecasting.algorithms.baseline import baseline

ALGORITHM = Algorithm(
    name="seasonal_naive",
    title="Seasonal naive",
    description="The value of the same weekday (for weeks: of the same week a year ago) that is nearest to the target.",
    grid={},
    fit=baseline(lambda parameters: "seasonal_naive"),
)
