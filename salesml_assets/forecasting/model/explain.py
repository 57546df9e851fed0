"""Forecasts taken apart: what each feature adds, in units of the target, and what the rules after the model change.

The service, the asset `explanations`, the report and the notebook show the numbers that are made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from salesml_assets.forecasting.feature_words import group_of, label_of
from salesml_assets.forecasting.model.models import BASE
from salesml_assets.forecasting.model.predict import explain, forecast

if TYPE_CHECKING:
    from salesml_assets.forecasting.features import FeatureSpec
    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.forecasting.model.encoder import Vector
    from salesml_assets.forecasting.model.models import Model

_ABOUT = ("unique_id", "origin", "horizon", "ds", BASE)


@dataclass(frozen=True)
class Shares:
    """Predictions of a model with their shares: `base` and the amounts of a row add up to its prediction.

    Attributes:
        features: Columns of the amounts.
        labels: Meaning of each.
        groups: Groups in words, and the places of their features; together all features.
        predictions: Before anything is clipped.
        base: What the model predicts of an average row of its training, at the row's size.
        amounts: A row for each prediction, a column for each feature, in units of the target.
    """

    features: tuple[str, ...]
    labels: tuple[str, ...]
    groups: dict[str, list[int]]
    predictions: Vector
    base: Vector
    amounts: np.ndarray

    @cached_property
    def by_group(self) -> dict[str, Vector]:
        """The amounts added up by group."""
        return {group: self.amounts[:, places].sum(axis=1) for group, places in self.groups.items()}

    def columns_of(self, group: str) -> list[str]:
        """The features of a group."""
        return [self.features[place] for place in self.groups[group]]


@dataclass(frozen=True)
class Explained:
    """Forecasts with their shares: base, amounts and rules of a row add up to its forecast.

    Attributes:
        forecasts: Of `predict.forecast`, in the order of the rows.
        shares: Shares of the model's predictions.
        rules: What is changed after the model: closed days, too short series, nothing below zero. 0 where nothing is.
        is_model: Whether the forecast is the model's.
    """

    forecasts: pl.DataFrame
    shares: Shares
    rules: Vector
    is_model: np.ndarray


def shares_of(model: Model, spec: FeatureSpec, rows: pl.DataFrame) -> Shares:
    """Takes the predictions of a model apart.

    Args:
        model: A fitted model.
        spec: The definition of its features, for their words.
        rows: Rows of the panel; each row's result depends on that row alone.
    """
    found = explain(model, rows)
    features = tuple(name for name in found.columns if name not in _ABOUT)
    amounts = found.select(pl.col(features).cast(pl.Float64)).to_numpy()
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(features):
        groups.setdefault(group_of(name, spec), []).append(place)
    raw = model.predict(rows)
    # SHAP values are float32: what rounding leaves is in the base.
    base = raw - amounts.sum(axis=1)
    return Shares(features, tuple(label_of(name, spec) for name in features), groups, raw, base, amounts)


def explained(bundle: Bundle, rows: pl.DataFrame) -> Explained:
    """Forecasts rows of the panel and explains them.

    Args:
        bundle: A production model.
        rows: Rows of the panel; each row's result depends on that row alone.
    """
    made, shares = forecast(bundle, rows), shares_of(bundle.model, bundle.features, rows)
    yhat, raw = made["yhat"].to_numpy(), shares.predictions
    is_model = np.abs(raw - yhat) <= 1e-9 * np.maximum(1.0, np.abs(raw))
    return Explained(made, shares, np.where(is_model, 0.0, yhat - raw), is_model)
