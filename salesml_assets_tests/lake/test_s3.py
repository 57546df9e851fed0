"""The clients of an object store: PyArrow's past a proxy and through one, with a company's own authority; boto3's."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from pyarrow.fs import FileType

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.s3 import arrow_files, boto_client, delta_options

pytestmark = pytest.mark.stack
DEAD = "http://127.0.0.1:9"  # nobody listens there


@contextmanager
def server(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that reports every file as existing: its address, and the paths that were requested."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            requested.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        if context:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{http.server_port}", requested
        http.shutdown()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")


def is_there(endpoint: str, path_style: bool = True) -> bool:
    files = arrow_files(S3Settings(endpoint=endpoint, path_style=path_style))
    return files.get_file_info("lake/sales/part-0.parquet").type == FileType.File


def test_a_store_behind_a_proxy_is_requested_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (address, requested):
        monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
        assert is_there("http://store.example:9000/")
        assert is_there("http://store.example:9000", path_style=False)
    assert requested == [
        "http://store.example:9000/lake/sales/part-0.parquet",
        "http://lake.store.example:9000/sales/part-0.parquet",
    ]


def test_a_store_that_needs_no_proxy_is_requested_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (address, requested):
        monkeypatch.setenv("HTTP_PROXY", DEAD)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert is_there(f"http://{address}")
    assert requested == ["/lake/sales/part-0.parquet"]


def test_an_authority_of_ones_own_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with server(context) as (address, requested):
        with pytest.raises(OSError, match=r"(?i)certificate"):
            is_there(f"https://{address}")
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert is_there(f"https://{address}")
    assert len(requested) == 1


def test_files_of_this_machine_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "part-0.parquet").write_bytes(b"12345")
    assert arrow_files(None).get_file_info(str(tmp_path / "part-0.parquet")).size == 5


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (S3Settings(endpoint="http://store.example:9000"), "http://store.example:9000/lake/a"),
        (S3Settings(endpoint="http://store.example:9000", path_style=False), "http://lake.store.example:9000/a"),
        (S3Settings(region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com/lake/a"),
        (S3Settings(region="eu-west-1", path_style=False), "https://lake.s3.eu-west-1.amazonaws.com/a"),
    ],
)
def test_boto_asks_where_the_settings_say(settings: S3Settings, address: str) -> None:
    with closing(boto_client(settings)) as client:
        url = client.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "a"})
    assert url.partition("?")[0] == address


def test_deltalake_is_told_the_same() -> None:
    assert delta_options(S3Settings(endpoint="http://store.example:9000", region="eu-west-1")) == {
        "AWS_REGION": "eu-west-1",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        "AWS_ENDPOINT_URL": "http://store.example:9000",
        "AWS_ALLOW_HTTP": "true",
    }
    assert delta_options(S3Settings(path_style=False)) == {
        "AWS_REGION": "us-east-1",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }
    assert delta_options(S3Settings(endpoint="https://store.example"))["AWS_ALLOW_HTTP"] == "false"
