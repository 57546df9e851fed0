"""Change of the distribution of numeric and categorical features, on a sample of rows by week."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from salesml_assets.drift.measures import Measure
from salesml_assets.drift.mix import largest, stability
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, Floats, ratio

QUANTILES = np.linspace(0.005, 0.995, 100)
BINS = 20
MAX_LEVELS = 30
# A value that makes up this share of a sample gets a bin of its own.
ATOM = 0.02


def feature_measures(
    sample: pd.DataFrame, weeks: pd.DatetimeIndex, at: Comparison, parameters: DriftParameters
) -> Iterator[Measure]:
    """Wasserstein distance and population stability of numbers, population stability of text.

    Args:
        sample: `week` and features.
        weeks: The weeks of the comparison.
        at: The comparison.
        parameters: Least effects.
    """
    numbers = weeks.get_indexer(pd.Index(sample["week"]))
    inside = numbers >= 0
    numbers = numbers[inside]
    for name in sample.columns.drop("week"):
        values = sample.loc[inside, name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numeric = values.to_numpy(float, na_value=np.nan)
            distance = wasserstein(weekly_quantiles(numeric, numbers, len(weeks)), at)
            least = parameters.min_wasserstein
            yield Measure("input", "wasserstein", name, distance, least, "distance in units of its spread")
            groups = bins(numeric, numeric[numbers <= at.trained])
        else:
            groups = pd.factorize(values.astype("str").fillna("missing"))[0]
        counts = np.zeros((int(groups.max(initial=0)) + 1, len(weeks)))
        np.add.at(counts, (groups, numbers), 1.0)
        # Every week weighs the same, however many of its rows were drawn.
        psi = stability(largest(ratio(counts, counts.sum(0)), MAX_LEVELS, at), at)
        yield Measure("input", "psi", name, psi, parameters.min_psi, "population stability index")


def weekly_quantiles(values: Floats, numbers: np.ndarray, weeks: int) -> Floats:
    """Quantiles of each week's values, quantiles x weeks; NaN for a week without values."""
    result = np.full((len(QUANTILES), weeks), np.nan)
    known = np.isfinite(values)
    for number, group in pd.Series(values[known]).groupby(numbers[known]):
        result[:, int(str(number))] = np.quantile(group.to_numpy(), QUANTILES)
    return result


def wasserstein(quantiles: Floats, at: Comparison) -> Floats:
    """Wasserstein-1 distance of recent and expected distribution in units of the spread of the baseline, by week.

    A distribution of several weeks is that with the mean of their quantiles (the barycentre), so that each week is
    one block. In one dimension the distance is the mean absolute difference of the quantiles. The spread is their
    mean absolute difference from the median; the expected season is taken off the difference first.
    """
    recent, earlier = at.recent(quantiles) / at.window, at.earlier(quantiles) / at.baseline
    spread = np.abs(earlier - np.median(earlier, axis=0)).mean(0)
    scaled = ratio(recent - earlier, spread)
    return np.abs(scaled - at.seasonal_part(scaled)).mean(0)


def bins(values: Floats, trained: Floats) -> np.ndarray:
    """Number of each value's bin: quantiles of what was trained on, frequent values alone, missing ones last."""
    known = trained[np.isfinite(trained)]
    distinct, counts = np.unique(known, return_counts=True)
    atoms = distinct[counts >= ATOM * max(len(known), 1)]
    rest = known[~np.isin(known, atoms)]
    cuts = np.quantile(rest, np.linspace(0, 1, BINS + 1)[1:-1]) if len(rest) else np.empty(0)
    edges = np.unique(np.concatenate([cuts, atoms, np.nextafter(atoms, np.inf)]))
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)
