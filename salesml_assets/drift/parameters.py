"""What counts as drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KINDS = ("input", "target", "prediction", "mix", "series", "error")


@dataclass(frozen=True)
class DriftParameters:
    """Levels, windows and least effects.

    Attributes:
        alpha: Level of the decision over all tests: the false discovery rate that is allowed.
        control: `bh` (Benjamini & Hochberg 1995) or `by` (Benjamini & Yekutieli 2001, any dependence).
        window: Weeks that count as recent.
        baseline: Weeks, up to the training of the model, with which they are compared.
        least_history: Past weeks that a test needs to know what is usual; with fewer it says so and passes.
        year: Weeks after which the season repeats.
        least_level: Least change of a total, as a logarithm (0.25 is 28 % up or 22 % down).
        least_spread: Least rise of the series' mean absolute change, as a logarithm.
        least_moved: Least rise of the share of the volume that moved.
        moved: Change of a series (logarithm) from which it has moved.
        least_psi: Least rise of the population stability index.
        least_wasserstein: Least rise of the Wasserstein distance, in units of the feature's own spread.
        least_ks: Least rise of the Kolmogorov-Smirnov distance.
        least_share: Least rise of the shares that are silent, new, or (of trading days) missing.
        least_error: Least rise of the WAPE of the forecasts (0.05 is five points).
    """

    alpha: float = 0.01
    control: Literal["bh", "by"] = "bh"
    window: int = 2
    baseline: int = 8
    least_history: int = 10
    year: int = 52
    least_level: float = 0.25
    least_spread: float = 0.03
    least_moved: float = 0.1
    moved: float = 0.15
    least_psi: float = 0.02
    least_wasserstein: float = 0.1
    least_ks: float = 0.05
    least_share: float = 0.05
    least_error: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or min(self.window, self.baseline) < 1 or self.least_history < 4:
            raise ValueError("alpha lies between 0 and 1, windows are 1 week or more, least_history is 4 or more")
