"""Metrics of the service for Prometheus: requests of all workers, the state of the one that answers."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from salesml_assets.serving.state import State

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where the workers' counters are added up
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
OTHER = "other"  # addresses that do not exist


class Metrics:
    """The metrics of one app.

    Args:
        state: What is exported of the model and the forecasts.
    """

    def __init__(self, state: State) -> None:
        registry = CollectorRegistry()
        self._seconds = Histogram(
            "salesml_serving_request_seconds",
            "Time from a request's head to the last byte of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "salesml_serving_requests", "Requests by their answer.", ["route", "status"], registry=registry
        )
        self._errors = Counter("salesml_serving_errors", "Requests that failed, by kind.", ["kind"], registry=registry)
        self._arms = Counter(
            "salesml_serving_arm_requests",
            "Requests during an A/B test by the model that answered.",
            ["arm"],
            registry=registry,
        )
        self._logged = Counter(
            "salesml_serving_predictions_logged", "Rows of served predictions written to the lake.", registry=registry
        )
        self._dropped = Counter(
            "salesml_serving_predictions_dropped",
            "Rows of served predictions that were dropped, because too many waited or the lake was away at the end.",
            registry=registry,
        )
        if MULTIPROCESS_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(_StateCollector(state))
        self._registry = registry

    def count(self, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_error(self, kind: str) -> None:
        """Counts a failed request by the kind of its problem."""
        self._errors.labels(kind).inc()

    def count_arms(self, arms: Collection[str]) -> None:
        """Counts a request for each of the models that answered it."""
        for arm in arms:
            self._arms.labels(arm).inc()

    def count_logged(self, written: int, dropped: int) -> None:
        """Counts rows of served predictions."""
        self._logged.inc(written)
        self._dropped.inc(dropped)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _StateCollector(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The state now."""
        state = self._state
        model, stored = state.model, state.stored
        yield _gauge("ready", "1 if a model answers, else 0.", float(model is not None))
        yield _gauge("lake_up", "1 if the lake answered the last look, else 0.", float(state.lake_up))
        yield _gauge(
            "model_broken",
            "1 while a newer model is refused and an older one answers, else 0.",
            float(bool(state.broken)),
        )
        yield _gauge("model_swaps", "Models loaded since the start of the process.", float(state.swaps))
        yield _gauge(
            "challenger_broken", "1 while a challenger is refused, else 0.", float(bool(state.challenger_broken))
        )
        if state.challenger is not None:
            yield _gauge(
                "challenger_version",
                "Number of the challenger that answers its share of the requests.",
                float(state.challenger.model.version.version),
            )
        if model is not None:
            yield _gauge("model_version", "Version that answers.", float(model.version.version))
            info = GaugeMetricFamily("salesml_serving_model_info", "1 for its algorithm.", labels=["algorithm"])
            info.add_metric([model.version.algorithm], 1.0)
            yield info
        if stored is not None:
            age = time.time() - stored.written_at.timestamp()
            yield _gauge("forecasts_age_seconds", "Time since the stored forecasts were written.", age)
            yield _gauge("forecast_series", "Series with stored forecasts.", float(len(stored.book.names)))
        drift = GaugeMetricFamily(
            "salesml_serving_drift_effect_ratio",
            "Largest effect size over the minimum effect size in the latest evaluation of drift.",
            labels=["kind"],
        )
        for kind, ratio in state.drift.items():
            drift.add_metric([kind], ratio)
        yield drift


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"salesml_serving_{name}", meaning, value)
