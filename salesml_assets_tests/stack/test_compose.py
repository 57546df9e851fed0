"""What docker-compose.yml promises, read from the file: no engine is needed."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from salesml_assets_tests.stack.ports import LISTENERS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"preflight", "buckets"}
# Every port that is published, and why people open it.
PUBLISHED = {
    "minio": {9000, 9001}, "mlflow": {5000}, "webserver": {3000}, "predictions": {8000}, "prometheus": {9090},
    "alertmanager": {9093}, "grafana": {3000}, "mail": {8025},
}  # fmt: skip
LINES = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
EXAMPLE = dict(line.split("=", 1) for line in LINES if re.match(r"\w+=", line))
problems = runpy.run_path(str(ROOT / "deploy" / "preflight.py"))["problems"]
SECRETS = runpy.run_path(str(ROOT / "deploy" / "preflight.py"))["SECRETS"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_and_watched(name):
    service = SERVICES[name]
    assert "mem_limit" in service
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ONE_SHOT)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privileges(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices", "network_mode"} & service.keys()
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_after_the_preflight(name):
    def before(service: str) -> set[str]:
        needed = set(SERVICES[service].get("depends_on", {}))
        return needed.union(*(before(each) for each in needed))

    assert name == "preflight" or "preflight" in before(name)
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        done = needed in ONE_SHOT
        assert how["condition"] == ("service_completed_successfully" if done else "service_healthy")


def test_only_these_ports_are_published_and_on_loopback():
    found: dict[str, set[int]] = {}
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("${BIND_ADDRESS:-127.0.0.1}:"), port
            found.setdefault(name, set()).add(int(port.rpartition(":")[2]))
    assert found == PUBLISHED
    assert COMPOSE["networks"]["back"]["internal"] is True
    # What needs no way out, and is not published, has none.
    for name, service in SERVICES.items():
        assert ("front" in service["networks"]) == (name in PUBLISHED or name in {"code", "daemon"}), name


def test_every_service_has_its_ports_on_the_page():
    assert LISTENERS.keys() == SERVICES.keys() - ONE_SHOT
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## Ports")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in page.splitlines() if line.startswith("| ")][1:]
    told = {(name, int(port)) for ports, names in rows for name in names.split(", ") for port in ports.split(", ")}
    assert told == {(name, port) for name, ports in LISTENERS.items() for port in ports}


def test_images_are_pinned():
    for service in SERVICES.values():
        image = service["image"]
        assert re.fullmatch(r"salesml(-mlflow)?:\$\{SALESML_VERSION:-latest\}|.+:(?!latest).*\d.*", image), image


def test_the_file_has_no_secret():
    for name in SECRETS:
        assert re.search(rf"\$\{{{name}(:\?[^}}]*)?\}}", TEXT), f"{name} is not asked for"
    # A value of a variable that sounds like a secret comes from the environment.
    for line in re.findall(r"^\s+\w*(?:PASSWORD|SECRET|KEY\w*|TOKEN|WEBHOOK)\w*: (.+)$", TEXT, re.MULTILINE):
        assert line.startswith("${"), line


def test_placeholders_start_a_demo_and_nothing_else():
    assert problems(EXAMPLE | {"DEMO": "true"}) == []
    found = problems(EXAMPLE)
    assert [line.split()[0] for line in found] == list(SECRETS)
    assert all("DEMO=true" in line for line in found)


@pytest.mark.parametrize(
    ("value", "problem"), [("", "is empty"), ("short", "fewer than 12"), ("a pass@word/with:signs", "letters, digits")]
)
def test_a_secret_that_cannot_work_is_named(value, problem):
    good = dict.fromkeys(SECRETS, "0123456789abcdef")
    assert problems(good) == []
    (line,) = problems(good | {"SPARK_SECRET": value})
    assert line.startswith("SPARK_SECRET")
    assert problem in line


def test_the_example_has_every_secret_and_every_variable_has_a_value():
    assert set(SECRETS) <= EXAMPLE.keys()
    required = set(re.findall(r"\$\{(\w+)(?::\?[^}]*)?\}", TEXT))
    assert required <= EXAMPLE.keys(), required - EXAMPLE.keys()
