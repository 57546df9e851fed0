"""From a request to rows of the panel, and on to forecasts and explanations, by the definitions of the batch run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from salesml_assets.forecasting.feature_words import RULES
from salesml_assets.forecasting.features import add_features
from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.forecasting.model.explain import explained
from salesml_assets.forecasting.model.models import encoders
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.panel import expand_future
from salesml_assets.forecasting.series_id import series_name
from salesml_assets.names import STOCK_OUT
from salesml_assets.serving.book import amounts_of
from salesml_assets.serving.problems import invalid
from salesml_assets.serving.schemas import FutureStep, PredictionRequest, SeriesInput


def predictions(
    bundle: Bundle,
    request: PredictionRequest,
    max_series: int,
    max_rows: int,
    places: Sequence[int] | None = None,
    service_level: float | None = None,
) -> dict[str, Any]:
    """Answers /predict.

    Args:
        bundle: The model.
        request: The request.
        max_series: Series that are allowed.
        max_rows: Steps of history that are allowed, missing ones included.
        places: Places of the series that are wanted; default: all.
        service_level: Of the quantities to order; None: without them.

    Returns:
        What `schemas.Predictions` describes.

    Raises:
        ProblemError: A field of the request is wrong.
    """
    rows = panel_rows(bundle, request, max_series, max_rows, places)
    made = _finite(forecast(bundle, rows, service_level))
    horizon = len(made) // (len(request.series) if places is None else len(places))
    return {"items": [_forecasts(part) for part in made.iter_slices(horizon)]}


def explanations(
    bundle: Bundle, request: PredictionRequest, max_series: int, max_rows: int, places: Sequence[int] | None = None
) -> dict[str, Any]:
    """Answers /explain: arguments and errors as for `predictions`.

    Returns:
        What `schemas.Explanations` describes. What changes a forecast after the model (closed days, series that are
        too short, nothing below zero) is a group of its own, so that all amounts add up to the forecast.
    """
    found = explained(bundle, panel_rows(bundle, request, max_series, max_rows, places))
    made, shares = _finite(found.forecasts), found.shares
    amounts = shares.amounts
    steps = []
    for number, (day, yhat) in enumerate(made.select("ds", "yhat").iter_rows()):
        entries = []
        for group, columns in shares.groups.items():
            shown = sorted((p for p in columns if amounts[number, p]), key=lambda p: -abs(amounts[number, p]))
            parts = [{"feature": shares.labels[place], "amount": float(amounts[number, place])} for place in shown]
            entries.append({"group": group, "amount": float(amounts[number, columns].sum()), "parts": parts})
        if not found.is_model[number]:
            entries.append({"group": RULES, "amount": float(found.rules[number]), "parts": []})
        steps.append(
            {"ds": day.isoformat(), "yhat": yhat, "base": float(shares.base[number]), "contributions": entries}
        )
    horizon = len(made) // (len(request.series) if places is None else len(places))
    each = enumerate(made.iter_slices(horizon))
    return {"items": [_about(part) | {"steps": steps[at * horizon : (at + 1) * horizon]} for at, part in each]}


def panel_rows(
    bundle: Bundle, request: PredictionRequest, max_series: int, max_rows: int, places: Sequence[int] | None = None
) -> pl.DataFrame:
    """The rows of the panel to forecast, in the order of the request's series and of their steps.

    Raises:
        ProblemError: A field of the request is wrong.
    """
    if len(request.series) > max_series:
        raise invalid("series", f"{len(request.series)} series; {max_series} are allowed in one request")
    horizon = request.horizon or bundle.horizon
    if horizon > bundle.horizon:
        raise invalid("horizon", f"the model forecasts {bundle.horizon} steps")
    names: dict[str, int] = {}
    past, future, room = [], [], max_rows
    for place in range(len(request.series)) if places is None else places:
        series, field = request.series[place], f"series.{place}"
        keys = _keys(bundle, series, f"{field}.keys")
        name = name_of(bundle, series)
        if names.setdefault(name, place) != place:
            raise invalid(f"{field}.keys", f"the same series as series.{names[name]}")
        # The name is the order of the rows, and a series does not depend on its name: a number keeps the order.
        about = {"unique_id": f"{place:09d}", **keys}
        steps = _past(bundle, series, field, room)
        room -= len(steps)
        past.append(steps.with_columns(pl.lit(value, pl.String).alias(key) for key, value in about.items()))
        plans = _future(bundle, series, steps["ds"][-1], horizon, f"{field}.future")
        future.append(plans.with_columns(pl.lit(value, pl.String).alias(key) for key, value in about.items()))
    features = add_features(pl.concat(past), bundle.features)
    rows = expand_future(pl.concat([features, *future], how="diagonal"), bundle.features, horizon, bundle.pool)
    return rows.with_columns(unique_id=pl.Series([name for name in names for _ in range(horizon)]))


def series_keys(bundle: Bundle) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys that a series has to have, and further ones that the model knows."""
    found = [key for encoder in encoders(bundle.model) for key in encoder.columns.keys]
    known = tuple(dict.fromkeys([*found, *(["category"] if bundle.profile.categories else [])]))
    return bundle.series_keys, tuple(key for key in known if key not in bundle.series_keys)


