"""A statistic of change, computed for every week, and its p-value from its own past.

A p-value from a formula for independent samples would call everything significant: days hang together, shocks hit
all series at once, samples are large. So each statistic is compared with what the same statistic was in the past,
where all of that was at work, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from salesml_assets.drift.windows import Comparison, Floats

# A spread below this share of the least effect is as good as none: a history without any variation is bounded by it.
TRIVIAL = 0.1
# Weeks that depend on each other are worth no fewer independent ones than these.
MIN_WORTH = 3.0


@dataclass(frozen=True)
class Measure:
    """A statistic by week.

    Attributes:
        kind: Kind of drift.
        test: Name of the test.
        subject: What was tested: a channel, a feature, a category.
        values: The statistic of every week's comparison; NaN where there is none. Distances and shares are zero or
            above and alarm when they rise; changes of a level have a sign and alarm both ways.
        min_effect: Least difference from the usual value that matters.
        meaning: What the value says, for the sentence: "mean absolute change of a series".
        signed: Whether it is a change of a level.
        plain_p: A p-value from a formula, where one belongs to the test; the larger of the two counts.
        note: A sentence to add to the detail.
    """

    kind: str
    test: str
    subject: str
    values: Floats
    min_effect: float
    meaning: str
    signed: bool = False
    plain_p: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """A measure's last week, judged by its past.

    `statistic` is the value, `effect` its difference from the median of the past, `p_value` how likely so unusual
    a value is; `weeks` counts the past weeks. Without enough of them or without a value, `p_value` is 1.
    """

    measure: Measure
    statistic: float
    usual: float
    effect: float
    p_value: float
    weeks: int


def read(measure: Measure, comparison: Comparison) -> Reading:
    """Judges the last week of a measure by its past.

    The p-value is that of Student's t for one more observation, (x - mean) / (sd sqrt(1 + 1/m)); distances and shares
    are skewed, and tested by their square roots. Weeks depend on each other: the mean of n of them is worth that of
    m = n (1 - r) / (1 + r) independent ones with their first autocorrelation r, and no more than n / window because
    windows overlap; their variance has n (1 - r²) / (1 + r²) - 1 degrees of freedom (Bayley & Hammersley 1946).
    """
    score = measure.values if measure.signed else np.sqrt(measure.values)
    floor = TRIVIAL * (measure.min_effect if measure.signed else np.sqrt(measure.min_effect))
    past = comparison.usual & np.isfinite(score)
    n, now = int(past.sum()), float(measure.values[-1])
    usual = float(np.median(measure.values[past])) if n else float("nan")
    if n < comparison.min_history or not np.isfinite(now):
        return Reading(measure, now, usual, 0.0, 1.0, n)
    history = score[past]
    r = autocorrelation(history)
    m = max(MIN_WORTH, min(n * (1 - r) / (1 + r), n / comparison.window))
    freedom = max(MIN_WORTH, n * (1 - r * r) / (1 + r * r) - 1)
    error = max(float(history.std(ddof=1)), floor) * np.sqrt(1 + 1 / m)
    t = (float(score[-1]) - float(history.mean())) / error
    p_value = 2 * stats.t.sf(abs(t), freedom) if measure.signed else stats.t.sf(t, freedom)
    return Reading(measure, now, usual, now - usual, max(float(p_value), measure.plain_p), n)


def autocorrelation(history: Floats) -> float:
    """First autocorrelation of a series, zero if it is below zero or nothing varies.

    >>> autocorrelation(np.array([1.0, 2.0, 3.0, 4.0]))
    0.25
    """
    centred = history - history.mean()
    power = float(centred @ centred)
    return max(0.0, float(centred[1:] @ centred[:-1]) / power) if power > 0 else 0.0
