"""The benchmark's own environment: the peers' packages stay out of the project's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path(__file__).with_name("requirements.lock")
FOLDER = ROOT / ".salesml" / "benchmark-venv"
STAMP = FOLDER / "lock.sha256"
PYTHON = FOLDER / "bin" / "python"
PROJECT_PYTHON = ROOT / ".venv" / "bin" / "python"


def enter() -> None:
    """Goes on in the benchmark's environment, which is made first where it is missing or out of date.

    Raises:
        SystemExit: The project's own environment is missing.
    """
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    set_up()
    os.environ["PYTHONPATH"] = str(ROOT)
    os.execv(PYTHON, [str(PYTHON), "-m", "benchmarks.run", *sys.argv[1:]])


def set_up() -> None:
    """Makes the benchmark's environment where it is missing or out of date.

    Raises:
        SystemExit: The project's own environment is missing.
    """
    if not PROJECT_PYTHON.exists():
        raise SystemExit(f"{PROJECT_PYTHON} is missing: run `make run` or `make test` once, they set it up")
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    print(f"setting up {FOLDER.relative_to(ROOT)}", flush=True)
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(FOLDER)
    subprocess.run(
        [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", LOCK],
        check=True,
    )
    STAMP.write_text(wanted)
