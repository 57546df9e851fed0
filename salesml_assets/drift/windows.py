"""Recent weeks against the weeks that the model was trained on, for every week of the history at once.

All arrays have weeks on their last axis. The comparison of week t sets the `window` weeks that end in t against
`baseline` weeks that end `gap` weeks before them. Every past week is compared in the same way, with the same gap:
that is what shows how large a change is usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml_assets.drift.parameters import DriftParameters

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Comparison:
    """Which weeks are compared with which.

    Attributes:
        weeks: Number of weeks; the last one is judged.
        window: Recent weeks.
        baseline: Weeks to compare them with.
        gap: Weeks between the two.
        trained: Index of the last week that the model was trained on.
        year: Weeks after which the season repeats.
        min_history: Past weeks that a test needs.
    """

    weeks: int
    window: int
    baseline: int
    gap: int
    trained: int
    year: int
    min_history: int

    @property
    def usual(self) -> Mask:
        """Past weeks whose comparisons show what is usual: all of them before the recent window, and trained on."""
        return np.arange(self.weeks) <= min(self.trained, self.weeks - 1 - self.window)

    def recent(self, values: Floats) -> Floats:
        """Sums over the recent weeks of every week's comparison; NaN where the data do not reach back."""
        return rolling_sum(values, self.window)

    def earlier(self, values: Floats) -> Floats:
        """Sums over the baseline of every week's comparison; NaN where the data do not reach back."""
        return shifted(rolling_sum(values, self.baseline), self.window + self.gap)

    def seasonal_part(self, change: Floats, weight: Floats | None = None) -> Floats:
        """What the same weeks of former years say about a change: their mean, shrunk to what they foretold so far.

        The factor is the slope of changes on those of former years over the weeks trained on, between 0 and 1: last
        year's change of a series that is mostly noise foretells little. Zero without a year of history and enough
        weeks after it.

        Args:
            change: Changes by week, one or more rows.
            weight: Weights of the rows' weeks, of the same shape.
        """
        years = range(1, (self.weeks - 1) // self.year + 1)
        former = np.stack([shifted(change, self.year * number) for number in years]) if years else change[None] * np.nan
        known = np.isfinite(former)
        counts = known.sum(0)
        mean = np.where(counts > 0, np.where(known, former, 0.0).sum(0) / np.maximum(counts, 1), np.nan)
        both = np.isfinite(mean) & np.isfinite(change) & self.usual
        if np.count_nonzero(both.reshape(-1, self.weeks).any(0)) < self.min_history:
            return np.zeros_like(change)
        weights = np.where(both, 1.0 if weight is None else np.nan_to_num(weight), 0.0)
        x, y = np.where(both, mean, 0.0), np.where(both, change, 0.0)
        power = float((weights * x * x).sum())
        slope = min(1.0, max(0.0, float((weights * x * y).sum()) / power)) if power > 0 else 0.0
        return slope * np.nan_to_num(mean)


def comparison(weeks: int, trained: int, parameters: DriftParameters) -> Comparison:
    """The comparison for a history of so many weeks.

    The baseline ends with the training, or directly before the recent weeks if these reach into it. Where the
    history is too short to repeat that distance in the past, the baseline ends later.

    Args:
        weeks: Number of weeks, the judged one last.
        trained: Index of the last week that the model was trained on.
        parameters: Windows.

    Raises:
        ValueError: The model was trained on weeks that are not there.
    """
    if not 0 <= trained < weeks:
        raise ValueError(f"the model was trained until week {trained} of {weeks}: that week is not in the data")
    window, baseline = parameters.window, parameters.baseline
    room = trained + 1 - window - baseline - parameters.min_history
    gap = max(0, min(weeks - 1 - window - trained, room))
    return Comparison(weeks, window, baseline, gap, trained, parameters.year, parameters.min_history)


def rolling_sum(values: Floats, width: int) -> Floats:
    """Sums of `width` weeks up to each week; NaN for the first ones.

    >>> rolling_sum(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [nan, 3.0, 5.0]
    """
    result = np.full(values.shape, np.nan)
    if values.shape[-1] >= width:
        result[..., width - 1 :] = np.lib.stride_tricks.sliding_window_view(values, width, axis=-1).sum(-1)
    return result


def shifted(values: Floats, weeks: int) -> Floats:
    """The values of so many weeks earlier; NaN for the first ones.

    >>> shifted(np.array([1.0, 2.0, 3.0]), 1).tolist()
    [nan, 1.0, 2.0]
    """
    result = np.full(values.shape, np.nan)
    if weeks < values.shape[-1]:
        result[..., weeks:] = values[..., : values.shape[-1] - weeks]
    return result


def ratio(part: Floats, whole: Floats) -> Floats:
    """Quotient, NaN where whole is not above zero."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)


def logarithm(values: Floats) -> Floats:
    """Natural logarithm, NaN where the value is not above zero."""
    return np.log(values, out=np.full(values.shape, np.nan), where=values > 0)


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean over the rows, by week; rows without a value or weight are left out."""
    used = np.isfinite(values) & (weights > 0)
    return ratio(np.where(used, values * weights, 0.0).sum(0), np.where(used, weights, 0.0).sum(0))


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Median over the rows, by week; rows without a value or weight are left out, NaN if none is left.

    >>> weighted_median(np.array([[1.0], [2.0], [9.0]]), np.array([[1.0], [1.0], [3.0]])).tolist()
    [9.0]
    """
    used = np.isfinite(values) & (weights > 0)
    order = np.argsort(np.where(used, values, np.inf), axis=0)
    sums = np.cumsum(np.take_along_axis(np.where(used, weights, 0.0), order, 0), axis=0)
    position = np.argmax(sums >= sums[-1] / 2, axis=0)[None]
    middle = np.take_along_axis(np.take_along_axis(values, order, 0), position, 0)[0]
    return np.where(used.any(0), middle, np.nan)
