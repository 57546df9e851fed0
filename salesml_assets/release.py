"""Which code runs: the release and, in a checkout, its commit."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "salesml"
ROOT = Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"


def release() -> str:
    """Version of the installed package."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return UNKNOWN


@functools.cache
def code_version() -> str:
    """Release and, in a checkout with Git, commit: `0.1.0+g3f2a9c1d7b20`; `-dirty` with changes not committed."""
    if not (ROOT / ".git").exists():
        return release()
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # no Git, or no commit yet: the release is known all the same
        return release()
    return f"{release()}+g{answer.stdout.strip()}"
