"""From rows of the panel to one matrix of numbers: what a learned model sees, without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from salesml_assets.config.settings import KEYS

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Vector = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class PanelColumns:
    """Columns of the panel that models learn from.

    Attributes:
        features: Numeric features.
        texts: Text covariates known in advance, one-hot encoded.
        keys: Series keys and category, indexed by frequency.
    """

    features: tuple[str, ...]
    texts: tuple[str, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> PanelColumns:
        """Finds them among a panel's column names.

        >>> PanelColumns.of(["unique_id", "product", "f_last", "c_promo", "y"])
        PanelColumns(features=('f_last',), texts=('c_promo',), keys=('product',))
        """
        return cls(
            tuple(name for name in names if name.startswith("f_")),
            tuple(name for name in names if name.startswith("c_")),
            tuple(name for name in KEYS if name in names),
        )

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, in the order of the matrix."""
        return (*self.features, *self.keys, *self.texts)


@dataclass(frozen=True)
class Encoder:
    """Turns rows into a matrix: numeric features, an index for each key, one column for each label of a text.

    Values are rounded to float32 before anything learns from them, so that a model decides alike wherever it runs.
    What is missing counts as the mean of the training rows, what is infinite as the smallest or largest of them, a
    label that was not there as one code of its own (keys) or as none of the labels (texts).

    Attributes:
        columns: The panel's columns.
        labels: Labels of each key and text, the most frequent first, ties by name.
        means: Mean of each input over the training rows.
        deviations: Standard deviation of each input (with n - 1); 1 where it does not vary.
        lows: Smallest value of each input.
        highs: Largest value of each input.
    """

    columns: PanelColumns
    labels: dict[str, tuple[str, ...]]
    means: Vector
    deviations: Vector
    lows: Vector
    highs: Vector

    @classmethod
    def fit(cls, rows: pl.DataFrame, columns: PanelColumns) -> Encoder:
        """Learns labels and moments from training rows.

        Raises:
            ValueError: There are no rows.
        """
        if rows.is_empty():
            raise ValueError("there are no rows to fit an encoder on")
        labels = {name: _labels(rows[name]) for name in (*columns.keys, *columns.texts)}
        raw = _raw(rows, columns, labels, _places(labels)).astype(np.float64)
        raw[~np.isfinite(raw)] = np.nan
        known = ~np.isnan(raw)
        count = known.sum(axis=0)
        means = np.where(known, raw, 0.0).sum(axis=0) / np.maximum(count, 1)
        squares = np.where(known, (raw - means) ** 2, 0.0).sum(axis=0)
        deviations = np.sqrt(squares / np.maximum(count - 1, 1))
        lows = np.where(known, raw, np.inf).min(axis=0)
        highs = np.where(known, raw, -np.inf).max(axis=0)
        empty = count == 0
        return cls(
            columns,
            labels,
            means,
            np.where(deviations > 0, deviations, 1.0),
            np.where(empty, 0.0, lows),
            np.where(empty, 0.0, highs),
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the matrix' columns."""
        hot = [f"{name}_hot_{label}" for name in self.columns.texts for label in self.labels[name]]
        return (*self.columns.features, *[f"{name}_index" for name in self.columns.keys], *hot)

    @cached_property
    def places(self) -> dict[str, dict[str, int]]:
        """The index of each label."""
        return _places(self.labels)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The panel's column behind each column of the matrix."""
        hot = [name for name in self.columns.texts for _ in self.labels[name]]
        return (*self.columns.features, *self.columns.keys, *hot)

    def encode(self, rows: pl.DataFrame) -> Matrix:
        """The matrix of some rows, all of it finite; each row's values depend on that row alone."""
        matrix = _raw(rows, self.columns, self.labels, self.places)
        if not np.isfinite(matrix).all():
            for strange, values in (
                (np.isnan(matrix), self.means),
                (matrix == np.inf, self.highs),
                (matrix == -np.inf, self.lows),
            ):
                at = np.nonzero(strange)
                matrix[at] = values.astype(np.float32)[at[1]]
        return matrix

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "features": list(self.columns.features),
            "keys": list(self.columns.keys),
            "texts": list(self.columns.texts),
            "labels": {name: list(labels) for name, labels in self.labels.items()},
            **{name: getattr(self, name).tolist() for name in ("means", "deviations", "lows", "highs")},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Encoder:
        """Reads what `to_json` made."""
        return cls(
            PanelColumns(*(tuple(values[name]) for name in ("features", "texts", "keys"))),
            {name: tuple(labels) for name, labels in values["labels"].items()},
            *(np.array(values[name], np.float64) for name in ("means", "deviations", "lows", "highs")),
        )


def _labels(column: pl.Series) -> tuple[str, ...]:
    counts = column.drop_nulls().cast(pl.String).to_frame("label").group_by("label").len()
    return tuple(counts.sort(["len", "label"], descending=[True, False])["label"])


def _places(labels: dict[str, tuple[str, ...]]) -> dict[str, dict[str, int]]:
    return {name: {label: place for place, label in enumerate(known)} for name, known in labels.items()}


def _raw(
    rows: pl.DataFrame,
    columns: PanelColumns,
    labels: dict[str, tuple[str, ...]],
    places: dict[str, dict[str, int]],
) -> Matrix:
    """The matrix with missing and infinite values as they are."""
    expressions = [pl.col(name).cast(pl.Float32) for name in columns.features]
    for name in columns.keys:
        known = labels[name]
        # Only labels that the rows have: one series of many is looked up in microseconds.
        present = rows[name].cast(pl.String).unique().drop_nulls()
        found = [float(places[name].get(label, len(known))) for label in present]
        index = pl.col(name).cast(pl.String).replace_strict(
            present, pl.Series(found, dtype=pl.Float32), default=float(len(known)), return_dtype=pl.Float32
        )  # fmt: skip
        expressions.append(index.fill_null(float(len(known))).alias(f"{name}_index"))
    for name in columns.texts:
        expressions += [
            (pl.col(name).cast(pl.String) == label).fill_null(False).cast(pl.Float32).alias(f"{name}_hot_{label}")
            for label in labels[name]
        ]
    matrix: Matrix = rows.select(expressions).fill_null(float("nan")).to_numpy(order="c", writable=True)
    return matrix
