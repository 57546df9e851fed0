"""Accuracy in percent, error in money."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from salesml_assets.forecasting.business import Costs, average_prices, business_reading, valued_sums
from salesml_assets.forecasting.errors import daily_sums
from salesml_assets.forecasting.scan import Scan
from salesml_assets_tests.forecasting.predictions import in_batches


@pytest.fixture(scope="module")
def sums(scans: dict[str, Scan]) -> pd.DataFrame:
    return daily_sums({name: found.days for name, found in scans.items()})


def test_prices_are_revenue_over_quantity() -> None:
    rows = [("a", 2.0, 6.0), ("a", 3.0, 4.0), ("b", 1.0, 10.0), ("free", 4.0, 0.0), ("back", -1.0, -5.0)]
    prices = average_prices(in_batches(pl.DataFrame(rows, ["unique_id", "quantity", "revenue"], orient="row")))
    found = dict(prices.iter_rows())
    # What has no price of its own has that of all: 15 / 9.
    assert found == {"a": 2.0, "b": 10.0, "free": pytest.approx(15 / 9), "back": pytest.approx(15 / 9)}


def test_revenue_is_money_already(sums: pd.DataFrame, backtests: dict[str, pd.DataFrame]) -> None:
    found = business_reading(sums, "xgboost", "seasonal_naive", is_revenue=True)
    error = {name: (rows["y"] - rows["yhat"]).abs()[rows["fold"] >= 1].sum() for name, rows in backtests.items()}
    sold = backtests["xgboost"].query("fold >= 1")["y"].sum()
    assert found.is_money
    assert found.accuracy == pytest.approx(100 * (1 - error["xgboost"] / sold))
    assert found.error_reduction == pytest.approx(100 * (1 - error["xgboost"] / error["seasonal_naive"]))
    assert found.error_value == pytest.approx(error["xgboost"] / 3)
    assert found.saved == pytest.approx((error["seasonal_naive"] - error["xgboost"]) / 3)
    assert found.sold == pytest.approx(sold / 3)


def test_units_are_valued_at_each_series_price(sums: pd.DataFrame, scans: dict[str, Scan]) -> None:
    in_units = business_reading(sums, "xgboost", "seasonal_naive", is_revenue=False)
    assert not in_units.is_money
    series = {name: found.series for name, found in scans.items()}
    prices = series["xgboost"].select("unique_id", price=2.5)
    valued = business_reading(sums, "xgboost", "seasonal_naive", False, valued_sums(series, prices))
    assert valued.is_money
    assert (valued.accuracy, valued.error_reduction) == (in_units.accuracy, in_units.error_reduction)
    for name in ("error_value", "saved", "sold"):
        assert getattr(valued, name) == pytest.approx(2.5 * getattr(in_units, name))


def test_a_baseline_against_itself_saves_nothing(sums: pd.DataFrame) -> None:
    found = business_reading(sums, "seasonal_naive", "seasonal_naive", is_revenue=True)
    assert (found.saved, found.error_reduction) == (0.0, 0.0)


def test_money_is_each_row_times_the_price_of_its_series(
    scans: dict[str, Scan], backtests: dict[str, pd.DataFrame]
) -> None:
    names = sorted(backtests["xgboost"]["unique_id"].unique())[1:]  # the first one has no price, and counts nothing
    prices = pl.DataFrame({"unique_id": names, "price": [1.0 + number for number in range(len(names))]})
    found = valued_sums({name: one.series for name, one in scans.items()}, prices).set_index("algorithm")
    for name, rows in backtests.items():
        valued = rows.query("fold >= 1").merge(prices.to_pandas(), on="unique_id")
        assert found.loc[name, "loss"] == pytest.approx(((valued["y"] - valued["yhat"]).abs() * valued["price"]).sum())
        assert found.loc[name, "y"] == pytest.approx((valued["y"] * valued["price"]).sum())


def test_costs_are_those_of_each_row(scans: dict[str, Scan], backtests: dict[str, pd.DataFrame]) -> None:
    names = sorted(backtests["xgboost"]["unique_id"].unique())[1:]  # the first one has no price, and costs nothing
    prices = pl.DataFrame({"unique_id": names, "price": [1.0 + number for number in range(len(names))]})
    costs = Costs(under=0.6, over=0.25, prices=prices)
    for name, rows in backtests.items():
        valued = rows.query("fold >= 1").merge(prices.to_pandas(), on="unique_id")
        error = valued["yhat"] - valued["y"]
        expected = ((0.25 * error.clip(lower=0) + 0.6 * (-error).clip(lower=0)) * valued["price"]).sum()
        assert costs.added(scans[name].series)["cost"].sum() == pytest.approx(expected)
    plain = Costs().added(scans["xgboost"].series)
    assert plain["cost"].to_list() == pytest.approx(plain["absolute"].to_list())


def test_where_nothing_was_sold_there_is_no_price() -> None:
    rows = pl.DataFrame({"unique_id": ["a"], "quantity": [0.0], "revenue": [0.0]})
    assert average_prices(in_batches(rows)).rows() == [("a", None)]
