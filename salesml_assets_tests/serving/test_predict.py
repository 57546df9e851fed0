"""/predict and /explain against the definitions of the batch run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from salesml_assets.forecasting.explanations.columns import BASE_GROUP
from salesml_assets.forecasting.explanations.single import local_rows
from salesml_assets.forecasting.model.explain import explained
from salesml_assets.forecasting.model.history import forecast_history
from salesml_assets.forecasting.versions import latest_version, read_version
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import ENDED, FORECASTS, SHOP_PROFILE
from salesml_assets.serving.book import VALUES
from salesml_assets_tests.serving.small_service import (
    HORIZON,
    NAMES,
    future_of,
    panel_of,
    service_series,
    service_settings,
)


def body_of(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Stored history and plans of some series, as a caller would send them."""
    series = service_series()
    future = future_of(series, service_settings(Path()))

    def steps(rows: pl.DataFrame, name: str, known: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {column: row[column] if column != "ds" else row["ds"].isoformat() for column in known}
            | {"planned": {"promo": row["promo"], "flyer": row["flyer"]}}
            for row in rows.filter(pl.col("unique_id") == name).iter_rows(named=True)
        ]

    return {
        "series": [
            {
                "keys": {"product": name},
                "history": steps(series, name, ("ds", "y", "closed")),
                "future": steps(future, name, ("ds", "closed")),
            }
            for name in names
        ]
    }


def test_the_stored_history_gives_the_stored_forecasts_to_the_last_digit(client: TestClient, made_lake: Path) -> None:
    stored = Lakehouse(service_settings(made_lake).lake.root).read_polars(FORECASTS)

    answer = client.post("/predict", json=body_of())

    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["series"] for item in items] == list(NAMES)
    for item in items:
        rows = stored.filter(pl.col("unique_id") == item["series"]).sort("ds")
        assert [dt.date.fromisoformat(step["ds"]) for step in item["steps"]] == rows["ds"].to_list()
        for name in VALUES:
            assert [step[name] for step in item["steps"]] == rows[name].to_list()
        assert {item["model"]} == set(rows["model"])
        assert item["model_version"] == 1
        assert {dt.date.fromisoformat(item["cutoff"])} == set(rows["cutoff"])
    assert items[-1]["model"] == SHOP_PROFILE, "the last product is new"
    assert any(step["yhat"] > 1 for item in items for step in item["steps"])


def test_a_forecast_is_the_same_alone_in_any_order_and_without_closed_days_marked(client: TestClient) -> None:
    together = {item["series"]: item for item in client.post("/predict", json=body_of()).json()["items"]}
    for name in NAMES[:3]:
        (alone,) = body_of((name,))["series"]
        alone["history"].reverse()
        for row in [*alone["history"], *alone["future"]]:
            del row["closed"]

        answer = client.post("/predict", json={"series": [alone], "horizon": 3})
        assert answer.status_code == 200, answer.text
        (item,) = answer.json()["items"]

        assert item["steps"] == together[name]["steps"][:3]


def test_missing_days_are_days_without_a_sale(client: TestClient) -> None:
    days = [dt.date(2023, 3, 1) + dt.timedelta(number) for number in range(60)]
    rows = [{"ds": day.isoformat(), "y": float(number % 3)} for number, day in enumerate(days)]
    bodies = [
        {"series": [{"keys": {"product": "new"}, "history": history}]}
        for history in (rows, [row for row in rows if row["y"] or row in (rows[0], rows[-1])])
    ]

    whole, sparse = (client.post("/predict", json=body) for body in bodies)

    assert whole.status_code == 200, whole.text
    assert whole.json() == sparse.json()


def test_a_planned_promotion_changes_the_forecast_of_its_day(client: TestClient) -> None:
    body = body_of(("🧦 socks",))
    (before,) = client.post("/predict", json=body).json()["items"]
    day = body["series"][0]["future"][1]  # the first one is a Sunday
    day["planned"] = {"promo": True, "flyer": "front"}

    (after,) = client.post("/predict", json=body).json()["items"]

    assert after["steps"][1]["yhat"] > before["steps"][1]["yhat"]
    assert after["steps"][2:] == before["steps"][2:]


def test_contributions_add_up_to_the_forecast_and_are_in_words(client: TestClient) -> None:
    body = body_of()
    forecasts = client.post("/predict", json=body).json()["items"]

    items = client.post("/explain", json=body).json()["items"]

    groups = set()
    for item, forecast in zip(items, forecasts, strict=True):
        assert (item["series"], item["model"], item["cutoff"]) == (
            forecast["series"],
            forecast["model"],
            forecast["cutoff"],
        )
        for step, expected in zip(item["steps"], forecast["steps"], strict=True):
            assert (step["ds"], step["yhat"]) == (expected["ds"], expected["yhat"])
            total = step["base"] + sum(entry["amount"] for entry in step["contributions"])
            assert total == pytest.approx(step["yhat"], abs=1e-9)
            for entry in step["contributions"]:
                if entry["parts"]:
                    assert sum(part["amount"] for part in entry["parts"]) == pytest.approx(entry["amount"], abs=1e-9)
            groups |= {entry["group"] for entry in step["contributions"]}
    assert groups >= {"Recent level", "Weekday", "Time of the year", "Size of the series", "Product", "Planned: promo"}
    assert "Other" not in groups
    assert "Rules: closed, too short, ended or below zero" in groups


