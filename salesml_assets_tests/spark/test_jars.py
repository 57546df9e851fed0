"""Jars are fetched once, by Ivy, from a repository on this disk; none is taken that the lock does not know."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark import jars
from salesml_assets.spark.jars import Jar, fetch_jars, ivy_settings, jar_paths, locked_jars
from salesml_assets.spark.java import find_java

CONTENT = {"one": b"first", "two_2.13": b"second"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven repository with two jars, and a lock for them."""
    root, lines = tmp_path / "repository", []
    for name, content in CONTENT.items():
        file = root / "org" / "example" / name / "1.0" / f"{name}-1.0.jar"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        lines.append(f"org.example:{name}:1.0 sha256:{hashlib.sha256(content).hexdigest()}\n")
    lock = tmp_path / "jars.lock"
    lock.write_text("".join(lines))
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", f"file://{root}/")
    monkeypatch.setattr(jars, "locked_jars", lambda: locked_jars(lock))
    return root


def test_a_missing_jar_is_fetched_a_stranger_removed_and_then_nothing_is_to_do(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, java = tmp_path / "state" / "jars", find_java()
    with pytest.raises(ConfigurationError, match="make setup"):
        jar_paths(folder)
    assert len(fetch_jars(folder, java)) == 2
    (folder / "stranger-1.0.jar").write_bytes(b"?")
    (folder / "one-1.0.jar").write_bytes(b"firs")  # interrupted
    assert [jar.artifact for jar in fetch_jars(folder, java)] == ["one"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "one-1.0.jar": b"first", "two_2.13-1.0.jar": b"second",
    }  # fmt: skip
    assert [path.name for path in jar_paths(folder)] == ["one-1.0.jar", "two_2.13-1.0.jar"]
    assert [path.name for path in folder.parent.iterdir()] == ["jars"]
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", "file:///nowhere/")
    assert fetch_jars(folder, Path("/no/java")) == []


def test_a_jar_with_another_content_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "org/example/one/1.0/one-1.0.jar").write_bytes(b"changed")
    with pytest.raises(ConfigurationError, match=r"one-1\.0\.jar is not the file that jars\.lock knows"):
        fetch_jars(tmp_path / "jars", find_java())
    assert not (tmp_path / "jars" / "one-1.0.jar").exists()


def test_no_network_is_one_clear_error(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_ARTIFACT_REPOSITORY", "http://127.0.0.1:1/")
    with pytest.raises(
        ConfigurationError, match=r"could not be fetched \(.*org\.example#one.*needs a network, once"
    ) as caught:
        fetch_jars(tmp_path / "jars", find_java())
    assert "\n" not in str(caught.value)


def test_the_mirror_is_quoted() -> None:
    assert 'root="http://mirror/?a&amp;b"' in ivy_settings("http://mirror/?a&b")
    assert "root" not in ivy_settings(None)


def test_file_name() -> None:
    assert Jar("io.delta", "delta-spark_4.1_2.13", "4.4.0", "0" * 64).file_name == "delta-spark_4.1_2.13-4.4.0.jar"
