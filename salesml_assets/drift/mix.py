"""Change of shares: products, categories."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from salesml_assets.drift.inputs import SeriesWeeks
from salesml_assets.drift.measures import Measure
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, Floats, logarithm, ratio

# Shares below this count as this, so that one that was or gets zero has a logarithm.
MIN_SHARE = 1e-3
# More groups than these are put together as one: what is left after the largest ones.
MAX_GROUPS = 200
MAX_CATEGORIES = 20


def mix_measures(series: SeriesWeeks, at: Comparison, parameters: DriftParameters) -> Iterator[Measure]:
    """Population stability of products and categories, and the share of each category."""
    subjects = {"products": series.y}
    if series.categories is not None:
        names = sorted(series.categories.unique())
        by_category = np.stack([series.y[series.categories.to_numpy() == name].sum(0) for name in names])
        subjects["categories"] = by_category
    for subject, sums in subjects.items():
        psi = stability(largest(sums, MAX_GROUPS, at), at)
        yield Measure("mix", "psi", subject, psi, parameters.min_psi, "population stability index")
    if series.categories is not None and len(names) > 1:
        for number in np.argsort(-by_category.sum(1))[:MAX_CATEGORIES]:
            yield _share(names[number], by_category[number], series.y.sum(0), at, parameters)


def _share(name: str, part: Floats, whole: Floats, at: Comparison, parameters: DriftParameters) -> Measure:
    """A category's odds against the rest: the rest's volume is its measure, so that shocks to both cancel."""
    rest = whole - part
    change = logarithm(ratio(at.recent(part), at.recent(rest))) - logarithm(ratio(at.earlier(part), at.earlier(rest)))
    change = change - at.seasonal_part(change)
    return Measure("mix", "share", name, change, parameters.min_level, "change of its odds", signed=True)


def largest(sums: Floats, count: int, at: Comparison) -> Floats:
    """The largest rows of what the model was trained on, and the sum of the others as the last row."""
    order = np.argsort(-sums[:, : at.trained + 1].sum(1), kind="stable")
    return np.concatenate([sums[order[:count]], sums[order[count:]].sum(0, keepdims=True)])


def stability(sums: Floats, at: Comparison) -> Floats:
    """Population stability index of recent against expected shares, by week.

    PSI = Σ (p - q) ln(p / q): the symmetric divergence of Kullback and Leibler. Expected are the shares of the
    baseline, changed as the same weeks of former years changed them.

    Args:
        sums: Sums by group and week.
        at: The comparison.
    """
    recent, earlier = _shares(at.recent(sums)), _shares(at.earlier(sums))
    expected = earlier * np.exp(at.seasonal_part(np.log(recent / earlier), earlier))
    expected = ratio(expected, expected.sum(0))
    return ((recent - expected) * np.log(recent / expected)).sum(0)


def _shares(sums: Floats) -> Floats:
    shares = np.maximum(ratio(sums, sums.sum(0)), MIN_SHARE)
    return ratio(shares, shares.sum(0))
