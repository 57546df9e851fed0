"""A fitted model on disk: `model.json` and the boosters that it names, with checksums and a schema version.

Everything in it is JSON or XGBoost's own format: nothing is executed when it is read.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import polars as pl

from salesml_assets.forecasting.calendar_regression import Terms
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.models import Model, model_from_files, model_to_files
from salesml_assets.forecasting.model.profile import Profile, profile_from_json, profile_to_json
from salesml_assets.forecasting.pooled import COLUMNS, Pool

SCHEMA_VERSION = 2
MODEL_FILE = "model.json"
Read = Callable[[str], bytes]
Write = Callable[[bytes, str], object]


class BundleError(ValueError):
    """A saved model cannot be used; the message says which one, why, and what to do."""


@dataclass(frozen=True)
class Calendar:
    """When the business trades, as far as forecasts need it.

    Attributes:
        step_days: Days in one step (1 or 7).
        week_end: Weekday on which a step ends (Monday is 0); None for days.
        closed_weekdays: Weekdays without trade (Monday is 0).
    """

    step_days: int
    week_end: int | None
    closed_weekdays: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A fitted model with all that is needed to use it.

    Attributes:
        model: The model.
        version: Number of the production model; 0 for a model of the backtest.
        algorithm: Name in the table of algorithms.
        parameters: Its parameters.
        cutoff: Last step that it learned from.
        rows: Training rows.
        features: Definition of the features.
        series_keys: Keys that make a series, in order.
        horizon: Steps ahead.
        calendar: When the business trades.
        non_negative: Whether forecasts below zero are cut off.
        intervals: The interval table of its backtest (`intervals.interval_table`); empty for a model of the backtest.
        lake_versions: Version of each table that it was made from.
        settings: The settings in force, without secrets.
        trained_at: When, UTC.
        decision: The promotion decision with its numbers; empty for a model of the backtest.
        pooled: What series know from one another at the end of the data (`Pool.to_frame`).
        profile: How new series sell, for the series that are too short for the model.
        code_version: Release and commit of the code that trained it.
    """

    model: Model
    version: int
    algorithm: str
    parameters: dict[str, Any]
    cutoff: dt.date
    rows: int
    features: FeatureSpec
    series_keys: tuple[str, ...]
    horizon: int
    calendar: Calendar
    non_negative: bool
    intervals: pl.DataFrame
    lake_versions: dict[str, int]
    settings: dict[str, Any]
    trained_at: dt.datetime
    decision: dict[str, Any] = field(default_factory=dict)
    pooled: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COLUMNS))
    profile: Profile = field(default_factory=Profile)
    code_version: str = ""

    @cached_property
    def pool(self) -> Pool:
        """What series know from one another."""
        return Pool.from_frame(self.pooled, Terms.of(self.features))

    def to_files(self) -> dict[str, bytes]:
        """The content of each file of the bundle, by its name."""
        model, files = model_to_files(self.model)
        values = {name.name: getattr(self, name.name) for name in fields(self) if name.name != "model"}
        values |= {
            "schema_version": SCHEMA_VERSION,
            "model": model,
            "cutoff": self.cutoff.isoformat(),
            "trained_at": self.trained_at.isoformat(),
            "features": asdict(self.features),
            "calendar": asdict(self.calendar),
            "intervals": self.intervals.to_dicts(),
            "pooled": self.pooled.with_columns(pl.col("day").dt.to_string("iso")).to_dicts(),
            "profile": profile_to_json(self.profile),
            "importance": self.model.importance(),
            "checksums": {name: _checksum(content) for name, content in sorted(files.items())},
        }
        body = _canonical(values)
        values["checksum"] = _checksum(body)
        return {**files, MODEL_FILE: json.dumps(values, indent=1, allow_nan=False).encode()}


def write_bundle(bundle: Bundle, write: Write) -> None:
    """Writes the files of a bundle, `model.json` last: until then there is no bundle.

    Args:
        bundle: The model.
        write: Writes a file of the bundle, given its content and its name.
    """
    for name, content in bundle.to_files().items():
        write(content, name)


def read_bundle(read: Read, place: str) -> Bundle:
    """Reads a bundle and verifies it.

    Args:
        read: Gives the content of a file of the bundle; raises FileNotFoundError where there is none.
        place: Where the bundle is, for messages.

    Raises:
        BundleError: A file is missing or is not the one that was saved, or the schema version is not known.
    """
    values = read_about(read, place)
    files = {}
    for name, checksum in values["checksums"].items():
        try:
            files[name] = read(name)
        except FileNotFoundError:
            raise BundleError(f"{place}: {name} is missing: restore it, or run the job `retrain`.") from None
        if _checksum(files[name]) != checksum:
            raise BundleError(f"{place}: {name} is not the file that was saved: restore it, or run the job `retrain`.")
    try:
        calendar, features = values["calendar"], values["features"]
        return Bundle(
            model=model_from_files(values["model"], files),
            cutoff=dt.date.fromisoformat(values["cutoff"]),
            trained_at=dt.datetime.fromisoformat(values["trained_at"]),
            features=FeatureSpec(**{name: _tuple(value) for name, value in features.items()}),
            calendar=Calendar(**{name: _tuple(value) for name, value in calendar.items()}),
            intervals=pl.DataFrame(values["intervals"], infer_schema_length=None),
            series_keys=tuple(values["series_keys"]),
            pooled=_pooled(values["pooled"]),
            profile=profile_from_json(values["profile"]),
            **{
                name: values[name]
                for name in (
                    "version", "algorithm", "parameters", "rows", "horizon", "non_negative", "lake_versions",
                    "settings", "decision", "code_version",
                )
            },
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{place}: {MODEL_FILE} cannot be read: {error!r}") from error


def read_about(read: Read, place: str) -> dict[str, Any]:
    """What `model.json` says, verified, without loading the model.

    Raises:
        BundleError: As `read_bundle`.
    """
    try:
        content = read(MODEL_FILE)
    except FileNotFoundError:
        raise BundleError(
            f"{place}: {MODEL_FILE} is missing: the model was saved by an older release or is incomplete. "
            "Run the job `retrain` (`salesml run`), which trains a new version."
        ) from None
    try:
        values: dict[str, Any] = json.loads(content)
        version, checksum = values["schema_version"], values.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{place}: {MODEL_FILE} is not a saved model: {error!r}") from error
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{place}: schema version {version} is not known, this release reads version {SCHEMA_VERSION}: "
            "use the release that saved the model, or run the job `retrain`."
        )
    if _checksum(_canonical(values)) != checksum:
        raise BundleError(f"{place}: {MODEL_FILE} is not the file that was saved: run the job `retrain`.")
    return values


def _tuple(value: Any) -> Any:
    return tuple(_tuple(entry) for entry in value) if isinstance(value, list) else value


def _pooled(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**COLUMNS, "day": pl.String}).with_columns(pl.col("day").str.to_date())


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
