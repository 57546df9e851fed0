"""Sets the project up: environment, locked packages, Spark's jars. Needs only Python 3.11 and its standard library.

    python3 tools/setup.py          packages for runs
    python3 tools/setup.py --dev    also the tools for tests and checks

A stamp records the files from which the environment was built: while they are unchanged, there is nothing to do, and no
network is needed. An environment without a stamp is incomplete and is rebuilt.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 11), (3, 14)
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
JARS_LOCK = "salesml_assets/spark/jars.lock"
STATE = ".salesml"
BUILD_TOOL = "setuptools"
# pip settings of the user under which packages would be installed elsewhere, or in other versions than locked.
PIP_SETTINGS_TO_IGNORE = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_CONSTRAINT",
    "PIP_BUILD_CONSTRAINT",
    "PIP_NO_BINARY",
)


class SetupError(Exception):
    """The set-up failed; the message says how to fix it."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the set-up; the exit code is 1 after an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and checks")
    kind = "dev" if parser.parse_args(arguments).dev else "run"
    try:
        set_up(ROOT, kind)
    except SetupError as error:
        print(f"\nset-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the next one continues where needed", file=sys.stderr)
        return 130
    return 0


def set_up(root: Path, kind: str) -> None:
    """Updates the environment below `root` to the locked packages.

    Args:
        root: The project's folder.
        kind: "run", or "dev" to include the tools for tests and checks.

    Raises:
        SetupError: This Python is unsupported, a step failed, or a network is needed and missing.
    """
    environment = root / ".venv"
    packages, jars = fingerprint(root, kind), {JARS_LOCK: file_hash(root / JARS_LOCK)}
    known = read_stamp(environment)
    if covers(known, packages | jars) and has_jars(root):
        return
    start = time.monotonic()
    if not covers(known, packages):
        check_python()
        if known is None or known.get("folder") != packages["folder"]:  # a moved or copied one is unusable
            say(f"1/4 environment .venv with Python {sys.version.split()[0]}")
            make_environment(environment)
        stamp_path(environment).unlink(missing_ok=True)  # incomplete from here on
        lock = root / LOCKS[kind]
        say(f"2/4 packages of {lock.name}: {len(pinned_names(lock))}; the first time this takes some minutes")
        install_packages(environment, lock)
        say("3/4 the project itself")
        install_project(environment, root)
        write_stamp(environment, packages)
    say("4/4 Spark: jars, and a first start")
    run([environment / "bin" / "python", "-m", "salesml_assets.spark.prepare"], cwd=root)
    write_stamp(environment, packages | jars)
    say(f"done in {time.monotonic() - start:.0f} s")


def say(line: str) -> None:
    """One line of progress."""
    print(f"set-up: {line}", flush=True)


# --- stamp


def fingerprint(root: Path, kind: str) -> dict[str, str]:
    """Hashes of the files from which an environment is built. A "dev" environment includes everything runs need."""
    names = [LOCKS["run"], LOCKS["dev"]] if kind == "dev" else [LOCKS["run"]]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    # Only the sections that pip reads: a new linter rule does not rebuild the environment.
    parts = json.dumps([project.get("project"), project.get("build-system")], sort_keys=True)
    stamp = {"folder": str(root / ".venv"), "project": hashlib.sha256(parts.encode()).hexdigest()}
    return stamp | {name: file_hash(root / name) for name in names}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stamp_path(environment: Path) -> Path:
    """Path of the stamp: inside the environment, so that both are deleted together."""
    return environment / "salesml-setup.json"


