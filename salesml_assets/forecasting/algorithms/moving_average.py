"""Moving average of the last open, known steps."""

from salesml_assets.forecasting.algorithms.base import Algorithm
from salesml_assets.forecasting.algorithms.baseline import baseline

ALGORITHM = Algorithm(
    name="moving_average",
    title="Moving average",
    description="The mean of the last steps; how many is chosen by backtest (short, medium, long).",
    grid={"window": ["short", "medium", "long"]},
    fit=baseline(lambda parameters: f"average_{parameters['window']}"),
)
