"""New models, broken ones, and a lake that is away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from salesml_assets.config.settings import Settings
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FORECASTS, PRODUCTION_MODEL
from salesml_assets.serving.app import create_app
from salesml_assets_tests.serving.small_service import (
    make_lake,
    other_model,
    promote,
    service_settings,
)
from salesml_assets_tests.serving.test_predict import body_of

SLOW = {"refresh_seconds": 3_600.0}  # the test itself looks


def metric(client: TestClient, name: str) -> float:
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"salesml_serving_{name} ")]
    return float(line.split()[1])


@pytest.fixture
def bundle(made_lake: Path):
    from salesml_assets.forecasting.versions import latest_version, read_version

    settings = service_settings(made_lake)
    version = latest_version(Lakehouse(settings.lake.root))
    assert version is not None
    return read_version(Files(settings.lake.root), version)


def test_a_new_version_and_a_rollback_are_picked_up(own_settings: Callable[..., Settings], bundle) -> None:
    settings = own_settings(**SLOW)
    app = create_app(settings)
    with TestClient(app) as client:
        body = body_of(("a/b",))
        first = client.post("/predict", json=body).json()["items"][0]
        promote(settings, other_model(bundle, 2))

        app.state.refresher.look()

        second = client.post("/predict", json=body).json()["items"][0]
        assert (second["model"], second["model_version"]) == ("seasonal_naive", 2)
        assert second["steps"] != first["steps"]
        serving = [version["version"] for version in client.get("/models").json()["items"] if version["serving"]]
        assert serving == [2]
        explained = client.post("/explain", json=body).json()["items"][0]
        assert {entry["group"] for step in explained["steps"] for entry in step["contributions"]} >= {"Weekday"}
        # A version that is put back is a new row that names the old folder.
        promote(settings, replace(bundle, version=3), folder="1-run")

        app.state.refresher.look()

        third = client.post("/predict", json=body).json()["items"][0]
        assert third == first | {"model_version": 3}
        assert [version["version"] for version in client.get("/models").json()["items"]] == [3, 2, 1]


@pytest.mark.parametrize("damage", ["missing", "changed", "no forecast"])
def test_a_broken_model_leaves_the_old_one_and_an_alert(
    own_settings: Callable[..., Settings], bundle, damage: str
) -> None:
    settings = own_settings(**SLOW)
    app = create_app(settings)
    with TestClient(app) as client:
        newer = replace(bundle, version=2)
        if damage == "no forecast":
            scores = bundle.intervals.with_columns(hi80=pl.lit(5.0))  # above hi95
            newer = replace(newer, intervals=scores)
        promote(settings, newer)
        model_file = Path(settings.lake.root) / "_files" / PRODUCTION_MODEL / "2-run" / "model.json"
        content = model_file.read_bytes()
        if damage == "missing":
            model_file.unlink()
        elif damage == "changed":
            model_file.write_bytes(content.replace(b'"rows": 100', b'"rows": 101'))

        for _ in range(2):
            app.state.refresher.look()

        assert client.get("/health/ready").json()["model_version"] == 1
        assert client.post("/predict", json=body_of(("a/b",))).json()["items"][0]["model_version"] == 1
        assert metric(client, "model_broken") == 1
        assert metric(client, "lake_up") == 1
        if damage == "no forecast":
            promote(settings, replace(bundle, version=3))
        else:
            model_file.write_bytes(content)  # restored
        app.state.refresher.look()
        assert client.get("/health/ready").json()["model_version"] == (3 if damage == "no forecast" else 2)
        assert metric(client, "model_broken") == 0


def test_the_lake_goes_away_and_comes_back(own_settings: Callable[..., Settings], bundle) -> None:
    settings = own_settings(**SLOW)
    lake = Path(settings.lake.root)
    app = create_app(settings)
    body = body_of(("café",))
    with TestClient(app) as client:
        before = client.post("/predict", json=body).json()
        page = client.get("/forecasts").json()
        lake.rename(lake.with_name("away"))

        app.state.refresher.look()

        assert client.get("/health/ready").json() == {
            "status": "ready", "model_version": 1, "source": "lake", "lake": "away",
        }  # fmt: skip
        assert metric(client, "lake_up") == 0
        assert metric(client, "model_broken") == 0
        assert client.post("/predict", json=body).json() == before
        old = client.get("/forecasts/0012", params={"as_of": "2020-01-01"})
        assert old.status_code in (404, 503)
    restarted = create_app(settings)
    with TestClient(restarted) as client:
        assert client.get("/health/ready").json()["source"] == "local copy"
        assert client.post("/predict", json=body).json() == before
        assert client.get("/forecasts").json() == page
        lake.with_name("away").rename(lake)
        promote(settings, other_model(bundle, 2))

        restarted.state.refresher.look()

        assert client.get("/health/ready").json() == {
            "status": "ready", "model_version": 2, "source": "lake", "lake": "up",
        }  # fmt: skip


def test_the_copy_of_another_lake_is_not_used(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = own_settings(**SLOW)
    with TestClient(create_app(settings)):
        pass
    moved = settings.model_copy(update={"lake": settings.lake.model_copy(update={"root": str(tmp_path / "elsewhere")})})
    with TestClient(create_app(moved)) as client:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert client.get("/forecasts").status_code == 503
        assert client.post("/predict", json=body_of(("a/b",))).status_code == 503
        assert client.get("/health/live").status_code == 200


def test_a_service_that_started_on_an_empty_lake_serves_the_first_model(tmp_path: Path) -> None:
    settings = service_settings(tmp_path, **SLOW)
    app = create_app(settings)
    with TestClient(app) as client:
        assert client.get("/health/ready").status_code == 503
        make_lake(settings)

        app.state.refresher.look()

        assert client.get("/health/ready").status_code == 200
        assert client.get("/forecasts/0012").status_code == 200


def test_new_forecasts_are_picked_up_and_a_damaged_copy_is_not_served(own_settings: Callable[..., Settings]) -> None:
    settings = own_settings(**SLOW)
    lake = Lakehouse(settings.lake.root)
    app = create_app(settings)
    with TestClient(app) as client:
        before = client.get("/forecasts/0012").json()["steps"][1]["yhat"]
        lake.write_polars(lake.read_polars(FORECASTS).with_columns(pl.col("yhat") + 1), FORECASTS)
        app.state.refresher.look()
        assert client.get("/forecasts/0012").json()["steps"][1]["yhat"] == before + 1
    copied = Files(settings.serving.cache)
    copied.write(b"{}", PRODUCTION_MODEL, "1-run", "model.json")
    shutil.rmtree(settings.lake.root)
    with TestClient(create_app(settings)) as client:
        assert client.get("/health/ready").status_code == 503
