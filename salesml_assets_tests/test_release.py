"""The version of the code names the commit, where there is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from salesml_assets import release


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    release.code_version.cache_clear()
    yield tmp_path
    release.code_version.cache_clear()


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    command = ["git", "-C", str(root), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_without_a_checkout_it_is_the_release(root: Path) -> None:
    assert release.code_version() == release.release()


def test_a_checkout_names_its_commit_and_whether_it_was_changed(root: Path) -> None:
    git(root, "init", "-q")
    assert release.code_version() == release.release()  # no commit yet
    (root / "file").write_text("1")
    git(root, "add", "file")
    git(root, "commit", "-q", "-m", "first")
    git(root, "tag", "v9")  # the release is the package's, whatever tags there are
    commit = git(root, "rev-parse", "HEAD")[:12]
    release.code_version.cache_clear()
    assert release.code_version() == f"{release.release()}+g{commit}"
    (root / "file").write_text("2")
    release.code_version.cache_clear()
    assert release.code_version() == f"{release.release()}+g{commit}-dirty"
