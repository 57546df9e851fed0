"""What the prediction service noted of the two arms of an A/B test."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.compute as pc

from salesml_assets.forecasting.arms import ARMS, FAILED, SERVED_SCHEMA
from salesml_assets.forecasting.realised import PAIR_SCHEMA, PastForecasts, parts_of
from salesml_assets.names import CHALLENGER_FORECASTS, FORECASTS, SERVED_PREDICTIONS

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.forecasting.challenger import ABTest
    from salesml_assets.lake.store import Lakehouse


def arm_figures(lake: Lakehouse, settings: Settings, test: ABTest) -> dict[str, Any]:
    """What the service noted of a test, for each arm.

    Args:
        lake: The lake.
        settings: The settings.
        test: The test.

    Returns:
        `{arm}_requests`, `{arm}_failed` (status of 500 and above), `{arm}_p50_ms`, `{arm}_p99_ms`, and
        `{arm}_served_wape`: the error of the stored forecasts that were served, each as often as it was. Arms have
        different series, so that these errors do not compare the models. Empty where the service noted nothing.
    """
    if not lake.exists(SERVED_PREDICTIONS):
        return {}
    of_test = pc.field("test") == test.number
    requests = pl.concat(
        [
            pl.DataFrame(schema={name: SERVED_SCHEMA[name] for name in ("arm", "status", "latency_ms")}),
            *lake.batches(SERVED_PREDICTIONS, ["arm", "status", "latency_ms"], of_test & (pc.field("place") == 0)),
        ]
    )
    found: dict[str, Any] = {}
    for arm, table in zip(ARMS, (FORECASTS, CHALLENGER_FORECASTS), strict=True):
        own = requests.filter(pl.col("arm") == arm)
        found[f"{arm}_requests"] = own.height
        found[f"{arm}_failed"] = own.filter(pl.col("status") >= FAILED).height
        for share in (50, 99):
            found[f"{arm}_p{share}_ms"] = own["latency_ms"].quantile(share / 100, "higher")
        served = of_test & (pc.field("arm") == arm) & pc.field("stored")
        found[f"{arm}_served_wape"] = _served_wape(lake, settings, table, served, test.started)
    return found


def _served_wape(
    lake: Lakehouse, settings: Settings, table: str, served: pc.Expression, since: dt.date
) -> float | None:
    keys = ["unique_id", "model_version", "origin"]
    schema = pl.Schema({"unique_id": pl.String, "model_version": pl.Int32, "origin": pl.Date, "times": pl.UInt32})
    batches = lake.batches(SERVED_PREDICTIONS, ["series", "model_version", "cutoff"], served)
    counted = [batch.group_by("series", "model_version", "cutoff").agg(times=pl.len()) for batch in batches]
    named = (one.rename({"series": "unique_id", "cutoff": "origin"}) for one in counted)
    times = pl.concat([pl.DataFrame(schema=schema), *named])
    times = times.group_by(keys).agg(pl.col("times").sum())
    past = PastForecasts(lake, settings, table, since)
    past.keep(times.select(PAIR_SCHEMA.names()).unique())
    parts = parts_of(past.count)
    error = volume = 0.0
    for part in range(parts):
        rows = past.rows(part, parts).join(times, on=keys, maintain_order="left")
        y, often = rows["y"], rows["times"]
        error += float(((y - rows["yhat"]).abs() * often).sum())
        volume += float((y.abs() * often).sum())
    return error / volume if volume > 0 else None
