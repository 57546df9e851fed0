"""Change of predictions, and of the error of past forecasts against that of backtests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from salesml_assets.drift.channels import MOST
from salesml_assets.drift.inputs import filled
from salesml_assets.drift.measures import Measure
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import Comparison, Floats, logarithm, ratio, weighted_mean, weighted_median


def forecast_measures(
    predictions: pd.DataFrame, weeks: pd.DatetimeIndex, at: Comparison, parameters: DriftParameters
) -> Iterator[Measure]:
    """Tests of kind `prediction` and `error`.

    Args:
        predictions: `unique_id`, `week`, `yhat`, `y`, `error`.
        weeks: The weeks of the comparison.
        at: The comparison.
        parameters: Least effects.
    """
    numbers = weeks.get_indexer(pd.Index(predictions["week"]))
    inside = predictions[numbers >= 0]
    codes, names = pd.factorize(inside["unique_id"])
    place, shape = (codes, numbers[numbers >= 0]), (len(names), len(weeks))
    known = filled(pd.Series(1.0, inside.index), place, shape) > 0
    yhat, y, error = (np.where(known, filled(inside[name], place, shape), np.nan) for name in ("yhat", "y", "error"))
    yield _kolmogorov_smirnov(yhat, at, parameters)
    yield from _errors(yhat, y, error, at, parameters)


def _kolmogorov_smirnov(yhat: Floats, at: Comparison, parameters: DriftParameters) -> Measure:
    """The `ks_2samp` of scipy on recent against baseline predictions, by week.

    Its p-value takes predictions for independent. It has to be low, but that is not enough: the distance has to be
    unusual among those of the past, too.
    """
    distances = np.full(at.weeks, np.nan)
    plain = 1.0
    for week in range(at.weeks):
        end = week - at.window - at.gap + 1
        recent, earlier = yhat[:, week - at.window + 1 : week + 1], yhat[:, max(end - at.baseline, 0) : max(end, 0)]
        samples = [values[np.isfinite(values)] for values in (recent, earlier)]
        if end < at.baseline or not all(len(sample) for sample in samples):
            continue
        if at.usual[week] or week == at.weeks - 1:
            found = stats.ks_2samp(*samples, method="asymp")
            distances[week], plain = float(found.statistic), float(found.pvalue)
    return Measure(
        "prediction", "ks_2samp", "predictions", distances, parameters.min_ks, "Kolmogorov-Smirnov distance",
        plain_p=plain, note=f"The plain test says p = {plain:.2g}.",
    )  # fmt: skip


def _errors(yhat: Floats, y: Floats, error: Floats, at: Comparison, parameters: DriftParameters) -> Iterator[Measure]:
    """Bias, size and spread of the errors of the recent weeks; the past of each is that of the backtests."""
    known = np.isfinite(yhat).any(0)

    def window(values: Floats) -> Floats:
        return at.recent(np.where(known, np.nan_to_num(values), np.nan))

    sold, foretold, missed = (window(values) for values in (y, yhat, error))
    bias = logarithm(ratio(sold.sum(0), foretold.sum(0)))
    yield Measure(
        "error", "bias", "forecasts", bias - at.seasonal_part(bias), parameters.min_level,
        "actual total against forecast", signed=True,
    )  # fmt: skip
    wape = ratio(missed.sum(0), window(np.abs(y)).sum(0))
    yield Measure(
        "error", "wape", "forecasts", wape, parameters.min_error, "WAPE of the recent forecasts",
    )  # fmt: skip
    size = np.maximum(foretold, 0.0)
    # Sales of nothing have no logarithm: they count as a tenth of the forecast.
    own = np.clip(logarithm(ratio(np.maximum(sold, 0.0), size) + 0.1), -MOST, MOST)
    own = own - weighted_median(own, size)
    spread = weighted_mean(np.abs(own), size)
    yield Measure("error", "spread", "forecasts", spread, parameters.min_spread, "mean absolute bias of a series")
