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
    """

    encoder: Encoder
    regressors: tuple[Regressor, ...]

    def predict(self, rows: pl.DataFrame) -> Vector:
        """The mean of the regressors × `scale`."""
        return predict_all([self], rows)[:, 0]

    def explain(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The mean of the regressors' contributions × `scale`; the columns of a text are added up."""
        matrix, scale = self.encoder.encode(rows), rows["scale"].to_numpy()
        total = np.zeros((len(matrix), matrix.shape[1] + 1))
        for regressor in self.regressors:
            total += regressor.contributions(matrix)
        shares = total / len(self.regressors) * scale[:, None]
        columns = {name: np.zeros(len(matrix)) for name in self.encoder.columns.all}
        for name, share in zip(self.encoder.sources, shares.T, strict=False):
            columns[name] = columns[name] + share
        return pl.DataFrame({**columns, BASE: shares[:, -1]})

    def importance(self) -> dict[str, float]:
        """Mean over the regressors of each input's share."""
        total = np.zeros(len(self.encoder.inputs))
        for regressor in self.regressors:
            weights = regressor.importance()
            total += weights / (weights.sum() or 1.0)
        return dict(zip(self.encoder.inputs, (total / len(self.regressors)).tolist(), strict=True))


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
        for regressor in model.regressors:
            total += values[id(regressor)]
        columns.append(total / len(model.regressors))
    return np.stack(columns, axis=1)


def model_to_files(model: Model) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A model as plain values, and the files that they name."""
    if isinstance(model, Baseline):
        return {"kind": "baseline", "column": model.column}, {}
    if isinstance(model, Calendar):
        return {"kind": "calendar"}, {}
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
    return {"kind": "learned", "encoder": model.encoder.to_json(), "regressors": regressors}, files


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
    return Learned(Encoder.from_json(values["encoder"]), tuple(regressors))
