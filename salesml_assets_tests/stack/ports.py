"""What listens in the containers of a stack, and where it can be reached from."""

from __future__ import annotations

import json
from pathlib import Path

from salesml_assets_tests.stack.compose import PROJECT, Stack

LISTEN = "0A"
# Port → who may reach it. No other port of a service listens beyond its own container while no run is in progress.
LISTENERS = {
    "minio": {9000, 9001}, "mlflow": {5000}, "code": {4000}, "webserver": {3000}, "daemon": set(), "serving": {8000},
    "predictions": {8000, 8404}, "exporter": {9464}, "prometheus": {9090}, "alertmanager": {9093}, "grafana": {3000},
    "mail": {1025, 8025}, "postgres": {5432}, "spark-master": {7077, 8080}, "spark-worker": {7078, 8081},
}  # fmt: skip


def listening(pid: int) -> set[int]:
    """TCP ports on which a process' network namespace accepts connections from others.

    Args:
        pid: A process of the container, as this machine numbers it.
    """
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == LISTEN and not is_loopback(address):
                ports.add(int(port, 16))
    return ports


def is_loopback(address: str) -> bool:
    """Whether an address of /proc/net/tcp or tcp6 is one of the container itself.

    >>> is_loopback("0100007F"), is_loopback("00000000"), is_loopback("00000000000000000000000001000000")
    (True, False, True)
    >>> is_loopback("0000000000000000FFFF00000100007F")
    True
    """
    return address.endswith("7F") or address == f"{0:024X}01000000"


def published(stack: Stack, container: str) -> dict[str, list[str]]:
    """The container's port → addresses of this machine at which it is published."""
    found = json.loads(stack.docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", container))
    return {port: [each["HostIp"] for each in where] for port, where in found.items() if where}


def networks(stack: Stack, container: str) -> set[str]:
    """The names that the compose file gives to the networks of a container."""
    found = json.loads(stack.docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container))
    return {name.rpartition("_")[2] for name in found}


def is_internal(stack: Stack, network: str) -> bool:
    """Whether the engine lets nothing of a network out."""
    return stack.docker("network", "inspect", "--format", "{{.Internal}}", f"{PROJECT}_{network}").strip() == "true"