def name_of(bundle: Bundle, series: SeriesInput) -> str:
    """The name of a series; keys that it lacks are empty."""
    return series_name([series.keys.get(key, "") for key in bundle.series_keys])


def _keys(bundle: Bundle, series: SeriesInput, field: str) -> dict[str, str | None]:
    """The keys in order; null where a further one is not given."""
    required, further = series_keys(bundle)
    for key in series.keys:
        if key not in (*required, *further):
            raise invalid(f"{field}.{key}", f"there is no such key; keys: {', '.join((*required, *further))}")
    for key in required:
        if key not in series.keys:
            raise invalid(f"{field}.{key}", "this key of the series is missing")
    return {key: series.keys.get(key) for key in (*required, *further)}


def _past(bundle: Bundle, series: SeriesInput, field: str, room: int) -> pl.DataFrame:
    """The history without gaps, sorted: `ds`, `y`, `closed` and the covariates."""
    step = bundle.calendar.step_days
    field = f"{field}.history"
    ordinals = np.array([row.ds.toordinal() for row in series.history], np.int64)
    first, last = int(ordinals.min()), int(ordinals.max())
    length = (last - first) // step + 1
    if length > room:
        raise invalid(field, f"more steps from the first to the last one than are allowed ({room} are left)")
    places = (ordinals - first) // step
    week_end = bundle.calendar.week_end
    if week_end is not None:
        for at in np.nonzero((ordinals - 1) % 7 != week_end)[0][:1]:
            raise invalid(f"{field}.{at}.ds", f"weeks end on weekday {week_end} (Monday is 0)")
    if len(np.unique(places)) < len(places):
        _, firsts = np.unique(places, return_index=True)
        at = int(np.setdiff1d(np.arange(len(places)), firsts)[0])
        raise invalid(f"{field}.{at}.ds", f"{series.history[at].ds} is listed twice")
    missing = 0.0 if bundle.settings.get("sales", {}).get("gaps", "zero") == "zero" else None
    y: list[float | None] = [missing] * length
    closed: list[bool | None] = [None] * length
    stock_out = [False] * length
    for place, row in zip(places.tolist(), series.history, strict=True):
        y[place], closed[place] = None if row.stock_out else row.y, row.closed
        stock_out[place] = bool(row.stock_out)
    columns = {
        "ds": pl.Series(np.arange(length) * step + first - 719_163).cast(pl.Int32).cast(pl.Date),
        "y": pl.Series(y, dtype=pl.Float64),
        "closed": pl.Series(closed, dtype=pl.Boolean),
        STOCK_OUT: pl.Series(stock_out),
    }
    planned = _planned(bundle, series.history, places.tolist(), length, field)
    free = pl.col("ds").dt.weekday().is_in([day + 1 for day in _closed_weekdays(bundle)]) & (
        pl.col("y").fill_null(0.0) == 0
    )
    steps = pl.DataFrame(columns | planned).with_columns(pl.col("closed").fill_null(free))
    # The history begins with the first sale, as in the batch run (`calendar.first_sale`).
    sold = (steps["y"].fill_null(0.0) != 0).arg_max() or 0
    return steps[sold:]


