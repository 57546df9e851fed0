"""Files as Arrow reads them by itself, in threads that run no Python."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from salesml_assets.config.settings import S3Settings


def arrow_files(s3: S3Settings | None) -> FileSystem:
    """The files of this machine, or those of an object store.

    Credentials come from the AWS_* variables; proxy and certificates from where Python and `deltalake` have them
    (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, the system's).

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
