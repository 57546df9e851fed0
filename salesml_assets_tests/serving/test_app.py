"""Stored forecasts, versions, health, metrics, the key and the limits."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import polars as pl
import polars.testing
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FORECASTS
from salesml_assets.serving.app import create_app
from salesml_assets.serving.book import Book
from salesml_assets.serving.logs import JsonFormatter
from salesml_assets.serving.process import check_address
from salesml_assets_tests.serving.conftest import KEY
from salesml_assets_tests.serving.small_service import HORIZON, NAMES, service_settings


def stored(folder: Path) -> pl.DataFrame:
    return Lakehouse(service_settings(folder).lake.root).read_polars(FORECASTS)


# The client of these tests decodes a path twice: `test_process` asks for the name with an escape.
@pytest.mark.parametrize("name", [name for name in NAMES if "%2F" not in name])
def test_every_series_is_reachable_by_its_name(client: TestClient, made_lake: Path, name: str) -> None:
    rows = stored(made_lake).filter(pl.col("unique_id") == name).sort("ds")

    answer = client.get(f"/forecasts/{quote(name, safe='')}")

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["series"] == name
    assert [step["yhat"] for step in found["steps"]] == rows["yhat"].to_list()
    assert [step["hi95"] for step in found["steps"]] == rows["hi95"].to_list()
    (listed,) = client.get("/forecasts", params={"series": name}).json()["items"]
    assert listed == found


def test_a_slash_need_not_be_escaped(client: TestClient) -> None:
    assert client.get("/forecasts/a/b").json()["series"] == "a/b"
    assert client.get("/forecasts/12").status_code == 404
    assert client.get("/forecasts/0012").json()["series"] == "0012"


def test_the_horizon_shortens_the_answer(client: TestClient) -> None:
    assert len(client.get("/forecasts/0012", params={"horizon": 3}).json()["steps"]) == 3
    assert len(client.get("/forecasts/0012", params={"horizon": 300}).json()["steps"]) == HORIZON


def test_pages_follow_one_another_and_hold_every_series_once(client: TestClient) -> None:
    names, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = client.get("/forecasts", params={"limit": 3, "horizon": 1} | ({"cursor": cursor} if cursor else {}))
        names += [item["series"] for item in page.json()["items"]]
        cursor, pages = page.json()["next_cursor"], pages + 1
    assert names == sorted(NAMES)
    assert pages == 3


def test_earlier_forecasts_are_found_by_the_day_on_which_they_were_known(own_settings: Callable[..., Settings]) -> None:
    settings = own_settings()
    lake = Lakehouse(settings.lake.root)
    first = lake.read_polars(FORECASTS)
    later = first.with_columns(pl.col("ds", "cutoff") + dt.timedelta(7), pl.col("yhat") + 100.0)
    lake.write_polars(later, FORECASTS)
    cutoff = first["cutoff"].max()
    assert isinstance(cutoff, dt.date)
    with TestClient(create_app(settings)) as client:

        def cutoff_at(day: dt.date) -> str | None:
            answer = client.get("/forecasts/a%2Fb", params={"as_of": day.isoformat()})
            return answer.json().get("cutoff")

        assert client.get("/forecasts/a%2Fb").json()["cutoff"] == (cutoff + dt.timedelta(7)).isoformat()
        assert cutoff_at(cutoff + dt.timedelta(9)) == (cutoff + dt.timedelta(7)).isoformat()
        assert cutoff_at(cutoff + dt.timedelta(6)) == cutoff.isoformat()
        assert cutoff_at(cutoff) == cutoff.isoformat()
        assert cutoff_at(cutoff - dt.timedelta(1)) is None
        earlier = client.get("/forecasts/a%2Fb", params={"as_of": cutoff.isoformat(), "horizon": 2}).json()
        rows = first.filter(pl.col("unique_id") == "a/b").sort("ds")
        assert [step["yhat"] for step in earlier["steps"]] == rows["yhat"].to_list()[:2]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/forecasts/unknown", 404),
        ("/forecasts/", 404),
        ("/forecasts/%FF%FE", 404),
        ("/nothing", 404),
        ("/predict", 405),
        ("/forecasts?limit=0", 422),
        ("/forecasts?limit=101", 422),
        ("/forecasts?limit=x", 422),
        ("/forecasts?cursor=%F0%9F", 422),
        ("/forecasts?cursor=a", 422),
        ("/forecasts?series=unknown", 404),
        ("/forecasts/0012?horizon=0", 422),
        ("/forecasts/0012?as_of=20230101", 422),
        ("/forecasts/0012?as_of=1600-01-01", 422),
    ],
)
def test_errors_are_problems(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:salesml:problem:")
    assert problem["detail"]
    assert (status == 405) == ("allow" in answer.headers)


def test_without_the_key_nothing_is_answered_but_probes_and_the_description(made_lake: Path) -> None:
    with TestClient(create_app(service_settings(made_lake), KEY)) as client:
        for key in (None, "", "wrong", KEY + "x", KEY[:-1], "ключ".encode()):
            headers = {} if key is None else {"X-API-Key": key}
            for path in ("/forecasts", "/forecasts/0012", "/models", "/nothing"):
                answer = client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")
            assert client.post("/predict", content=b"{", headers=headers).status_code == 401
        for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"):
            assert client.get(path).status_code == 200
        assert client.get("/models", headers={"X-API-Key": KEY}).status_code == 200


def test_a_host_that_others_reach_needs_a_key() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        check_address(host, None)
    check_address("0.0.0.0", "key")
    for host, key in (("0.0.0.0", None), ("0.0.0.0", ""), ("::", None)):
        with pytest.raises(ConfigurationError, match="SALESML_API_KEY"):
            check_address(host, key)


def test_large_bodies_many_series_and_many_rows_are_refused(made_lake: Path) -> None:
    settings = service_settings(made_lake, max_body_bytes=2_000, max_series=2, max_rows=100)
    row = {"ds": "2023-01-01", "y": 1}

    def body(count: int, days: int = 1) -> dict:
        history = [row, row | {"ds": (dt.date(2023, 1, 1) + dt.timedelta(days)).isoformat()}]
        return {"series": [{"keys": {"product": str(number)}, "history": history} for number in range(count)]}

    with TestClient(create_app(settings)) as client:
        assert client.post("/predict", json=body(2)).status_code == 200
        many = client.post("/predict", json=body(3))
        assert (many.status_code, many.json()["errors"][0]["field"]) == (422, "series")
        long = client.post("/predict", json=body(2, 60))
        assert (long.status_code, long.json()["errors"][0]["field"]) == (422, "series.1.history")
        json_head = {"content-type": "application/json"}
        large = client.post("/predict", content=b"[" * 2_001, headers=json_head)
        assert (large.status_code, large.json()["type"]) == (413, "urn:salesml:problem:body-too-large")
        stream = client.post("/predict", content=(b"x" * 500 for _ in range(10)), headers=json_head)
        assert (stream.status_code, stream.json()["type"]) == (413, "urn:salesml:problem:body-too-large")


def test_a_request_that_takes_too_long_is_given_up(made_lake: Path) -> None:
    with TestClient(create_app(service_settings(made_lake, timeout_seconds=0.0005))) as client:
        row = {"ds": "2023-01-01", "y": 1}
        answer = client.post("/predict", json={"series": [{"keys": {"product": "a"}, "history": [row]}]})
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


def test_metrics_count_requests_and_errors_and_describe_the_model(made_lake: Path) -> None:
    with TestClient(create_app(service_settings(made_lake))) as client:
        for path in ("/forecasts/0012", "/forecasts/a/b", "/forecasts/unknown", "/nothing"):
            client.get(path)
        text = client.get("/metrics").text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    route = ("route", "/forecasts/{series}")
    assert samples["salesml_serving_requests_total", route, ("status", "200")] == 2
    assert samples["salesml_serving_requests_total", route, ("status", "404")] == 1
    assert samples["salesml_serving_request_seconds_count", route] == 3
    assert samples["salesml_serving_errors_total", ("kind", "unknown-series")] == 1
    assert samples["salesml_serving_errors_total", ("kind", "not-found")] == 1
    assert samples[("salesml_serving_model_version",)] == 1
    assert samples[("salesml_serving_model_broken",)] == 0
    assert samples[("salesml_serving_lake_up",)] == 1
    assert 0 < samples[("salesml_serving_forecasts_age_seconds",)] < 3_600
    assert samples["salesml_serving_drift_effect_ratio", ("kind", "input")] == 2.0


def test_every_request_is_logged_as_json_with_its_id(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("salesml.serving.requests")
    with caplog.at_level(logging.INFO, logger.name):
        answer = client.get("/forecasts/0012", headers={"X-Request-ID": "mine-1"})
        made = client.get("/forecasts/none", headers={"X-Request-ID": "not\tvalid"})
    assert answer.headers["x-request-id"] == "mine-1"
    first, second = (
        json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == logger.name
    )
    assert (first["request_id"], first["status"], first["path"]) == ("mine-1", 200, "/forecasts/0012")
    assert (second["request_id"], second["problem"]) == (made.headers["x-request-id"], "unknown-series")
    assert second["request_id"] != "not\tvalid"
    assert KEY not in json.dumps([first, second])


def test_the_examples_of_the_description_work(client: TestClient) -> None:
    page = client.get("/openapi.json").json()

    for path in ("/predict", "/explain"):
        body = page["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert client.post(path, json=body).status_code == 200
    (series, *_) = page["paths"]["/forecasts/{series}"]["get"]["parameters"]
    assert client.get(f"/forecasts/{quote(series['example'], safe='')}").status_code == 200


def test_a_book_gives_back_the_rows_it_was_made_of(made_lake: Path) -> None:
    rows = stored(made_lake)
    book = Book.of(rows.sample(fraction=1.0, shuffle=True, seed=2).iter_slices(5))

    pl.testing.assert_frame_equal(book.frame(), rows.select(book.frame().columns).sort("unique_id", "ds"))
    assert Book.of([]).forecast("a") is None
    assert Book.of([rows.clear()]).names == ()