def _future(bundle: Bundle, series: SeriesInput, last: dt.date, horizon: int, field: str) -> pl.DataFrame:
    """The steps to forecast: `ds`, `closed` and the covariates, null where nothing is planned.

    Plans for later steps of the model's horizon may be there.
    """
    step = bundle.calendar.step_days
    days = [last + dt.timedelta(step * number) for number in range(1, bundle.horizon + 1)]
    positions = {day: place for place, day in enumerate(days)}
    closed = [day.weekday() in _closed_weekdays(bundle) for day in days]
    places = []
    for at, row in enumerate(series.future):
        place = positions.pop(row.ds, None)
        if place is None:
            raise invalid(f"{field}.{at}.ds", f"{row.ds} is listed twice, or is no step from {days[0]} to {days[-1]}")
        places.append(place)
        closed[place] = closed[place] if row.closed is None else row.closed
    planned = _planned(bundle, series.future, places, len(days), field)
    return pl.DataFrame({"ds": days, "closed": closed} | planned).head(horizon)


def _planned(
    bundle: Bundle, rows: Sequence[FutureStep], places: list[int], length: int, field: str
) -> dict[str, pl.Series]:
    """The covariates of some steps, null where a row does not name them."""
    numbers, texts = bundle.features.numbers, bundle.features.texts
    values: dict[str, list[Any]] = {name: [None] * length for name in (*numbers, *texts)}
    for at, (place, row) in enumerate(zip(places, rows, strict=True)):
        for name, value in row.planned.items():
            if name not in values:
                known = f"it knows {', '.join(values)}" if values else "it knows none"
                raise invalid(f"{field}.{at}.planned.{name}", f"the model knows no such planned value; {known}")
            if value is not None and isinstance(value, str) != (name in texts):
                raise invalid(f"{field}.{at}.planned.{name}", f"a {'text' if name in texts else 'number'} is needed")
            values[name][place] = value if value is None or isinstance(value, str) else float(value)
    kinds = {name: pl.Float64 if name in numbers else pl.String for name in values}
    return {name: pl.Series(column, dtype=kinds[name]) for name, column in values.items()}


def _closed_weekdays(bundle: Bundle) -> tuple[int, ...]:
    return bundle.calendar.closed_weekdays if bundle.calendar.week_end is None else ()


def _finite(made: pl.DataFrame) -> pl.DataFrame:
    """The forecasts.

    Raises:
        ProblemError: One of them is not a number.
    """
    for name in amounts_of(made.columns):
        column = made[name].to_numpy()
        if not np.isfinite(column).all():
            raise invalid("series", f"the model has no finite {name} for this history")
    return made


def _about(part: pl.DataFrame) -> dict[str, Any]:
    return {
        "series": part["unique_id"][0],
        "model": part["model"][0],
        "model_version": part["model_version"][0],
        "cutoff": part["cutoff"][0].isoformat(),
    }


def _forecasts(part: pl.DataFrame) -> dict[str, Any]:
    return _about(part) | {"steps": list(_steps(part))}


def _steps(part: pl.DataFrame) -> Iterator[dict[str, Any]]:
    amounts = amounts_of(part.columns)
    for day, *values in part.select("ds", *amounts).iter_rows():
        yield {"ds": day.isoformat(), **dict(zip(amounts, values, strict=True))}
