"""What counts as drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KINDS = ("input", "target", "prediction", "mix", "series", "error")


@dataclass(frozen=True)
class DriftParameters:
    """Levels, windows and minimum effects.

    Attributes:
        alpha: Level of the decision over all tests: the false discovery rate that is allowed.
        control: `bh` (Benjamini & Hochberg 1995) or `by` (Benjamini & Yekutieli 2001, any dependence).
        window: Weeks that count as recent.
        baseline: Weeks, up to the training of the model, with which they are compared.
        min_history: Past weeks that a test needs to know what is usual; with fewer it says so and passes.
        year: Weeks after which the season repeats.
        min_level: Smallest change of a total, as a logarithm (0.25 is 28 % up or 22 % down).
        min_spread: Smallest rise of the series' mean absolute change, as a logarithm.
        min_moved: Smallest rise of the share of the volume that moved.
        moved: Change of a series (logarithm) from which it has moved.
        min_psi: Smallest rise of the population stability index.
        min_wasserstein: Smallest rise of the Wasserstein distance, in units of the feature's own spread.
        min_ks: Smallest rise of the Kolmogorov-Smirnov distance.
        min_share: Smallest rise of the shares that are silent, new, or (of trading days) missing.
        min_error: Smallest rise of the WAPE of the forecasts (0.05 is five points).
    """

    alpha: float = 0.01
    control: Literal["bh", "by"] = "bh"
    window: int = 2
    baseline: int = 8
    min_history: int = 10
    year: int = 52
    min_level: float = 0.25
    min_spread: float = 0.03
    min_moved: float = 0.1
    moved: float = 0.15
    min_psi: float = 0.02
    min_wasserstein: float = 0.1
    min_ks: float = 0.05
    min_share: float = 0.05
    min_error: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or min(self.window, self.baseline) < 1 or self.min_history < 4:
            raise ValueError("alpha lies between 0 and 1, windows are 1 week or more, min_history is 4 or more")
