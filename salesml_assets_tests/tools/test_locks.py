"""The locks pin everything that pyproject.toml asks for, by hash, and name no place to get it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from salesml_assets.spark.jars import LOCK, locked_jars

ROOT = Path(__file__).resolve().parents[2]
RUN, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
ADDRESS = re.compile(r"://|--(index-url|extra-index-url|find-links|trusted-host)|\bfile:|@ ")


def pins(lock: Path) -> list[Requirement]:
    """A lock's pins, without their hashes."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    return [Requirement(re.split(r"\s--hash", line)[0]) for line in text.splitlines() if line.strip()]


def wanted(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(("lock", "extras"), [(RUN, ["build"]), (DEV, ["build", "dev"])], ids=["run", "dev"])
def test_each_requirement_of_the_project_is_pinned_to_a_version_that_it_allows(lock: Path, extras: list[str]) -> None:
    pinned: dict[str, list[Requirement]] = {}
    for pin in pins(lock):
        pinned.setdefault(canonicalize_name(pin.name), []).append(pin)
    for requirement in wanted(*extras):
        found = pinned.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement} is not in {lock.name}: `make lock`"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{lock.name}: {pin}, wanted {requirement}"
            )


def test_the_lock_for_tests_holds_that_for_runs() -> None:
    everywhere = {f"{pin.name}{pin.specifier}" for pin in pins(DEV) if pin.marker is None}
    for pin in pins(RUN):  # a tool may need on every platform what runs need on one
        assert f"{pin.name}{pin.specifier}" in everywhere or pin in pins(DEV), pin


@pytest.mark.parametrize("lock", [RUN, DEV], ids=["run", "dev"])
def test_every_pin_has_hashes(lock: Path) -> None:
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
        assert "==" in line


@pytest.mark.parametrize("lock", [RUN, DEV, LOCK], ids=lambda path: path.name)
def test_no_lock_names_an_address(lock: Path) -> None:
    assert not ADDRESS.search(lock.read_text(encoding="utf-8"))


def test_jars_are_pinned_by_hash_and_there_once() -> None:
    jars = locked_jars()
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    assert len({jar.file_name for jar in jars}) == len(jars)


def test_spark_and_delta_jars_fit_the_python_packages() -> None:
    versions = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins(RUN)}
    jars = {jar.artifact: jar.version for jar in locked_jars()}
    spark = ".".join(versions["pyspark"].split(".")[:2])
    delta = jars[f"delta-spark_{spark}_2.13"]  # compiled for this minor version of Spark
    assert delta.split(".")[:2] == versions["delta-spark"].split(".")[:2]
    assert jars["delta-storage"] == delta
    assert jars["spark-hadoop-cloud_2.13"].startswith(f"{spark}.")
