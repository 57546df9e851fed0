"""The service against its own description, and against bodies that nobody should send."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from salesml_assets.config.settings import Settings
from salesml_assets_tests.serving.running import KEY, running
from salesml_assets_tests.serving.test_predict import body_of

EXAMPLES = 15  # of each operation and phase; a hundred take a minute more


@pytest.mark.stack
def test_the_service_keeps_what_its_description_promises(own_settings: Callable[..., Settings], tmp_path: Path) -> None:
    """All phases of schemathesis, with and without the key, with valid and invalid data.

    One of its checks is left out: a description cannot say that days follow one another or that no series is listed
    twice, so that some requests that fit it are refused.
    """
    with running(own_settings(drain_seconds=0.0), tmp_path) as service:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run",
            f"http://127.0.0.1:{service.port}/openapi.json",
            "--header", f"X-API-Key: {KEY}", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all",
            "--checks", "all", "--exclude-checks", "positive_data_acceptance",
            "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-5_000:]
    assert "passed" in done.stdout
    assert '"level": "error"' not in service.log.read_text()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SMALL = {
    "series": [
        {
            "keys": {"product": "a"},
            "history": [{"ds": f"2023-01-{day:02}", "y": float(day), "planned": {"promo": 1}} for day in range(1, 9)],
            "future": [{"ds": "2023-01-09", "closed": False, "planned": {"flyer": "front"}}],
        }
    ],
    "horizon": 3,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every part of a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *[place for key, part in inner for place in places(part, (*path, key))]]


def refused_or_fine(answer: Any) -> None:
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        json.loads(answer.text, parse_constant=pytest.fail)  # no NaN
        return
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["errors"]
    assert all(error["field"] and error["reason"] for error in problem["errors"])
    assert "Traceback" not in answer.text
    assert len(answer.content) < 10_000


LIMITS = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@LIMITS
@given(st.sampled_from(places(SMALL)[1:]), JUNK, st.sampled_from(["/predict", "/explain"]))
def test_a_part_replaced_by_anything_is_refused_with_its_place(
    client: TestClient, place: tuple[Any, ...], junk: Any, path: str
) -> None:
    body = copy.deepcopy(SMALL)
    parent: Any = body
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = junk

    answer = client.post(path, content=json.dumps(body).encode(), headers={"content-type": "application/json"})

    refused_or_fine(answer)


@LIMITS
@given(st.integers(0, 10_000), st.binary(max_size=6), st.booleans())
def test_bytes_that_are_cut_or_mixed_are_refused(client: TestClient, at: int, noise: bytes, cut: bool) -> None:
    whole = json.dumps(SMALL).encode()
    place = at % len(whole)
    content = whole[:place] + noise + (b"" if cut else whole[place:])

    answer = client.post("/predict", content=content, headers={"content-type": "application/json"})

    refused_or_fine(answer)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b'"x"', b"NaN", b"\xff\xfe", b"[" * 100_000, b'{"series":' * 20_000, b"1" * 10_000,
        b'{"series": [{"keys": {"product": "\\ud800"}, "history": [{"ds": "2023-01-01", "y": 1}]}]}',
        b'{"series": [{"keys": {"\\ud800": "a"}, "history": [{"ds": "2023-01-01", "y": 1}]}]}',
        b'{"series": [{"keys": {"product": "a"}, "history": [{"ds": "2023-01-01", "y": NaN}]}]}',
        b'{"series": [{"keys": {"product": "a"}, "history": [{"ds": "2023-01-01", "y": Infinity}]}]}',
        b'{"series": [{"keys": {"product": "a"}, "history": [{"ds": "2023-01-01", "y": 1e400}]}]}',
        b'{"series": [{"keys": {"product": "a"}, "history": [{"ds": "9999-12-31", "y": 1}]}]}',
        b'{"series": [{"keys": {"product": "a"}, "history": [{"ds": "2023-01-01\\u0000", "y": 1}]}]}',
    ],
)  # fmt: skip
def test_bodies_that_break_parsers_are_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/predict", content=content, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422), answer.text
    refused_or_fine(answer)


def test_amounts_at_the_limits_have_finite_forecasts_or_a_reason(client: TestClient) -> None:
    for amount in (1e12, -1e12, 5e-324, 1e-300, 0.0, None):
        body = body_of(("a/b",))
        for row in body["series"][0]["history"]:
            row["y"] = amount
        refused_or_fine(client.post("/predict", json=body))
        refused_or_fine(client.post("/explain", json=body))


def test_other_types_of_content_are_refused(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        refused = client.post("/predict", content=json.dumps(SMALL).encode(), headers={"content-type": kind})
        assert refused.status_code == 422, refused.text
        refused_or_fine(refused)
