"""An object store on this machine."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest


@pytest.fixture(scope="session")
def store_server() -> Iterator[str]:
    """The address of an S3 server on loopback.

    It is a process of its own: `deltalake` keeps Python waiting while it asks, a server in a thread could not answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not _post(f"http://127.0.0.1:{port}/moto-api/reset"):
            assert time.monotonic() < end, "the S3 server did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def object_store(store_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server, empty; AWS_* hold credentials for it."""
    assert _post(f"{store_server}/moto-api/reset")
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    return store_server


@pytest.fixture
def bucket(object_store: str) -> str:
    """The server with one bucket, `lake`."""
    import boto3

    with closing(boto3.client("s3", endpoint_url=object_store, region_name="us-east-1")) as client:
        client.create_bucket(Bucket="lake")
    return object_store


def _post(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False
