"""Forecasts from raw history are those of the platform's own panel, digit for digit."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.bundle import Bundle, Calendar
from salesml_assets.forecasting.model.history import HistoryError, forecast_history
from salesml_assets.forecasting.model.models import Baseline
from salesml_assets.forecasting.model.predict import forecast
from salesml_assets.forecasting.panel import FUTURE
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_series
from salesml_assets_tests.forecasting.small_models import HORIZON, SETTINGS, bundle

COLUMNS = ["product", "category", "ds", "y"]


@pytest.fixture(scope="module")
def made() -> Bundle:
    return bundle(2)


@pytest.fixture(scope="module")
def expected(made: Bundle) -> pl.DataFrame:
    panel = small_panel(small_features(SETTINGS), SETTINGS)
    return forecast(made, panel.filter(pl.col("kind") == FUTURE)).sort("unique_id", "ds")


@pytest.fixture(scope="module")
def sold() -> pl.DataFrame:
    """Days with sales: what a till knows."""
    return small_series().filter(pl.col("y") != 0).select(COLUMNS)


def test_history_gives_the_forecasts_of_the_panel(made: Bundle, expected: pl.DataFrame, sold: pl.DataFrame) -> None:
    assert expected.height == 8 * HORIZON
    assert expected["yhat"].n_unique() > 20
    assert forecast_history(made, small_series().select(*COLUMNS, "closed")).equals(expected)
    assert forecast_history(made, sold).equals(expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), series=st.sets(st.sampled_from([f"p{number}" for number in range(8)]), min_size=1))
def test_order_split_rows_and_company_change_nothing(
    made: Bundle, expected: pl.DataFrame, sold: pl.DataFrame, seed: int, series: set[str]
) -> None:
    history = sold.filter(pl.col("product").is_in(sorted(series)))
    halves = [history.with_columns(y=pl.col("y") / 2), history.with_columns(y=pl.col("y") / 2)]
    # The last day of the data: a series that sold nothing on it says so.
    last = history.head(1).with_columns(ds=pl.lit(small_series()["ds"].max()), y=0.0)
    shuffled = pl.concat([*halves, last]).sample(fraction=1.0, shuffle=True, seed=seed)
    assert forecast_history(made, shuffled).equals(expected.filter(pl.col("unique_id").is_in(sorted(series))))


def test_unknown_days_are_not_zero(made: Bundle, sold: pl.DataFrame) -> None:
    own = sold.filter(pl.col("product") == "p5")
    gaps = own.filter(pl.col("ds").dt.day() % 3 > 0)
    unknown = bundle(2, Settings(sales={"gaps": "unknown"}, forecast={"horizon": HORIZON}))
    zero, left_out = (forecast_history(one, gaps)["yhat"].sum() for one in (made, unknown))
    assert zero < left_out


def test_a_short_series_says_so(made: Bundle, sold: pl.DataFrame) -> None:
    found = forecast_history(made, sold.filter(pl.col("product") == "p7"))
    assert found["model"].str.contains("short series").all()
    assert found.filter(pl.col("ds").dt.weekday() == 7)["yhat"].to_list() == [0.0]


def test_planned_days_can_be_closed(made: Bundle, expected: pl.DataFrame, sold: pl.DataFrame) -> None:
    day = expected.filter((pl.col("yhat") > 0) & (pl.col("unique_id") == "p6")).row(0, named=True)["ds"]
    plan = pl.DataFrame({"product": ["p6"], "ds": [day], "closed": [True]})
    found = forecast_history(made, sold, plan)
    changed = found.filter(pl.col("yhat") != expected["yhat"])
    assert changed.select("unique_id", "ds", "yhat", "hi95").rows() == [("p6", day, 0.0, 0.0)]


def test_plans_of_a_covariate_change_what_depends_on_it() -> None:
    """The baseline of a covariate's column: each forecast is the planned value."""
    planned = bundle(
        1, model=Baseline("f_promo"), features=FeatureSpec(numbers=("promo",), texts=("event",)),
        calendar=Calendar(1, None, ()), horizon=3,
    )  # fmt: skip
    days = [dt.date(2024, 1, 1) + dt.timedelta(day) for day in range(40)]
    history = pl.DataFrame({"product": "a", "ds": days, "y": 5.0, "promo": 0.0, "event": "none"})
    ahead = [days[-1] + dt.timedelta(step) for step in (1, 2, 3)]
    plan = pl.DataFrame({"product": "a", "ds": ahead, "promo": [2.0, 0.0, 3.0], "event": ["fair", None, None]})
    assert forecast_history(planned, history, plan)["yhat"].to_list() == [2.0, 0.0, 3.0]
    assert forecast_history(planned, history)["yhat"].to_list() == [0.0, 0.0, 0.0]


def test_weeks_are_added_up_and_an_incomplete_one_waits() -> None:
    spec = FeatureSpec(weekly=True, season=52, year=52, windows=(2, 4, 8, 13), recent=13, min_history=8)
    weekly = bundle(
        1, model=Baseline("average_short"), features=spec, calendar=Calendar(7, 6, ()), horizon=2, non_negative=False
    )
    monday = dt.date(2024, 1, 1)
    daily = pl.DataFrame({"product": "a", "ds": [monday + dt.timedelta(day) for day in range(7 * 20 + 3)], "y": 1.0})
    found = forecast_history(weekly, daily)
    assert found["yhat"].to_list() == [7.0, 7.0]
    assert found["ds"].to_list() == [monday + dt.timedelta(7 * 20 + 6), monday + dt.timedelta(7 * 21 + 6)]
    by_week = pl.DataFrame({"product": "a", "ds": [monday + dt.timedelta(7 * week) for week in range(20)], "y": 7.0})
    assert forecast_history(weekly, by_week).equals(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("product"), "product: missing; there are category, ds, y"),
        (lambda rows: rows.drop("y", "ds"), "ds, y: missing"),
        (lambda rows: rows.with_columns(ds=pl.col("ds").cast(pl.String)), "ds: has to be a date, not String"),
        (lambda rows: rows.with_columns(ds=pl.lit(None, pl.Date)), "ds: a row has no date"),
        (lambda rows: rows.with_columns(y=pl.lit(None, pl.Float64)), "y: no value is known"),
        (lambda rows: rows.head(0), "y: no value is known"),
    ],
)
def test_what_is_no_history_is_refused(made: Bundle, sold: pl.DataFrame, change, message) -> None:
    with pytest.raises(HistoryError, match=message):
        forecast_history(made, change(sold))
