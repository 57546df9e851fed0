"""The figures of the report, one function each; each gives None where the data for it are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from salesml_assets.language import N_, _, language
from salesml_assets.reporting import readings
from salesml_assets.reporting.data import ReportData
from salesml_assets.reporting.figures.ab_test import ab_test
from salesml_assets.reporting.figures.comparison import error_by_fold, error_by_horizon, gain_intervals, metric_bars
from salesml_assets.reporting.figures.drivers import (
    effects_by_value,
    forecast_waterfalls,
    group_influence,
    partial_dependence,
)
from salesml_assets.reporting.figures.fit import feature_importance, predicted_against_actual, residual_histogram
from salesml_assets.reporting.figures.orders import availability_and_stock
from salesml_assets.reporting.figures.quality import quarantine_reasons
from salesml_assets.reporting.figures.timelines import series_small_multiples, total_over_time

__all__ = [
    "Picture",
    "ab_test",
    "availability_and_stock",
    "effects_by_value",
    "error_by_fold",
    "error_by_horizon",
    "feature_importance",
    "forecast_waterfalls",
    "gain_intervals",
    "group_influence",
    "metric_bars",
    "partial_dependence",
    "picture",
    "pictures",
    "predicted_against_actual",
    "quarantine_reasons",
    "residual_histogram",
    "series_small_multiples",
    "total_over_time",
]


@dataclass(frozen=True)
class Picture:
    """A figure with its title and with what it shows in words."""

    name: str
    title: str
    alt: str
    figure: Figure


_Reading = Callable[[ReportData], str | None]
_PICTURES: dict[str, tuple[str, Callable[[ReportData], Figure | None], _Reading]] = {
    "total_over_time": (N_("All series together"), total_over_time, readings.outlook),
    "metric_bars": (N_("Metrics of all algorithms"), metric_bars, readings.compared),
    "gain_intervals": (N_("Gain over the reference"), gain_intervals, readings.decided),
    "ab_test": (N_("A/B test"), ab_test, readings.tested),
    "error_by_horizon": (N_("Error by distance"), error_by_horizon, readings.over_horizon),
    "error_by_fold": (N_("Error by backtest period"), error_by_fold, readings.over_folds),
    "predicted_against_actual": (N_("Forecast against actual"), predicted_against_actual, readings.typical_error),
    "residual_histogram": (N_("Distribution of errors"), residual_histogram, readings.typical_error),
    "availability_and_stock": (
        N_("Availability and the stock that it takes"),
        availability_and_stock,
        readings.replayed,
    ),
    "feature_importance": (N_("What the forecast looks at"), feature_importance, readings.driven_by),
    "group_influence": (N_("What moves the forecasts"), group_influence, readings.moved_by),
    "effects_by_value": (N_("What a weekday, a month or a plan adds"), effects_by_value, readings.effects_text),
    "partial_dependence": (N_("One feature moved alone"), partial_dependence, readings.dependence_text),
    "forecast_waterfalls": (N_("From the base to the forecast"), forecast_waterfalls, readings.taken_apart),
    "series_small_multiples": (N_("Single series"), series_small_multiples, readings.single_series),
    "quarantine_reasons": (N_("Rows set aside, by reason"), quarantine_reasons, readings.data_quality),
}


def picture(data: ReportData, name: str) -> Picture | None:
    """One figure; None where the data for it are missing.

    Raises:
        KeyError: There is no such figure.
    """
    message, draw, reading = _PICTURES[name]
    with language(data.language):
        figure = draw(data)
        if figure is None:
            return None
        title = _(message)
        return Picture(name=name, title=title, alt=f"{title}. {reading(data) or ''}".strip(), figure=figure)


def pictures(data: ReportData) -> dict[str, Picture]:
    """All figures that the data allow, by name, in the order of the report."""
    return {name: made for name in _PICTURES if (made := picture(data, name)) is not None}
