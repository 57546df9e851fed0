"""Found recipe: boosters, members and groups of features as a model search found them best."""

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

BOOSTERS, WITH_CALENDAR = "boosters", "boosters+calendar"  # members


def combine(panel: TrainingPanel, parameters: Parameters, cutoff: dt.date, engines: Engines) -> tuple[Fit, int]:
    """The mean of the boosters, or boosters and calendar regression weighted by the two origins before."""
    from salesml_assets.forecasting.training.backtest import refit
    from salesml_assets.forecasting.training.ensemble import combined

    rest = dict(parameters)
    members = rest.pop("members")
    if members == WITH_CALENDAR:
        return combined(XGBOOST, panel, rest, cutoff, engines)
    if members != BOOSTERS:
        raise ValueError(f"members: {members!r} is neither {BOOSTERS!r} nor {WITH_CALENDAR!r}")
    return refit(XGBOOST, rest, panel, cutoff, engines)


def fit(
    sample: Sample, candidates: Sequence[Parameters], settings: TrainingSettings, engines: Engines, probe: Matrix
) -> Iterator[Fit]:
    """The members without earlier origins are the mean of the boosters."""
    boosters = [{name: value for name, value in each.items() if name != "members"} for each in candidates]
    return XGBOOST.fit(sample, boosters, settings, engines, probe)


ALGORITHM = Algorithm(
    name="tuned",
    title="Found recipe",
    description="The recipe that `salesml tune` found; before the first search that of the ensemble.",
    grid={"members": [WITH_CALENDAR], "without": [""], **XGBOOST.grid},
    fit=fit,
    rows="max_rows",
    combine=combine,
    kinds=frozenset({"xgboost", "optuna"}),
    is_searched=True,
)
