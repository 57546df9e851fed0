"""A copy of what the service answers with, in a folder of this machine: it starts from there while the lake is away."""

from __future__ import annotations

import datetime as dt
import fcntl
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl

from salesml_assets.forecasting.versions import Version, read_version
from salesml_assets.lake.files import FOLDER, Files
from salesml_assets.names import FORECASTS, PRODUCTION_MODEL
from salesml_assets.serving.book import Book
from salesml_assets.serving.state import Model, Stored

_MODEL_FILE, _FORECASTS_FILE, _ABOUT_FILE = "version.json", "forecasts.parquet", "about.json"
_CURRENT = "current"
SOURCE = "local copy"


class LocalCopy:
    """The copy of one lake.

    Args:
        folder: Where it is kept.
        lake: Root of the lake; the copy of another lake is not used.
    """

    def __init__(self, folder: str, lake: str) -> None:
        self._folder, self._lake = Path(folder), lake
        self._files = Files(folder)

    def keep_model(self, version: Version, content: Mapping[str, bytes]) -> None:
        """Keeps a model and removes the others.

        Args:
            version: Its row in the table of production models.
            content: The files of its bundle.
        """
        with self._lock():
            for name, data in content.items():
                self._files.write(data, PRODUCTION_MODEL, version.folder, name)
            about = asdict(version) | {
                "cutoff": version.cutoff.isoformat(),
                "trained_at": version.trained_at.isoformat() if version.trained_at else None,
            }
            self._write(PRODUCTION_MODEL, _MODEL_FILE, json.dumps({"lake": self._lake, "version": about}))
            for other in (self._folder / FOLDER / PRODUCTION_MODEL).iterdir():
                if other.name not in (version.folder, _CURRENT):
                    shutil.rmtree(other, ignore_errors=True)

    def keep_forecasts(self, stored: Stored) -> None:
        """Keeps stored forecasts in place of older ones."""
        content = io.BytesIO()
        stored.book.frame().write_parquet(content)
        about = {"lake": self._lake, "table": stored.table, "written_at": stored.written_at.isoformat()}
        with self._lock():
            self._files.write(content.getvalue(), FORECASTS, _CURRENT, _FORECASTS_FILE)
            self._write(FORECASTS, _ABOUT_FILE, json.dumps(about))

    def model(self) -> Model | None:
        """The model that was kept; None without one.

        Raises:
            BundleError: Its files are damaged.
        """
        found = self._about(PRODUCTION_MODEL, _MODEL_FILE)
        if found is None:
            return None
        values = found["version"]
        values["cutoff"] = dt.date.fromisoformat(values["cutoff"])
        values["trained_at"] = dt.datetime.fromisoformat(values["trained_at"])
        version = Version(**values)
        return Model(version, read_version(self._files, version), SOURCE)

    def forecasts(self) -> Stored | None:
        """The forecasts that were kept; None without any."""
        found = self._about(FORECASTS, _ABOUT_FILE)
        if found is None:
            return None
        rows = pl.read_parquet(io.BytesIO(self._files.read(FORECASTS, _CURRENT, _FORECASTS_FILE)))
        identity, version = found["table"]
        return Stored(Book.of([rows]), (identity, version), dt.datetime.fromisoformat(found["written_at"]))

    def _write(self, name: str, file: str, text: str) -> None:
        self._files.write(text, name, _CURRENT, file)

    def _about(self, name: str, file: str) -> dict | None:
        try:
            values: dict = json.loads(self._files.read(name, _CURRENT, file))
        except FileNotFoundError:
            return None
        return values if values["lake"] == self._lake else None

    def _lock(self) -> _Lock:
        """Several workers keep the same copy."""
        return _Lock(self._folder)


class _Lock:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "lock"

    def __enter__(self) -> None:
        self._stream = self._file.open("w")
        fcntl.flock(self._stream, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._stream.close()
