"""The answer to a scrape: all sources read concurrently, and the health of each."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import dagster as dg
from prometheus_client.registry import Collector

from salesml_assets.config.settings import Settings
from salesml_assets.exporter.assets import read_assets
from salesml_assets.exporter.automation import read_automation, read_pools
from salesml_assets.exporter.catalogue import METRICS, SCRAPE, Family
from salesml_assets.exporter.checks import CheckReader
from salesml_assets.exporter.daemons import CodeLocationReader, read_daemons
from salesml_assets.exporter.families import Families
from salesml_assets.exporter.lake import ScrapedLake
from salesml_assets.exporter.models import ComparisonReader, ModelReader
from salesml_assets.exporter.monitoring import AccuracyReader, DriftReader
from salesml_assets.exporter.runs import read_runs
from salesml_assets.exporter.sources import MetricSource
from salesml_assets.exporter.steps import StepReader
from salesml_assets.names import DRIFT_REPORT, FORECAST_ACCURACY, MODEL_COMPARISON, PRODUCTION_MODEL

# Prometheus times out after ten seconds by default, and would then have no metric at all.
SCRAPE_SECONDS = 3.0


class MetricsCollector(Collector):
    """Collects the metrics of all sources; concurrent scrapes are supported.

    Args:
        sources: The sources.
    """

    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()

    def describe(self) -> Iterable[Family]:
        """All metric names, without reading: the registry calls this when the collector is registered."""
        return [metric.family() for metric in METRICS]

    def collect(self) -> Iterable[Family]:
        """The current samples."""
        deadline = time.monotonic() + SCRAPE_SECONDS
        own = Families(SCRAPE)
        filled = [own]
        reads = [(source, source.start()) for source in self._sources]
        for source, future in reads:
            reading = source.fetch(future, max(0.0, deadline - time.monotonic()))
            with self._lock:
                self._errors[source.name] += reading.error is not None
                errors = self._errors[source.name]
            own.add("salesml_source_up", float(reading.error is None), source=source.name)
            own.add("salesml_scrape_errors_total", errors, source=source.name)
            own.add("salesml_scrape_duration_seconds", reading.seconds, source=source.name)
            filled.append(reading.families)
        return _merged(filled)


def sources(settings: Settings, instance: dg.DagsterInstance, workspace: Path) -> list[MetricSource]:
    """All sources of the platform.

    Args:
        settings: The settings; `lake`, `s3` and `clock` are used.
        instance: Dagster's instance.
        workspace: The workspace file, which names the code locations.
    """
    lake = ScrapedLake(settings.lake.root, settings.s3)
    return [
        MetricSource("runs", partial(read_runs, instance)),
        MetricSource("steps", StepReader(instance).read),
        MetricSource("assets", partial(read_assets, instance)),
        MetricSource("checks", CheckReader(instance).read),
        MetricSource("daemons", partial(read_daemons, instance)),
        MetricSource("automation", partial(read_automation, instance)),
        MetricSource("pools", partial(read_pools, instance)),
        MetricSource("code_locations", CodeLocationReader(workspace).read),
        MetricSource(PRODUCTION_MODEL, ModelReader(lake, settings).read),
        MetricSource(MODEL_COMPARISON, ComparisonReader(lake).read),
        MetricSource(DRIFT_REPORT, DriftReader(lake, settings).read),
        MetricSource(FORECAST_ACCURACY, AccuracyReader(lake).read),
    ]


def _merged(filled: Sequence[Families]) -> list[Family]:
    """One family for each metric, in the catalogue's order; the input may be shared by scrapes and is not modified."""
    merged = {metric.name: metric.family() for metric in METRICS}
    for families in filled:
        for name, family in families.items():
            merged[name].samples.extend(family.samples)
    return list(merged.values())
