"""All clients of the object store, from one setting: those of `deltalake`, PyArrow and boto3.

Credentials come from the AWS_* variables, never from the settings.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from salesml_assets.config.settings import S3Settings


def is_remote(address: str) -> bool:
    """Whether an address is one of an object store, and not a folder of this machine."""
    return "://" in address


def bucket_and_key(address: str) -> tuple[str, str]:
    """The parts of an address.

    >>> bucket_and_key("s3a://bucket/lake/_files/report")
    ('bucket', 'lake/_files/report')
    """
    bucket, _, key = address.partition("://")[2].partition("/")
    return bucket, key


def delta_address(address: str) -> str:
    """An address as `deltalake` takes it: Hadoop's s3a:// is s3:// to everybody else."""
    return address.replace("s3a://", "s3://", 1)


def delta_options(s3: S3Settings) -> dict[str, str]:
    """The options for `deltalake`'s own client."""
    options = {"AWS_REGION": s3.region, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not s3.path_style).lower()}
    if s3.endpoint:
        options["AWS_ENDPOINT_URL"] = s3.endpoint
        options["AWS_ALLOW_HTTP"] = str(s3.endpoint.startswith("http://")).lower()
    return options


def arrow_files(s3: S3Settings | None) -> FileSystem:
    """PyArrow's file system for this machine, or for an object store; its threads never call into Python.

    Proxy and certificates come from where Python and `deltalake` find them (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, the
    system's).

    Args:
        s3: The object store; None for this machine.
    """
    from pyarrow.fs import LocalFileSystem, S3FileSystem

    if s3 is None:
        return LocalFileSystem()
    endpoint = urlsplit(s3.endpoint or "https://")
    host = endpoint.netloc or f"s3.{s3.region}.amazonaws.com"
    return S3FileSystem(
        region=s3.region,
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc,
        force_virtual_addressing=not s3.path_style,
        proxy_options=None if proxy_bypass(host) else getproxies().get(endpoint.scheme),
        tls_ca_file_path=ssl.get_default_verify_paths().cafile,
    )


def boto_client(s3: S3Settings, **limits: Any) -> Any:
    """A boto3 client; the caller closes it.

    Args:
        s3: The object store.
        limits: Timeouts and retries, as botocore's `Config` takes them.
    """
    import boto3
    from botocore.config import Config

    style = "path" if s3.path_style else "virtual"
    config = Config(s3={"addressing_style": style}, **limits)
    return boto3.client("s3", endpoint_url=s3.endpoint, region_name=s3.region, config=config)
