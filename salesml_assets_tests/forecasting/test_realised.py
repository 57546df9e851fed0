"""Past forecasts and their actuals, from the versions of a real table."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting import realised
from salesml_assets.forecasting.realised import forecast_accuracy, past_forecasts, past_predictions
from salesml_assets.lake.store import Lakehouse

SETTINGS = Settings(forecast={"horizon": 7})
FIRST = dt.date(2024, 1, 1)
CLOSED = FIRST + dt.timedelta(20)


def made(origin: int, version: int, yhat: float, series: str = "a") -> pl.DataFrame:
    cutoff = FIRST + dt.timedelta(origin)
    steps = [cutoff + dt.timedelta(step) for step in range(1, 8)]
    return pl.DataFrame(
        {"unique_id": [series] * 7, "ds": steps, "yhat": yhat, "model_version": version, "cutoff": cutoff}
    )


def series(*names: str) -> pl.DataFrame:
    days = [FIRST + dt.timedelta(day) for day in range(24)]
    frame = pl.concat(
        pl.DataFrame({"unique_id": [name] * 24, "ds": days, "y": [float(day) for day in range(24)]}) for name in names
    )
    return frame.with_columns(closed=pl.col("ds") == CLOSED)


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path / "lake"))


def write(lake: Lakehouse, name: str, *versions: pl.DataFrame) -> None:
    for frame in versions:
        lake.write_arrow(frame.to_arrow(), name)


def test_each_forecast_meets_its_actual_and_the_naive_one(lake: Lakehouse) -> None:
    write(lake, "sales_series", series("a"))
    assert list(past_forecasts(lake, SETTINGS)) == []
    nothing = forecast_accuracy([], SETTINGS)
    # The second run of version 1 replaces the first; the last forecast lies in the future but for three days.
    write(lake, "forecasts", made(6, 1, 99.0), made(6, 1, 8.0), made(13, 2, 20.0), made(20, 2, 20.0))
    (past,) = past_forecasts(lake, SETTINGS)
    rows = past.sort("origin", "ds")
    assert rows["y"].to_list() == [*range(7, 14), *range(14, 20), 21, 22, 23]  # day 20 was closed
    assert rows["yhat"].to_list() == [8.0] * 7 + [20.0] * 9
    assert rows["horizon"].to_list() == [*range(1, 8), *range(1, 7), 1, 2, 3]
    assert rows["naive"].to_list() == [*range(7), *range(7, 13), 14, 15, 16]

    found = forecast_accuracy([past], SETTINGS)
    assert found["model_version"].to_list() == [1, 2, 2]
    assert found["week"].to_list() == [FIRST + dt.timedelta(7 * week) for week in (1, 2, 3)]
    assert found["rows"].to_list() == [7, 6, 3]
    assert set(found["horizon_bucket"]) == {"1-7"}
    assert found["wape"].to_list() == pytest.approx([16 / 70, 21 / 99, 6 / 66])
    assert found["bias"].to_list() == pytest.approx([(56 - 70) / 70, 21 / 99, -6 / 66])
    assert found["baseline_wape"].to_list() == pytest.approx([49 / 70, 42 / 99, 21 / 66])
    assert found["change"].to_list()[0] is None, "nothing was forecast before"
    assert nothing.is_empty()
    assert nothing.schema == found.schema


def test_a_naive_value_that_is_missing_or_unknown_is_nothing(lake: Lakehouse) -> None:
    known = series("a").filter(pl.col("ds") > FIRST + dt.timedelta(2))
    write(lake, "sales_series", known.with_columns(y=pl.when(pl.col("y") != 4).then("y")))
    write(lake, "forecasts", made(6, 1, 8.0))
    (past,) = past_forecasts(lake, SETTINGS)
    assert past["naive"].to_list() == [0, 0, 0, 3, 0, 5, 6]
    assert past["y"].to_list() == list(range(7, 14))


def test_weeks_have_the_naive_value_of_the_same_week_last_year(lake: Lakehouse) -> None:
    ends = [FIRST + dt.timedelta(7 * week) for week in range(60)]
    y = [float(week) for week in range(60)]
    write(lake, "sales_series", pl.DataFrame({"unique_id": "a", "ds": ends, "y": y}).with_columns(closed=False))
    cutoff = ends[55]
    forecasts = pl.DataFrame({"unique_id": "a", "ds": ends[56:], "yhat": 1.0}).with_columns(
        model_version=1, cutoff=cutoff
    )
    write(lake, "forecasts", forecasts)
    weekly = Settings(forecast={"horizon": 4, "frequency": "W-MON"})
    (past,) = past_forecasts(lake, weekly)
    assert past["horizon"].to_list() == [1, 2, 3, 4]
    assert past["naive"].to_list() == [4.0, 5.0, 6.0, 7.0]
    assert forecast_accuracy([past], weekly)["horizon_bucket"].to_list() == ["1", "2-4", "2-4", "2-4"]


def test_parts_hold_whole_series_and_together_all_of_them(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"product {number}" for number in range(20)]
    write(lake, "sales_series", series(*names))
    for version, origin in ((1, 6), (2, 13)):
        write(lake, "forecasts", pl.concat(made(origin, version, float(len(name)), name) for name in names))
    (whole,) = past_forecasts(lake, SETTINGS)
    expected = forecast_accuracy([whole], SETTINGS)
    monkeypatch.setattr(realised, "MAX_ROWS", 100)
    parts = list(past_forecasts(lake, SETTINGS))
    assert len(parts) == 3
    assert all(part["unique_id"].n_unique() > 2 for part in parts)
    assert sum(part["unique_id"].n_unique() for part in parts) == len(names)
    assert pl.concat(parts).sort(whole.columns).equals(whole.sort(whole.columns))
    found = forecast_accuracy(parts, SETTINGS)
    assert found.select("rows", "volume").equals(expected.select("rows", "volume"))
    assert found["wape"].to_list() == pytest.approx(expected["wape"].to_list())


def test_a_backtest_comes_before_the_forecast_of_the_same_origin(lake: Lakehouse) -> None:
    write(lake, "sales_series", series("a"))
    backtest = made(6, 1, 1.0).rename({"cutoff": "origin"}).with_columns(y=pl.lit(2.0), fold=0)
    write(lake, "xgboost", backtest)
    (alone,) = past_predictions(lake, SETTINGS, "xgboost")
    assert alone.equals(backtest.select(alone.columns))
    write(lake, "forecasts", made(6, 1, 8.0))
    (both,) = past_predictions(lake, SETTINGS, "xgboost")
    assert both["yhat"].to_list() == [1.0, 8.0] * 7
    (past,) = past_predictions(lake, SETTINGS, "not there")
    assert past["yhat"].to_list() == [8.0] * 7
    assert list(past_predictions(Lakehouse(f"{lake.root}/another"), SETTINGS, "xgboost")) == []


def test_change_is_against_the_forecast_before_it_for_the_same_step() -> None:
    day, origin = FIRST + dt.timedelta(10), FIRST
    rows = [
        ("a", 1, origin, day, 10, 8.0),
        ("a", 2, origin + dt.timedelta(7), day, 3, 12.0),
        ("b", 2, origin, day, 10, 5.0),
    ]
    names = ["unique_id", "model_version", "origin", "ds", "horizon", "yhat"]
    past = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.col("model_version", "horizon").cast(pl.Int32), y=pl.lit(10.0), naive=pl.lit(0.0)
    )
    found = forecast_accuracy([past], SETTINGS).select("model_version", "horizon_bucket", "change").rows()
    assert found == [(1, "8-14", None), (2, "1-7", pytest.approx(4 / 10)), (2, "8-14", None)]
