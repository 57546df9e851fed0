"""The project's folder, its settings file, and the lock for runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from salesml_assets.config.loading import CONFIG_VARIABLE
from salesml_assets.config.settings import ConfigurationError

HOME_VARIABLE = "DAGSTER_HOME"
INSTANCE, WORKSPACE, SETTINGS = "dagster.yaml", "workspace.yaml", "salesml.yaml"
LOCK = Path(".salesml") / "run.lock"


class BusyError(RuntimeError):
    """Another command is running in the same project."""


def project_home() -> Path:
    """The folder with dagster.yaml: the working directory, else the parent of the package.

    Raises:
        ConfigurationError: Neither contains dagster.yaml.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / INSTANCE).is_file():
            return folder
    raise ConfigurationError(f"{INSTANCE}: start the command in the project's folder; not found in {Path.cwd()}")


def enter_project() -> Path:
    """Changes the working directory to the project's folder, and sets Dagster's home unless it is set.

    The storage in dagster.yaml is relative to the working directory. The settings are those of the folder in
    which the command was started: its salesml.yaml, else the project's.

    Returns:
        The project's folder.
    """
    home = project_home()
    named = os.environ.get(CONFIG_VARIABLE)
    settings = Path(named) if named else Path(SETTINGS)
    if named or settings.is_file():
        os.environ[CONFIG_VARIABLE] = str(settings.absolute())
    os.environ.setdefault(HOME_VARIABLE, str(home))
    os.chdir(home)
    return home


@contextmanager
def run_lock(home: Path) -> Iterator[None]:
    """Locks the project for one run. The operating system releases the lock when the process ends.

    Raises:
        BusyError: Another process holds the lock.
    """
    file = home / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("Another `salesml run` is running in this project: wait until it has ended.") from None
        yield
