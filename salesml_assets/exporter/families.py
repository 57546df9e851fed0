"""Collects the samples of one source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily

from salesml_assets.exporter.catalogue import Family, metrics_of


class Families:
    """The metric families of one source.

    Args:
        source: One of the sources in the catalogue.
    """

    def __init__(self, source: str) -> None:
        self._metrics = {metric.name: metric for metric in metrics_of(source)}
        self._families = {name: metric.family() for name, metric in self._metrics.items()}

    def add(self, name: str, value: float | None, **labels: str) -> None:
        """Adds a sample; None and NaN are skipped.

        Raises:
            KeyError: The source has no such metric, or a label is missing.
        """
        family, values = self._families[name], self._labels(name, labels)
        assert not isinstance(family, HistogramMetricFamily)
        if value is not None and not math.isnan(value):
            family.add_metric(values, float(value))

    def add_histogram(
        self, name: str, bounds: Sequence[float], counts: Sequence[int], total: float, /, **labels: str
    ) -> None:
        """Adds a histogram.

        Args:
            name: Name of the metric.
            bounds: Upper bounds of the buckets, without infinity.
            counts: Cumulative counts per bound, and the total count last.
            total: Sum of all values.
            labels: The labels.
        """
        family = self._families[name]
        assert isinstance(family, HistogramMetricFamily)
        names = [*map(str, map(float, bounds)), "+Inf"]
        buckets = list(zip(names, map(float, counts), strict=True))
        family.add_metric(self._labels(name, labels), buckets, total)

    def items(self) -> Iterable[tuple[str, Family]]:
        """Names and families of all metrics, including those without samples."""
        return self._families.items()

    def _labels(self, name: str, labels: dict[str, str]) -> list[str]:
        expected = self._metrics[name].labels
        if set(labels) != set(expected):
            raise KeyError(f"{name} has the labels {expected}, not {tuple(labels)}")
        return [labels[label] for label in expected]
