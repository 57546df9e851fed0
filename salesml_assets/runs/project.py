"""Where the project is, which settings it has, and who is at work in it."""

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
    """Another command is at work in the same project."""


def project_home() -> Path:
    """The folder that holds dagster.yaml: the working directory, else the one that the package lies in.

    Raises:
        ConfigurationError: There is no such folder.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / INSTANCE).is_file():
            return folder
    raise ConfigurationError(f"{INSTANCE}: start the command in the project's folder; there is none in {Path.cwd()}")


def enter_project() -> Path:
    """Makes the project's folder the working directory, and Dagster's home unless one is set.

    The storage in dagster.yaml is relative to the working directory. The settings stay those of the folder that the
    command was started in: its salesml.yaml, else the project's.

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
    """Holds the project for one run. The system lets go of it with the process, however that ends.

    Raises:
        BusyError: Another process holds it.
    """
    file = home / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("Another `salesml run` is at work in this project: wait until it has ended.") from None
        yield
