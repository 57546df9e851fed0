"""What is fitted on a matrix: trees and linear models, as data, with predictions and contributions.

Predictions are relative: the target divided by the series' typical level (`scale`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import xgboost

    from salesml_assets.forecasting.model.encoder import Matrix, Vector

_LOG_LINK = {"reg:tweedie", "reg:gamma", "count:poisson"}


class Regressor(Protocol):
    """A fitted model over a matrix."""

    def predict(self, matrix: Matrix) -> Vector:
        """One relative prediction for each row, which depends on that row alone."""

    def contributions(self, matrix: Matrix) -> np.ndarray:
        """Shares of each prediction: one column for each input and, last, the base value; rows add up to `predict`."""

    def importance(self) -> Vector:
        """Weight of each input in the model, not negative; all zero where there is none."""


@dataclass(frozen=True)
class Linear:
    """A linear model of scaled inputs.

    Attributes:
        coefficients: One for each input, in units of the target per standard deviation of the input.
        intercept: The prediction where all inputs are zero.
        means: Of the inputs; the base value is the prediction there.
        deviations: Of the inputs.
    """

    coefficients: Vector
    intercept: float
    means: Vector
    deviations: Vector

    def predict(self, matrix: Matrix) -> Vector:
        """Intercept and products, added from left to right: a matrix product's digits depend on its other rows."""
        total = np.full(len(matrix), self.intercept)
        for column, slope, deviation in zip(matrix.T, self.coefficients, self.deviations, strict=True):
            total += column / deviation * slope
        return total

    def contributions(self, matrix: Matrix) -> np.ndarray:
        """Coefficient × (value - mean) of each input; exact."""
        slopes = self.coefficients / self.deviations
        shares = (matrix - self.means) * slopes
        base = np.full((len(matrix), 1), self.intercept + float((self.means * slopes).sum()))
        return np.hstack([shares, base])

    def importance(self) -> Vector:
        """Absolute coefficients of the scaled inputs."""
        return np.abs(self.coefficients)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "kind": "linear",
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
            "means": self.means.tolist(),
            "deviations": self.deviations.tolist(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Linear:
        """Reads what `to_json` made."""
        coefficients, means, deviations = (np.array(values[n]) for n in ("coefficients", "means", "deviations"))
        return cls(coefficients, float(values["intercept"]), means, deviations)


@dataclass(frozen=True)
class Trees:
    """An ensemble of trees as a booster in XGBoost's own format.

    Attributes:
        content: The booster, as `Booster.save_raw("ubj")` gives it.
    """

    content: bytes

    @cached_property
    def booster(self) -> xgboost.Booster:
        """The booster, loaded."""
        import xgboost

        return xgboost.Booster(model_file=bytearray(self.content))

    @cached_property
    def has_log_link(self) -> bool:
        """Whether the trees add up to the logarithm of the prediction (Tweedie)."""
        objective = json.loads(self.booster.save_config())["learner"]["objective"]["name"]
        return objective in _LOG_LINK

    def predict(self, matrix: Matrix) -> Vector:
        """The sum of the trees, through the link."""
        return self.booster.inplace_predict(matrix, validate_features=False).astype(np.float64)

    def contributions(self, matrix: Matrix) -> np.ndarray:
        """Exact SHAP values of the trees (Lundberg et al. 2020).

        With a logarithmic link they add up to the logarithm. They are then shares of the change from exp(base) to the
        prediction, in proportion: the logarithmic mean of both times each value (LMDI; Ang 2005), which adds up.
        """
        import xgboost

        shares = self.booster.predict(xgboost.DMatrix(matrix), pred_contribs=True).astype(np.float64)
        if not self.has_log_link:
            return shares
        base = shares[:, -1]
        total = shares.sum(axis=1)
        change = np.exp(total) - np.exp(base)
        moved = np.abs(total - base) > 1e-12
        mean = np.where(moved, change / np.where(moved, total - base, 1.0), np.exp(base))
        return np.hstack([shares[:, :-1] * mean[:, None], np.exp(base)[:, None]])

    def importance(self) -> Vector:
        """Total gain of each input's splits."""
        gains = self.booster.get_score(importance_type="total_gain")
        names = [f"f{number}" for number in range(self.booster.num_features())]
        return np.array([gains.get(name, 0.0) for name in names], np.float64)
