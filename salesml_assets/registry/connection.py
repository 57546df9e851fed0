"""The connection to MLflow: a server, or by default a SQLite file and a folder of this machine."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from salesml_assets.config.settings import RegistrySettings
from salesml_assets.text import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
# A server that is away is caught up by the next run: nothing is gained by minutes of further attempts.
ATTEMPTS = 1


class RegistryAwayError(RuntimeError):
    """MLflow cannot be reached, or does not do what it is asked; the message says where and why."""


@dataclass(frozen=True)
class Connection:
    """An open registry.

    Attributes:
        client: MLflow's client.
        uri: Its address, without secrets.
        experiment: Id of the experiment.
        name: Name of the experiment and of the registered model.
    """

    client: MlflowClient
    uri: str
    experiment: str
    name: str

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A block that asks MLflow, and does nothing else.

        Raises:
            RegistryAwayError: Whatever went wrong in the block.
        """
        with _asking(self.uri):
            yield

    def link(self, run_id: str) -> str | None:
        """The page of a run on the server; None where there is no server."""
        if not self.uri.startswith("http"):
            return None
        return f"{self.uri.rstrip('/')}/#/experiments/{self.experiment}/runs/{run_id}"


def tracking_uri(settings: RegistrySettings) -> str:
    """The address that MLflow's own commands take: the server's, or the SQLite file's."""
    return settings.tracking_uri or f"sqlite:///{Path(settings.folder).absolute() / DATABASE}"


@contextmanager
def connected(settings: RegistrySettings) -> Iterator[Connection]:
    """Opens the registry; its experiment is created where it is not there.

    Raises:
        RegistryAwayError: It cannot be opened. What comes after is asked in `Connection.asking`.
    """
    uri = tracking_uri(settings)
    with _environment(settings):
        with _asking(masked(uri)):
            from mlflow import MlflowClient

            if settings.tracking_uri is None:
                Path(settings.folder).mkdir(parents=True, exist_ok=True)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            connection = Connection(client, masked(uri), _experiment(client, settings), settings.model_name)
        yield connection


@contextmanager
def _asking(uri: str) -> Iterator[None]:
    with _quiet():
        import requests
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
            reason = masked(str(error).strip().partition("\n")[0])
            raise RegistryAwayError(f"the registry {uri} is away: {type(error).__name__}: {reason}") from error


def _experiment(client: MlflowClient, settings: RegistrySettings) -> str:
    """Id of the experiment; a deleted one is restored."""
    found = client.get_experiment_by_name(settings.model_name)
    if found is None:
        # Without a server MLflow would keep artifacts below the working directory.
        folder = None if settings.tracking_uri else (Path(settings.folder).absolute() / ARTIFACTS).as_uri()
        return str(client.create_experiment(settings.model_name, artifact_location=folder))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


@contextmanager
def _environment(settings: RegistrySettings) -> Iterator[None]:
    """MLflow's options, which it takes from the environment alone: time-outs, and no telemetry."""
    options = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(settings.timeout_seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(ATTEMPTS),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    before = {name: os.environ.get(name) for name in options}
    os.environ.update(options)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences MLflow's remarks on its own type hints, on its tables and on how it stores models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # sets up its loggers  # noqa: F401

        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