def test_the_service_explains_with_the_numbers_of_the_batch_run(client: TestClient, made_lake: Path) -> None:
    settings = service_settings(made_lake)
    series = service_series()
    rows = panel_of(series, settings).filter(pl.col("kind") == "future").sort("unique_id", "ds")
    lake = Lakehouse(settings.lake.root)
    version = latest_version(lake)
    assert version is not None
    table = local_rows(explained(read_version(Files(settings.lake.root), version), rows), "all")
    stored = {
        (name, day.isoformat(), group): amount
        for name, day, group, amount in table.group_by("unique_id", "ds", "group").agg(pl.col("amount").sum()).rows()
    }

    items = client.post("/explain", json=body_of()).json()["items"]

    answered = {
        (item["series"], step["ds"], group): amount
        for item in items
        for step in item["steps"]
        for group, amount in [
            (BASE_GROUP, step["base"]), *[(part["group"], part["amount"]) for part in step["contributions"]]
        ]
    }  # fmt: skip
    assert answered.keys() >= stored.keys()
    for key, amount in answered.items():
        assert stored.get(key, 0.0) == pytest.approx(amount, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: body["series"][0]["keys"].update(store="s"), "series.0.keys.store"),
        (lambda body: body["series"][0]["keys"].pop("product"), "series.0.keys.product"),
        (lambda body: body["series"].append(body["series"][0]), "series.1.keys"),
        (lambda body: body.update(horizon=HORIZON + 1), "horizon"),
        (lambda body: body.update(horizon="7"), "horizon"),
        (lambda body: body["series"][0]["history"].append(body["series"][0]["history"][3]), "series.0.history.195.ds"),
        (lambda body: body["series"][0]["history"][5].update(y="5"), "series.0.history.5.y"),
        (lambda body: body["series"][0]["history"][5].update(y=1e13), "series.0.history.5.y"),
        (lambda body: body["series"][0]["history"][5].pop("y"), "series.0.history.5.y"),
        (lambda body: body["series"][0]["history"][5].update(ds="2023-02-30"), "series.0.history.5.ds"),
        (lambda body: body["series"][0]["history"][5].update(ds=5), "series.0.history.5.ds"),
        (lambda body: body["series"][0]["history"][5].update(ds="1901-01-01"), "series.0.history"),
        (lambda body: body["series"][0]["future"][2].update(ds="2029-01-01"), "series.0.future.2.ds"),
        (lambda body: body["series"][0]["future"][2]["planned"].update(price=2), "series.0.future.2.planned.price"),
        (lambda body: body["series"][0]["future"][2]["planned"].update(promo="x"), "series.0.future.2.planned.promo"),
        (lambda body: body["series"][0]["future"][2]["planned"].update(flyer=1.0), "series.0.future.2.planned.flyer"),
        (lambda body: body["series"][0]["future"][2]["planned"].update(flyer=[1]), "series.0.future.2.planned.flyer"),
        (lambda body: body.update(more=1), "more"),
        (lambda body: body.update(series=[]), "series"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_wrong_field_is_named(client: TestClient, path: str, change: Any, field: str) -> None:
    body = body_of(("a/b",))
    change(body)

    answer = client.post(path, json=body)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["reason"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text


def test_zeros_before_the_first_sale_are_no_history(client: TestClient) -> None:
    """A product that was listed for months and sold since five days is a new one."""
    body = body_of(NAMES[-1:])
    (series,) = body["series"]
    first = dt.date.fromisoformat(min(row["ds"] for row in series["history"]))
    listed = [{"ds": (first - dt.timedelta(n)).isoformat(), "y": 0.0} for n in range(1, 60)]
    long = {"series": [series | {"history": [*listed, *series["history"]]}]}
    assert client.post("/predict", json=long).json() == client.post("/predict", json=body).json()


def test_a_product_that_stopped_selling_is_forecast_by_zero(client: TestClient) -> None:
    days = [dt.date(2023, 1, 2) + dt.timedelta(n) for n in range(200)]
    history = [{"ds": day.isoformat(), "y": 5.0 if number < 60 else 0.0} for number, day in enumerate(days)]
    answer = client.post("/predict", json={"series": [{"keys": {"product": "gone"}, "history": history}]})
    (item,) = answer.json()["items"]
    assert item["model"] == ENDED
    assert {step["yhat"] for step in item["steps"]} == {0.0}


def test_a_stock_out_is_no_demand_of_zero(client: TestClient, made_lake: Path) -> None:
    (series,) = body_of(("p7",))["series"]
    history = series["history"]
    open_days = [place for place, row in enumerate(history) if not row["closed"]]
    out = set(open_days[-20::3])  # in the last weeks, spread over the weekdays

    def forecasts(change: dict[str, Any]) -> list[float]:
        changed = [row | change if place in out else row for place, row in enumerate(history)]
        answer = client.post("/predict", json={"series": [series | {"history": changed}]})
        assert answer.status_code == 200, answer.text
        return [step["yhat"] for step in answer.json()["items"][0]["steps"]]

    flagged, zeros = forecasts({"y": 0.0, "stock_out": True}), forecasts({"y": 0.0})
    # What was sold before the shelf was empty makes no difference.
    assert forecasts({"y": 3.0, "stock_out": True}) == flagged
    assert sum(flagged) > 1.05 * sum(zeros)

    version = latest_version(Lakehouse(service_settings(made_lake).lake.root))
    assert version is not None
    bundle = read_version(Files(service_settings(made_lake).lake.root), version)
    rows = service_series().filter(pl.col("unique_id") == "p7").drop("unique_id")
    days = [dt.date.fromisoformat(history[place]["ds"]) for place in out]
    rows = rows.with_columns(stock_out=pl.col("ds").is_in(days))
    rows = rows.with_columns(y=pl.when("stock_out").then(0.0).otherwise("y"))
    plan = future_of(service_series(), service_settings(Path())).filter(pl.col("unique_id") == "p7").drop("unique_id")
    assert forecast_history(bundle, rows, plan)["yhat"].to_list() == pytest.approx(flagged, rel=1e-9)
