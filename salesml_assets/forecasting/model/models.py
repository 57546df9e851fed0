"""Fitted models over rows of the panel: plain data that predicts without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from salesml_assets.forecasting.calendar_columns import LEVEL_PART, PARTS, REGRESSION
from salesml_assets.forecasting.model.encoder import Encoder, Matrix, Vector
from salesml_assets.forecasting.model.regressors import Linear, Regressor, Trees

BASE = "base"  # the column of contributions that is no feature's


class Model(Protocol):
    """A fitted model of one algorithm."""

    def predict(self, rows: pl.DataFrame) -> Vector:
        """One prediction for each row of the panel, in units of the target, before anything is clipped."""

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Shares of each prediction in units of the target: a column for each feature, and `base`; they add up."""

    def importance(self) -> dict[str, float]:
        """Share of each input in the model, summing to 1; empty where the idea makes no sense."""


@dataclass(frozen=True)
class Baseline:
    """A column of the panel that is the forecast."""

    column: str

    def predict(self, rows: pl.DataFrame) -> Vector:
        """The column."""
        return rows[self.column].cast(pl.Float64).to_numpy()

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """All of it is the column's."""
        return rows.select(pl.col(self.column).cast(pl.Float64), pl.lit(0.0).alias(BASE))

    def importance(self) -> dict[str, float]:
        """Nothing is learned."""
        return {}


@dataclass(frozen=True)
class Calendar:
    """The calendar regression: a column of the panel, whose parts the panel has as well."""

    def predict(self, rows: pl.DataFrame) -> Vector:
        """The forecast of the regression."""
        return rows[REGRESSION].cast(pl.Float64).to_numpy()

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What each part of the calendar adds to the level; rows without parts have the level alone."""
        parts = [name for name in PARTS if name != LEVEL_PART]
        added = [pl.col(name).fill_null(0.0) for name in parts]
        base = pl.col(REGRESSION) - pl.sum_horizontal(added)
        return rows.select(*added, base.alias(BASE))

    def importance(self) -> dict[str, float]:
        """Each series has coefficients of its own."""
        return {}


@dataclass(frozen=True)
class Learned:
    """An encoder and the regressors whose mean is the forecast, as a multiple of the series' `scale`.

    Attributes:
        encoder: From rows to a matrix.
        regressors: Fitted on its matrix; one that is named twice counts twice.
        weights: Of the regressors, adding up to 1; none: all count the same.
    """

    encoder: Encoder
    regressors: tuple[Regressor, ...]
    weights: tuple[float, ...] = ()

    @property
    def weighted(self) -> list[tuple[Regressor, float]]:
        """The regressors with their weights."""
        equal = (1.0 / len(self.regressors),) * len(self.regressors)
        return list(zip(self.regressors, self.weights or equal, strict=True))

    def predict(self, rows: pl.DataFrame) -> Vector:
        """The mean of the regressors × `scale`."""
        return predict_all([self], rows)[:, 0]

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The mean of the regressors' contributions × `scale`; the columns of a text are added up."""
        matrix, scale = self.encoder.encode(rows), rows["scale"].to_numpy()
        total = np.zeros((len(matrix), matrix.shape[1] + 1))
        for regressor, weight in self.weighted:
            total += regressor.contributions(matrix) * weight
        shares = total * scale[:, None]
        columns = {name: np.zeros(len(matrix)) for name in self.encoder.columns.all}
        for name, share in zip(self.encoder.sources, shares.T, strict=False):
            columns[name] = columns[name] + share
        return pl.DataFrame({**columns, BASE: shares[:, -1]})

    def importance(self) -> dict[str, float]:
        """Mean over the regressors of each input's share."""
        total = np.zeros(len(self.encoder.inputs))
        for regressor, weight in self.weighted:
            gains = regressor.importance()
            total += gains / (gains.sum() or 1.0) * weight
        return dict(zip(self.encoder.inputs, total.tolist(), strict=True))


