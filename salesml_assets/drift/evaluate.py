"""One evaluation: all tests, one decision, one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from salesml_assets.drift.channels import channel_measures
from salesml_assets.drift.features import feature_measures
from salesml_assets.drift.feeds import feed_measures
from salesml_assets.drift.forecasts import forecast_measures
from salesml_assets.drift.inputs import DriftInputs, series_weeks
from salesml_assets.drift.measures import Reading, read
from salesml_assets.drift.mix import mix_measures
from salesml_assets.drift.parameters import KINDS, DriftParameters
from salesml_assets.drift.windows import Comparison, comparison

COLUMNS = (
    "kind", "test", "subject", "statistic", "effect", "min_effect", "p_value", "p_adjusted", "drifted", "detail",
)  # fmt: skip


@dataclass(frozen=True)
class KindSummary:
    """One kind of drift in a sentence, and whether its tests passed."""

    kind: str
    passed: bool
    sentence: str


def evaluate(inputs: DriftInputs, parameters: DriftParameters | None = None) -> pd.DataFrame:
    """Decides whether the judged week's world is that on which the production model was trained.

    Args:
        inputs: The frames.
        parameters: What counts as drift.

    Returns:
        One row per test, by kind: `kind`, `test`, `subject`, `statistic` (its value now), `effect` (its difference
        from the usual value), `min_effect`, `p_value`, `p_adjusted` (for the number of all tests), `drifted` (both
        beyond chance and large enough), `detail` (a sentence).

    Raises:
        ValueError: The frames do not hold the week of the training or no sales.
    """
    parameters = parameters or DriftParameters()
    series = series_weeks(inputs)
    trained = int(series.weeks.get_indexer(pd.DatetimeIndex([inputs.trained_until]))[0])
    at = comparison(len(series.weeks), trained, parameters)
    measures = [
        *channel_measures(series, at, parameters),
        *mix_measures(series, at, parameters),
        *feed_measures(series, at, parameters),
    ]
    if inputs.features is not None:
        measures += feature_measures(inputs.features, series.weeks, at, parameters)
    if inputs.predictions is not None:
        measures += forecast_measures(inputs.predictions, series.weeks, at, parameters)
    return decide([read(measure, at) for measure in measures], at, parameters)


def decide(readings: list[Reading], at: Comparison, parameters: DriftParameters) -> pd.DataFrame:
    """One decision over all readings: the false discovery rate is held at alpha, and trivial effects are none."""
    adjusted = stats.false_discovery_control([reading.p_value for reading in readings], method=parameters.control)
    rows = [_row(reading, float(p), at, parameters) for reading, p in zip(readings, adjusted, strict=True)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["kind"].map({kind: number for number, kind in enumerate(KINDS)})
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _row(reading: Reading, adjusted: float, at: Comparison, parameters: DriftParameters) -> tuple[object, ...]:
    measure = reading.measure
    large = abs(reading.effect) if measure.signed else reading.effect
    drifted = adjusted <= parameters.alpha and large >= measure.min_effect
    return (
        measure.kind, measure.test, measure.subject, reading.statistic, reading.effect, measure.min_effect,
        reading.p_value, adjusted, drifted, _sentence(reading, adjusted, at),
    )  # fmt: skip


def _sentence(reading: Reading, adjusted: float, at: Comparison) -> str:
    measure = reading.measure
    if not np.isfinite(reading.statistic):
        return f"{measure.meaning}: there is nothing to compare in the recent weeks."
    if reading.weeks < at.min_history:
        return f"{measure.meaning}: {reading.weeks} past weeks are too few to know what is usual."
    number = "+.3f" if measure.signed else ".3f"
    sentence = (
        f"{measure.meaning}: {reading.statistic:{number}}, usually {reading.usual:{number}} over {reading.weeks} past "
        f"weeks (difference {reading.effect:+.3f}, at least {measure.min_effect:g} matters; p = {adjusted:.2g} "
        "among all tests)."
    )
    return f"{sentence} {measure.note}" if measure.note else sentence


def summaries(table: pd.DataFrame) -> list[KindSummary]:
    """Whether each kind passed, with a sentence; a kind without tests is not there.

    Args:
        table: Of `evaluate`.
    """
    return list(_summaries(table))


def _summaries(table: pd.DataFrame) -> Iterator[KindSummary]:
    for kind in KINDS:
        tests = table[table["kind"] == kind]
        if tests.empty:
            continue
        drifted = tests[tests["drifted"]]
        if drifted.empty:
            sentence = f"{kind}: none of {len(tests)} tests found drift (lowest p = {tests['p_adjusted'].min():.2g})."
        else:
            first = drifted.sort_values("p_adjusted", kind="stable").iloc[0]
            sentence = (
                f"{kind}: {len(drifted)} of {len(tests)} tests found drift, first of all {first['test']} of "
                f"{first['subject']}: {first['detail']}"
            )
        yield KindSummary(kind, drifted.empty, sentence)
