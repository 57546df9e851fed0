"""Two models behind one service: who answers, what is noted, and what happens when the test ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from fastapi.testclient import TestClient

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.arms import arm_of
from salesml_assets.forecasting.challenger import CHALLENGER_SCHEMA
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import (
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    FORECASTS,
    PRODUCTION_MODEL,
    SERVED_PREDICTIONS,
)
from salesml_assets.serving.app import create_app
from salesml_assets.serving.routing import Served
from salesml_assets.serving.served_log import ServedLog
from salesml_assets_tests.serving.small_service import NAMES, challenger_of, start_test
from salesml_assets_tests.serving.test_predict import body_of

SLOW = {"refresh_seconds": 3_600.0}  # the test itself looks


@pytest.fixture
def settings(own_settings: Callable[..., Settings]) -> Settings:
    """A lake in which a challenger, the seasonal naive, has forecast every series at 1.0."""
    made = own_settings(**SLOW)
    made = made.model_copy(
        update={
            "promotion": made.promotion.model_copy(update={"mode": "ab_test"}),
            "ab_test": made.ab_test.model_copy(update={"share": 0.4}),
        }
    )
    start_test(made, challenger_of(made))
    return made


def served(settings: Settings) -> pl.DataFrame:
    return Lakehouse(settings.lake.root).read_polars(SERVED_PREDICTIONS).sort("at", "arm", "place")


SALT = "challenger-1-run"  # its folder


def metrics(client: TestClient) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("salesml_serving_"): float(value) for name, value in (x.rsplit(" ", 1) for x in lines)}


def test_each_series_has_its_model_everywhere(settings: Settings) -> None:
    expected = {name: arm_of(name, SALT, 0.4) for name in NAMES}
    assert set(expected.values()) == {"champion", "challenger"}
    with TestClient(create_app(settings)) as client:
        items = client.get("/forecasts").json()["items"]
        assert {item["series"]: item["arm"] for item in items} == expected
        for item in items:
            assert (item["steps"][0]["yhat"] == 1.0) == (item["arm"] == "challenger")
            assert item["model"].startswith(
                "seasonal_naive" if item["arm"] == "challenger" else ("xgboost", "shop_profile")
            )
        one = next(name for name, arm in expected.items() if arm == "challenger" and "%2F" not in name)
        assert client.get(f"/forecasts/{quote(one, safe='')}").json() == next(
            item for item in items if item["series"] == one
        )
        body = body_of(NAMES)
        made = client.post("/predict", json=body).json()["items"]
        assert [(item["series"], item["arm"]) for item in made] == list(expected.items())
        explained = client.post("/explain", json=body).json()["items"]
        assert [(item["series"], item["arm"], item["model"]) for item in explained] == [
            (item["series"], item["arm"], item["model"]) for item in made
        ]
        # Each arm's answers are those that it gives alone.
        for arm in ("champion", "challenger"):
            alone = client.post("/predict", json=body, headers={"X-Arm": arm}).json()["items"]
            assert {item["arm"] for item in alone} == {arm}
            assert [item for item in alone if expected[item["series"]] == arm] == [
                item for item in made if item["arm"] == arm
            ]


def test_a_caller_can_keep_to_one_model_or_choose_it(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        for key in "abcdefgh":
            found = client.get("/forecasts", headers={"X-Routing-Key": key}).json()["items"]
            assert {item["arm"] for item in found} == {arm_of(key, SALT, 0.4)}
        chosen = client.get("/forecasts/0012", headers={"X-Arm": "challenger", "X-Routing-Key": "a"}).json()
        assert (chosen["arm"], chosen["steps"][0]["yhat"]) == ("challenger", 1.0)
        wrong = client.get("/forecasts/0012", headers={"X-Arm": "both"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "X-Arm")


def test_every_served_prediction_is_in_the_lake_after_the_end(settings: Settings) -> None:
    app = create_app(settings)
    with TestClient(app) as client:
        client.get("/forecasts/0012", headers={"X-Request-ID": "one", "X-Arm": "challenger"})
        client.get(
            "/forecasts", params={"series": ["0012", "café"]}, headers={"X-Request-ID": "two", "X-Arm": "champion"}
        )
        client.post("/predict", json=body_of(NAMES), headers={"X-Request-ID": "three"})
        client.get("/forecasts/unknown", headers={"X-Request-ID": "four"})
        bad = body_of(("0012",))
        bad["series"][0]["history"][0]["ds"] = bad["series"][0]["history"][1]["ds"]
        assert (
            client.post("/predict", json=bad, headers={"X-Request-ID": "five", "X-Arm": "champion"}).status_code == 422
        )
        counts = metrics(client)
        assert counts['arm_requests_total{arm="challenger"}'] == 2
        assert counts['arm_requests_total{arm="champion"}'] == 3
        assert counts["challenger_version"] == 1
        assert not Lakehouse(settings.lake.root).exists(SERVED_PREDICTIONS)
    rows = served(settings)
    assert rows["request_id"].value_counts().sort("request_id").rows() == [
        ("five", 1), ("one", 1), ("three", len(NAMES)), ("two", 2),
    ]  # fmt: skip
    first = rows.row(0, named=True)
    cutoff = Lakehouse(settings.lake.root).read_polars(FORECASTS)["cutoff"].max()
    assert (first["arm"], first["series"], first["place"], first["model_version"]) == ("challenger", "0012", 0, 1)
    assert (first["cutoff"], first["stored"], first["status"], first["test"]) == (cutoff, True, 200, 1)
    assert first["route"] == "/forecasts/{series}"
    assert (rows["latency_ms"] > 0).all()
    three = rows.filter(pl.col("request_id") == "three")
    assert dict(three.select("series", "arm").iter_rows()) == {n: arm_of(n, SALT, 0.4) for n in NAMES}
    assert three.filter(pl.col("place") == 0)["arm"].sort().to_list() == ["challenger", "champion"]
    assert rows.filter(pl.col("request_id") == "five").select("status", "cutoff").row(0) == (422, None)


def test_the_end_of_the_test_is_the_end_of_the_routing(settings: Settings) -> None:
    app, lake = create_app(settings), Lakehouse(settings.lake.root)
    with TestClient(app) as client:
        assert client.get("/forecasts/0012", headers={"X-Arm": "challenger"}).status_code == 200
        lake.write_polars(pl.DataFrame({"test": [1], "outcome": ["dropped"]}), AB_TEST_REPORT)
        app.state.refresher.look()
        assert "arm" not in client.get("/forecasts/0012").json()
        refused = client.get("/forecasts/0012", headers={"X-Arm": "challenger"})
        assert refused.json()["errors"] == [{"field": "X-Arm", "reason": "no challenger is being tested"}]


def test_a_broken_challenger_gets_no_requests(settings: Settings) -> None:
    (folder,) = (Path(settings.lake.root) / "_files" / PRODUCTION_MODEL).glob("challenger-*")
    model = folder / "model.json"
    content = model.read_bytes()
    model.write_bytes(content[:-20])
    app = create_app(settings)
    with TestClient(app) as client:
        assert client.get("/health/ready").status_code == 200
        assert "arm" not in client.get("/forecasts/0012").json()
        assert metrics(client)["challenger_broken"] == 1
        model.write_bytes(content)
        start_test(settings, replace(challenger_of(settings), version=2))  # the next training of the same recipe
        app.state.refresher.look()
        assert metrics(client)["challenger_broken"] == 0
        assert client.get("/forecasts/0012", headers={"X-Arm": "challenger"}).json()["arm"] == "challenger"


def test_without_the_mode_nothing_is_routed_and_nothing_noted(settings: Settings) -> None:
    plain = settings.model_copy(update={"promotion": settings.promotion.model_copy(update={"mode": "backtest"})})
    with TestClient(create_app(plain)) as client:
        assert all("arm" not in item for item in client.get("/forecasts").json()["items"])
    assert not Lakehouse(settings.lake.root).exists(SERVED_PREDICTIONS)


class Counted:
    """A lake that can be away, and what was counted."""

    def __init__(self, root: Path) -> None:
        self.lake, self.away = Lakehouse(str(root)), False
        self.written = self.dropped = 0

    def append_arrow(self, rows: Any, name: str) -> None:
        if self.away:
            raise LakeError("away")
        self.lake.append_arrow(rows, name)

    def count(self, written: int, dropped: int) -> None:
        self.written += written
        self.dropped += dropped

    def log(self, **options: Any) -> ServedLog:
        return ServedLog(self, self.count, **options)  # type: ignore[arg-type]


def add(log: ServedLog, number: int) -> None:
    rows = [Served("champion", f"s{place}", place, 1, None, False) for place in range(2)]
    log.add(1, rows, request_id=str(number), route="/predict", status=200, milliseconds=1.5)


def test_rows_wait_for_the_lake_and_too_many_are_dropped_and_counted(tmp_path: Path) -> None:
    counted = Counted(tmp_path)
    counted.away = True
    log = counted.log(seconds=0.01, max_waiting=5)
    log.start()
    for number in range(4):
        add(log, number)
    assert (counted.written, counted.dropped) == (0, 3)
    counted.away = False
    log.stop()
    assert (counted.written, counted.dropped) == (5, 3)
    rows = counted.lake.read_polars(SERVED_PREDICTIONS)
    assert sorted(rows.select("request_id", "place").iter_rows()) == [("0", 0), ("0", 1), ("1", 0), ("1", 1), ("2", 0)]


def test_what_the_lake_does_not_take_in_the_end_is_counted(tmp_path: Path) -> None:
    counted = Counted(tmp_path)
    counted.away = True
    log = counted.log()
    add(log, 1)
    log.stop()
    assert (counted.written, counted.dropped) == (0, 2)


def test_two_processes_append_to_one_table(tmp_path: Path) -> None:
    one, other = Counted(tmp_path), Counted(tmp_path)
    logs = one.log(), other.log()
    for number in range(6):
        add(logs[number % 2], number)
        assert logs[number % 2].flush()
    assert counted_rows(one) == 12
    assert one.lake.version(SERVED_PREDICTIONS) == 5
    assert not one.lake.exists(CHALLENGER_FORECASTS)


def counted_rows(counted: Counted) -> int:
    return counted.lake.size(SERVED_PREDICTIONS).rows


def test_the_columns_are_those_of_the_tables() -> None:
    assert CHALLENGER_SCHEMA.names()[:9] == [
        "version", "algorithm", "parameters", "path", "cutoff", "trained_at", "decision", "lake_versions", "settings",
    ]  # fmt: skip