@dataclass(frozen=True)
class Blend:
    """A weighted mean of models.

    Attributes:
        members: The models.
        weights: Of each, adding up to 1.
    """

    members: tuple[Model, ...]
    weights: tuple[float, ...]

    def predict(self, rows: pl.DataFrame) -> Vector:
        """The weighted mean of the members."""
        total = np.zeros(len(rows))
        for member, weight in zip(self.members, self.weights, strict=True):
            total += member.predict(rows) * weight
        return total

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The weighted mean of the members' shares."""
        total: dict[str, pl.Series] = {}
        for member, weight in zip(self.members, self.weights, strict=True):
            for share in member.explain(rows):
                weighted = share * weight
                total[share.name] = total[share.name] + weighted if share.name in total else weighted
        base = total.pop(BASE)
        return pl.DataFrame([*[share.alias(name) for name, share in total.items()], base.alias(BASE)])

    def importance(self) -> dict[str, float]:
        """The mean over the members that know the share of their inputs."""
        known = [
            (found, weight)
            for member, weight in zip(self.members, self.weights, strict=True)
            if (found := member.importance())
        ]
        whole = sum(weight for _, weight in known) or 1.0
        total: dict[str, float] = {}
        for found, weight in known:
            for name, share in found.items():
                total[name] = total.get(name, 0.0) + share * weight / whole
        return total


def encoders(model: Model) -> list[Encoder]:
    """The encoders of a model and of its members."""
    if isinstance(model, Blend):
        return [encoder for member in model.members for encoder in encoders(member)]
    return [model.encoder] if isinstance(model, Learned) else []


def predict_all(models: Sequence[Learned], rows: pl.DataFrame) -> np.ndarray:
    """Predictions of several models with one encoder, a column for each; a regressor that they share works once."""
    matrix = models[0].encoder.encode(rows)
    return relative_predictions(models, matrix) * rows["scale"].to_numpy()[:, None]


def relative_predictions(models: Sequence[Learned], matrix: Matrix) -> np.ndarray:
    """The same for an encoded matrix, as multiples of the scale."""
    found = {id(regressor): regressor for model in models for regressor in model.regressors}
    values = {key: regressor.predict(matrix) for key, regressor in found.items()}
    columns = []
    for model in models:
        total = np.zeros(len(matrix))
        for regressor, weight in model.weighted:
            total += values[id(regressor)] * weight
        columns.append(total)
    return np.stack(columns, axis=1)


def model_to_files(model: Model) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A model as plain values, and the files that they name."""
    if isinstance(model, Baseline):
        return {"kind": "baseline", "column": model.column}, {}
    if isinstance(model, Calendar):
        return {"kind": "calendar"}, {}
    if isinstance(model, Blend):
        return _blend_to_files(model)
    if not isinstance(model, Learned):
        raise TypeError(f"{type(model).__name__} is not a kind of model that can be saved")
    files: dict[str, bytes] = {}
    regressors: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    for regressor in model.regressors:
        if isinstance(regressor, Linear):
            regressors.append(regressor.to_json())
        elif isinstance(regressor, Trees):
            name = names.setdefault(id(regressor), f"booster_{len(names)}.ubj")
            files[name] = regressor.content
            regressors.append({"kind": "trees", "file": name})
        else:
            raise TypeError(f"{type(regressor).__name__} is not a kind of regressor that can be saved")
    about = {"kind": "learned", "encoder": model.encoder.to_json(), "regressors": regressors}
    return about | ({"weights": list(model.weights)} if model.weights else {}), files


def _blend_to_files(model: Blend) -> tuple[dict[str, Any], dict[str, bytes]]:
    members: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for number, member in enumerate(model.members):
        values, own = model_to_files(member)
        members.append(values | {"files": {name: f"member_{number}_{name}" for name in own}})
        files |= {f"member_{number}_{name}": content for name, content in own.items()}
    return {"kind": "blend", "members": members, "weights": list(model.weights)}, files


def _blend_from_files(values: dict[str, Any], files: dict[str, bytes]) -> Blend:
    members = tuple(
        model_from_files(member, {name: files[place] for name, place in member["files"].items()})
        for member in values["members"]
    )
    return Blend(members, tuple(values["weights"]))


def model_from_files(values: dict[str, Any], files: dict[str, bytes]) -> Model:
    """Reads what `model_to_files` made.

    Raises:
        ValueError: A kind is not known.
        KeyError: A file or a key is missing.
    """
    if values["kind"] == "baseline":
        return Baseline(values["column"])
    if values["kind"] == "calendar":
        return Calendar()
    if values["kind"] == "blend":
        return _blend_from_files(values, files)
    if values["kind"] != "learned":
        raise ValueError(f"a model of kind {values['kind']!r} is not known")
    trees = {name: Trees(content) for name, content in files.items()}
    regressors: list[Regressor] = []
    for entry in values["regressors"]:
        if entry["kind"] == "linear":
            regressors.append(Linear.from_json(entry))
        elif entry["kind"] == "trees":
            regressors.append(trees[entry["file"]])
        else:
            raise ValueError(f"a regressor of kind {entry['kind']!r} is not known")
    return Learned(Encoder.from_json(values["encoder"]), tuple(regressors), tuple(values.get("weights", ())))
