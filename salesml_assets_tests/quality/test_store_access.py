"""A store that is away, or rejects the credentials, is one clear error within seconds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.store_access import check_store


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")


def error(settings: Settings) -> str:
    started = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        check_store(settings, "s3a://lake/sales", "sales.path")
    assert time.monotonic() - started < 15
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_port_that_refuses_connections(settings_for: Callable[..., Settings]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    text = error(settings_for(s3={"endpoint": endpoint}))
    assert text.startswith(f"s3.endpoint: '{endpoint}' does not answer")
    assert "sales.path (s3a://lake/sales)" in text


def test_a_port_that_never_answers(settings_for: Callable[..., Settings]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert error(settings_for(s3={"endpoint": endpoint})).startswith("s3.endpoint: ")


def test_no_such_bucket(settings_for: Callable[..., Settings], object_store: str) -> None:
    assert "there is no bucket 'lake'" in error(settings_for(s3={"endpoint": object_store}))


def test_a_store_that_answers_and_a_disk(settings_for: Callable[..., Settings], bucket: str) -> None:
    check_store(settings_for(s3={"endpoint": bucket}), "s3a://lake/sales", "sales.path")
    check_store(settings_for(), "/nowhere", "sales.path")


def test_credentials_that_are_not_set(
    settings_for: Callable[..., Settings], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    text = error(settings_for(s3={"endpoint": bucket}))
    assert text.startswith("sales.path: 's3a://lake/sales' needs credentials: set AWS_ACCESS_KEY_ID")


class Refusal(BaseHTTPRequestHandler):
    """A store that knows no such key."""

    def do_GET(self) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_rejected_credentials(settings_for: Callable[..., Settings]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        text = error(settings_for(s3={"endpoint": endpoint}))
        server.shutdown()
    assert text == (
        f"sales.path: '{endpoint}' rejects the credentials for s3a://lake/sales (InvalidAccessKeyId): check "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
