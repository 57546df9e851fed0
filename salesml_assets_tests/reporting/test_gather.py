"""What is gathered from the lake's tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.lake import store
from salesml_assets.lake.store import Lakehouse
from salesml_assets.reporting.gather import (
    SHOWN_VERSIONS,
    Source,
    quality_summary,
    realised_error,
    total_actual,
    total_future,
    totals_by_level,
)

SCHEMA = {
    "model_version": pl.Int32, "week": pl.Date, "horizon_bucket": pl.String, "wape": pl.Float64, "bias": pl.Float64,
    "rows": pl.Int64, "volume": pl.Float64, "baseline_wape": pl.Float64,
}  # fmt: skip


def test_realised_errors_are_weighted_by_volume() -> None:
    monday = dt.date(2024, 1, 1)
    rows = [
        (2, monday, "1-7", 0.2, -0.1, 10, 100.0, 0.4),
        (2, monday + dt.timedelta(7), "8-14", 0.4, 0.1, 10, 300.0, 0.8),
        (2, monday + dt.timedelta(14), "8-14", None, None, 10, 0.0, None),
        *[(number, monday, "1-7", 0.1, 0.0, 1, 1.0, 0.2) for number in range(3, 3 + SHOWN_VERSIONS - 1)],
        (1, monday, "1-7", 0.9, 0.0, 1, 1.0, 0.9),
    ]
    found = realised_error(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert found["model_version"].tolist() == list(range(2, 2 + SHOWN_VERSIONS))
    second = found.iloc[0]
    assert (second["first"], second["last"], second["volume"]) == (monday, monday + dt.timedelta(7), 400.0)
    assert [second["wape"], second["bias"], second["baseline_wape"]] == pytest.approx([0.35, 0.05, 0.7])


def test_right_after_the_first_run_there_are_none() -> None:
    assert realised_error(pl.DataFrame(schema=SCHEMA)).empty


MONDAY = dt.date(2024, 1, 1)
DAYS = [MONDAY + dt.timedelta(day) for day in range(3)]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """Two series over three days, in batches of two rows."""
    monkeypatch.setattr(store, "BATCH_ROWS", 2)
    lake = Lakehouse(str(tmp_path))
    series = pl.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3, "ds": DAYS * 2}).with_columns(
        y=pl.Series([1.0, None, 3.0, 4.0, None, 6.0]), closed=pl.Series([False, True, True, False, True, False])
    )
    forecasts = series.select("unique_id", "ds", yhat=pl.Series([0.0, 1.0, 2.0, 0.0, 4.0, 5.0])).with_columns(
        model=pl.Series(["xgboost"] * 3 + ["moving_average (short series)"] * 3)
    )
    sales = pl.DataFrame({"date": DAYS, "flags": [["outlier", "late"], [], ["late"]]})
    quarantined = pl.DataFrame({"_reasons": [["price", "date"], ["price"], ["age", "date"], ["price"]]})
    for name, frame in {
        "sales_series": series, "forecasts": forecasts, "sales": sales, "quarantined_sales": quarantined,
    }.items():  # fmt: skip
        lake.write_arrow(frame.to_arrow(), name)
    return lake


def test_totals_are_sums_over_all_series(lake: Lakehouse) -> None:
    actual, series = total_actual(lake)
    assert series == 2
    assert actual["ds"].tolist() == [pd.Timestamp(day) for day in DAYS]
    assert actual["y"].fillna(-1.0).tolist() == [5.0, -1.0, 9.0]  # what is unknown of all is unknown
    assert actual["closed"].tolist() == [False, True, False]
    assert actual["any_closed"].tolist() == [False, True, True]
    future, instead = total_future(lake)
    assert instead == {"short_series": 1, "ended_series": 0}
    assert future["yhat"].tolist() == [0.0, 5.0, 7.0]
    assert future["closed"].tolist() == [True, False, False]


def test_what_became_of_the_rows_is_counted(lake: Lakehouse) -> None:
    rules = {"price": "A price of zero or below."}
    quality = quality_summary(lake, Source(rows=7, left_out=5, rules=rules))
    assert (quality["delivered"], quality["accepted"], quality["quarantined"]) == (3 + 4 + 5, 3, 4)
    assert quality["filtered_out"] == 5
    assert list(quality["reasons"].items()) == [("price", 3), ("date", 2), ("age", 1)]
    assert list(quality["flags"].items()) == [("late", 2), ("outlier", 1)]
    assert quality["flagged"] == 2
    assert (quality["first_date"], quality["last_date"]) == (DAYS[0], DAYS[2])
    assert quality["descriptions"] == rules
    unknown = quality_summary(lake, Source())
    assert "filtered_out" not in unknown
    assert unknown["delivered"] == 3 + 4


def test_totals_stand_next_to_what_they_sold(lake: Lakehouse) -> None:
    settings = Settings(forecast={"horizon": 2})
    assert totals_by_level(lake, settings).empty
    ahead = [DAYS[-1] + dt.timedelta(day) for day in (1, 2)]
    forecasts = pl.DataFrame({"level": "total", "node": "total", "series": 2, "ds": ahead, "yhat": [3.0, 4.0]})
    lake.write_arrow(forecasts.to_arrow(), "hierarchy_forecasts")
    (row,) = totals_by_level(lake, settings).to_dict("records")
    assert row == {"level": "total", "node": "total", "series": 2, "sold": 9.0, "forecast": 7.0}
