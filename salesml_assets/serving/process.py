"""The service's process, or its workers, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from contextlib import ExitStack

from salesml_assets.config.settings import API_KEY, ConfigurationError, Settings

# Requests are small: threads below them only get into each other's way.
_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; must be called in the main thread, before Polars is imported.

    Args:
        settings: The settings; those of the environment and the settings file are what workers use.

    Raises:
        ConfigurationError: Others could reach the service without a key, or the port is in use.
    """
    limits = settings.serving
    check_address(limits.host, os.environ.get(API_KEY))
    for variable in _ONE_THREAD:
        os.environ.setdefault(variable, "1")

    import uvicorn

    from salesml_assets.serving.logs import LOGGING
    from salesml_assets.serving.metrics import MULTIPROCESS_VARIABLE

    with ExitStack() as stack:
        if limits.workers > 1:
            folder = tempfile.TemporaryDirectory(prefix="salesml-metrics-")
            os.environ[MULTIPROCESS_VARIABLE] = stack.enter_context(folder)
        uvicorn.run(
            "salesml_assets.serving.app:create",
            factory=True,
            host=limits.host,
            port=limits.port,
            workers=limits.workers,
            log_config=LOGGING,
            access_log=False,
            server_header=False,
            timeout_keep_alive=65,  # longer than load balancers wait: the one who closes first must not be the service
            timeout_graceful_shutdown=int(limits.timeout_seconds) + 1,
        )


def check_address(host: str, key: str | None) -> None:
    """Refuses an address that others reach while no key protects it.

    Raises:
        ConfigurationError: The address is not one of this machine's loopback, and there is no key.
    """
    if not key and not _is_loopback(host):
        raise ConfigurationError(
            f"serving.host: {host!r} can be reached by others: set {API_KEY}, or listen on 127.0.0.1 only"
        )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise ConfigurationError(f"serving.host: {host!r} is not an address of this machine") from None
    return all(ipaddress.ip_address(str(entry[4][0])).is_loopback for entry in found)
