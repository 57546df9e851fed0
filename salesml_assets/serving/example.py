"""A request that a model can answer: it tries out a new model, and is the example in the API's description."""

from __future__ import annotations

import datetime as dt
from typing import Any

from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.serving.book import VALUES
from salesml_assets.serving.compute import explanations, predictions
from salesml_assets.serving.schemas import PredictionRequest

_DAYS, _WEEKS = 60, 26


class ExampleError(ValueError):
    """A model does not forecast the example as a model should."""


def example_request(bundle: Bundle, steps: int | None = None) -> dict[str, Any]:
    """One series with a short history and a plan for the first step, as a body for /predict and /explain.

    Args:
        bundle: The model, for its keys, its calendar and its planned values.
        steps: Steps of history; default: some weeks.
    """
    calendar, features = bundle.calendar, bundle.features
    count = steps or (_DAYS if calendar.week_end is None else _WEEKS)
    last = bundle.cutoff
    if calendar.week_end is not None:
        last -= dt.timedelta((last.weekday() - calendar.week_end) % 7)
    planned = dict.fromkeys(features.numbers, 1.0) | dict.fromkeys(features.texts, "yes")
    history = []
    for number in range(count):
        day = last - dt.timedelta(calendar.step_days * (count - 1 - number))
        shut = calendar.week_end is None and day.weekday() in calendar.closed_weekdays
        row = {"ds": day.isoformat(), "y": 0.0 if shut else 20.0 + 7 * number % 13}
        history.append(row | ({"planned": planned} if planned else {}))
    plan = {"ds": (last + dt.timedelta(calendar.step_days)).isoformat(), "closed": False}
    return {
        "series": [
            {
                "keys": {key: f"example {key}" for key in bundle.series_keys},
                "history": history,
                "future": [plan | ({"planned": planned} if planned else {})],
            }
        ],
        "horizon": min(7, bundle.horizon),
    }


def try_out(bundle: Bundle) -> None:
    """Forecasts and explains the example over the whole horizon.

    Raises:
        ExampleError: A step is missing, a bound is on the wrong side, or the contributions do not add up.
        ProblemError: A forecast is not a number.
    """
    request = PredictionRequest.model_validate(example_request(bundle, 400) | {"horizon": bundle.horizon})
    (made,) = predictions(bundle, request, 1, 10_000)["items"]
    (explained,) = explanations(bundle, request, 1, 10_000)["items"]
    if len(made["steps"]) != bundle.horizon:
        raise ExampleError(f"{len(made['steps'])} steps instead of {bundle.horizon}")
    for step, why in zip(made["steps"], explained["steps"], strict=True):
        yhat, lo80, hi80, lo95, hi95 = (step[name] for name in VALUES)
        if not lo95 <= lo80 <= yhat <= hi80 <= hi95:
            raise ExampleError(f"{step['ds']}: bounds in the wrong order")
        total = why["base"] + sum(entry["amount"] for entry in why["contributions"])
        if abs(total - yhat) > 1e-6 * max(1.0, abs(yhat)):
            raise ExampleError(f"{step['ds']}: contributions add up to {total}, not to {yhat}")
