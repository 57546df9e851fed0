"""Quantities to order in the service's answers: stored ones and those of the moment are of the same function."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest
from fastapi.testclient import TestClient

from salesml_assets.config.settings import OrderSettings, Settings
from salesml_assets.forecasting.intervals import ORDER_QUANTITY
from salesml_assets.forecasting.versions import latest_version, read_version
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import ENDED
from salesml_assets.serving.app import create_app
from salesml_assets.serving.book import Book
from salesml_assets_tests.serving.small_service import NAMES, panel_of, service_series, write_forecasts
from salesml_assets_tests.serving.test_predict import body_of


@pytest.fixture
def with_costs(own_settings: Callable[..., Settings]) -> Settings:
    """Settings with a service level of 75 %."""
    return own_settings().model_copy(update={"orders": OrderSettings(cost_under=0.6, cost_over=0.2)})


def forecasts_with_orders(settings: Settings) -> pl.DataFrame:
    version = latest_version(Lakehouse(settings.lake.root))
    assert version is not None
    bundle = read_version(Files(settings.lake.root), version)
    return write_forecasts(settings, bundle, panel_of(service_series(), settings))


def test_stored_and_fresh_quantities_are_the_same(with_costs: Settings) -> None:
    made = forecasts_with_orders(with_costs)
    with TestClient(create_app(with_costs)) as client:
        stored = {item["series"]: item for item in client.get("/forecasts").json()["items"]}
        fresh = {item["series"]: item for item in client.post("/predict", json=body_of()).json()["items"]}
    assert set(stored) == set(fresh) == set(NAMES)
    for name in NAMES:
        rows = made.filter(pl.col("unique_id") == name).sort("ds")
        for item in (stored[name], fresh[name]):
            assert [step["order_quantity"] for step in item["steps"]] == rows[ORDER_QUANTITY].to_list()
        for step in stored[name]["steps"]:
            assert step["lo80"] <= step["order_quantity"] <= step["hi80"]
            is_sunday = dt.date.fromisoformat(step["ds"]).weekday() == 6
            assert (step["order_quantity"] == 0) == is_sunday
    assert Book.of([made]).frame()[ORDER_QUANTITY].to_list() == made[ORDER_QUANTITY].to_list()


def test_forecasts_of_before_the_costs_are_served_without_quantities(with_costs: Settings) -> None:
    with TestClient(create_app(with_costs)) as client:
        (item,) = client.get("/forecasts", params={"series": "0012"}).json()["items"]
        assert "order_quantity" not in item["steps"][0]
        (fresh,) = client.post("/predict", json=body_of(("0012",))).json()["items"]
        assert "order_quantity" in fresh["steps"][0]


def test_nothing_is_ordered_of_what_stopped_selling(with_costs: Settings) -> None:
    days = [dt.date(2023, 1, 2) + dt.timedelta(n) for n in range(200)]
    history = [{"ds": day.isoformat(), "y": 5.0 if number < 60 else 0.0} for number, day in enumerate(days)]
    with TestClient(create_app(with_costs)) as client:
        answer = client.post("/predict", json={"series": [{"keys": {"product": "gone"}, "history": history}]})
    (item,) = answer.json()["items"]
    assert item["model"] == ENDED
    assert {step["order_quantity"] for step in item["steps"]} == {0.0}
    assert any(step["hi95"] > 0 for step in item["steps"])