def read_stamp(environment: Path) -> dict[str, str] | None:
    """The stamp; None if it is missing or the environment's Python cannot be started."""
    try:
        stamp: dict[str, str] = json.loads(stamp_path(environment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if os.access(environment / "bin" / "python", os.X_OK) else None


def write_stamp(environment: Path, stamp: dict[str, str]) -> None:
    """Records the files from which the environment was built."""
    fresh = stamp_path(environment).with_suffix(".new")
    fresh.write_text(json.dumps(stamp, indent=2), encoding="utf-8")
    fresh.replace(stamp_path(environment))


def covers(known: dict[str, str] | None, wanted: dict[str, str]) -> bool:
    """Whether the stamp contains everything wanted; additional entries (tools for tests) are allowed."""
    return known is not None and wanted.items() <= known.items()


# --- steps


def check_python() -> None:
    """Checks that this Python can build the environment.

    Raises:
        SetupError: Its version is unsupported, or venv or pip is missing.
    """
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        versions = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        raise SetupError(f"{sys.executable} is Python {sys.version.split()[0]}; needed is {versions}: make PYTHON=...")
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise SetupError(
            f"{sys.executable} comes without venv and pip. On Debian and Ubuntu: apt install {package}; "
            "elsewhere install a full Python, and name it with make PYTHON=..."
        )


def has_jars(root: Path) -> bool:
    """Whether Spark's jars are installed: users may delete the project's state to start over."""
    lines = (root / JARS_LOCK).read_text(encoding="utf-8").splitlines()
    jars = [line.split()[0].split(":") for line in lines]
    return all((root / STATE / "jars" / f"{name}-{version}.jar").is_file() for _, name, version in jars)


def make_environment(environment: Path) -> None:
    """Creates an empty environment, replacing any existing one."""
    if environment.is_symlink() or environment.is_file():
        environment.unlink()
    elif environment.exists():
        shutil.rmtree(environment)
    run([sys.executable, "-m", "venv", environment])


def pinned_names(lock: Path) -> list[str]:
    """Names of all packages in a lock, for any system."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]


def requirement(lock: Path, name: str) -> str:
    """The lines of a package in a lock: version and hashes."""
    lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def install_packages(environment: Path, lock: Path) -> None:
    """Installs the locked packages, verified by hash.

    pyspark is a source package: its build tool is locked, too, and installed first, because pip would otherwise
    download the newest version.
    """
    first = environment / "build-tool.txt"
    first.write_text(requirement(lock, BUILD_TOOL) + "\n", encoding="utf-8")
    pip(environment, "install", "--require-hashes", "--no-deps", "--requirement", first)
    options = ("--require-hashes", "--no-deps", "--no-build-isolation", "--use-pep517")
    pip(environment, "install", *options, "--requirement", lock)


def install_project(environment: Path, root: Path) -> None:
    """Installs the project in editable mode, with the command `salesml`; needs no network."""
    pip(environment, "install", "--no-index", "--no-deps", "--no-build-isolation", "--editable", root)


def pip(environment: Path, *arguments: str | Path) -> None:
    """Runs the environment's pip, with those settings of the user that concern package sources."""
    variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    variables |= dict.fromkeys(PIP_SETTINGS_TO_IGNORE, "") | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [environment / "bin" / "python", "-m", "pip", *arguments, "--no-input", "--progress-bar", "off"]
    run(command, env=variables, counted="Collecting ")


def run(
    command: list[str | Path],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    counted: str | None = None,
) -> None:
    """Runs a step.

    Args:
        command: The command and its arguments.
        cwd: Working directory.
        env: Its environment variables; default: this process's.
        counted: If given, the output is suppressed, and progress is printed for every tenth line with this prefix.

    Raises:
        SetupError: The command failed; the message contains the end of its output.
    """
    texts = [str(part) for part in command]
    tail: deque[str] = deque(maxlen=25)
    count = 0
    with subprocess.Popen(
        texts, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if counted is None:
                print(line, end="", flush=True)
            elif line.startswith(counted):
                count += 1
                if count % 10 == 0:
                    say(f"    {count} packages, {line.removeprefix(counted).split()[0]}")
    if process.returncode:
        end = "" if counted is None else "\n".join(["", *tail])
        raise SetupError(f"`{' '.join(texts[:4])} ...` failed{end}")


if __name__ == "__main__":
    sys.exit(main())
