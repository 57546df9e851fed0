"""A source is read once at a time, within a time limit, and its failure is its own."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from salesml_assets.exporter import collector
from salesml_assets.exporter.collector import MetricsCollector
from salesml_assets.exporter.families import Families
from salesml_assets.exporter.sources import MetricSource


def collected(metrics: MetricsCollector) -> dict[tuple[str, str], float]:
    """Values of the exporter's own metrics, and of the queue, by name and source."""
    return {
        (sample.name, sample.labels.get("source", "")): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


class Slow:
    """Counts how many read it at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.most, self.reads = seconds, 0, 0, 0
        self.lock = threading.Lock()

    def fill(self, families: Families) -> None:
        with self.lock:
            self.now += 1
            self.reads += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        families.add("salesml_run_queue_length", 7)
        with self.lock:
            self.now -= 1


def test_scrapes_at_the_same_time_share_one_read():
    slow = Slow(0.2)
    metrics = MetricsCollector([MetricSource("runs", slow.fill)])
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: collected(metrics), range(6)))
    assert all(answer["salesml_run_queue_length", ""] == 7 for answer in answers)
    assert slow.most == 1
    assert slow.reads <= 2
    collected(metrics)
    assert slow.reads >= 2, "a later scrape reads again"


def test_a_source_that_hangs_fails_alone_and_comes_back(monkeypatch, caplog):
    monkeypatch.setattr(collector, "SCRAPE_SECONDS", 0.2)
    slow = Slow(0.6)
    quick = MetricSource("daemons", lambda families: families.add("salesml_daemon_healthy", 1, daemon="SENSOR"))
    metrics = MetricsCollector([MetricSource("runs", slow.fill), quick])
    with caplog.at_level(logging.INFO, "salesml.metrics"):
        started = time.monotonic()
        first = collected(metrics)
        assert time.monotonic() - started < 0.5
        time.sleep(0.6)
        later = collected(metrics)
    assert (first["salesml_source_up", "runs"], first["salesml_scrape_errors_total", "runs"]) == (0, 1)
    assert first["salesml_source_up", "daemons"] == 1
    assert ("salesml_run_queue_length", "") not in first
    assert (later["salesml_source_up", "runs"], later["salesml_scrape_errors_total", "runs"]) == (1, 1)
    assert later["salesml_run_queue_length", ""] == 7
    assert slow.reads == 1
    assert [record.getMessage() for record in caplog.records] == [
        "runs: no answer within 0.2 s", "runs: is readable again"
    ]  # fmt: skip


def test_an_error_is_counted_and_logged_without_secrets(caplog):
    def broken(families: Families) -> None:
        families.add("salesml_run_queue_length", 1)
        raise RuntimeError("cannot read postgresql://user:hidden@host/db")

    metrics = MetricsCollector([MetricSource("runs", broken)])
    with caplog.at_level(logging.WARNING, "salesml.metrics"):
        answers = [collected(metrics) for _ in range(3)]
    assert [answer["salesml_scrape_errors_total", "runs"] for answer in answers] == [1, 2, 3]
    assert ("salesml_run_queue_length", "") not in answers[0], "half a source is none"
    assert [record.getMessage() for record in caplog.records] == [
        "runs: RuntimeError: cannot read postgresql://***@host/db"
    ]  # fmt: skip


def test_what_is_not_in_the_catalogue_cannot_be_exported():
    families = Families("runs")
    with pytest.raises(KeyError):
        families.add("salesml_daemon_healthy", 1, daemon="SENSOR")
    with pytest.raises(KeyError, match="dagster_job"):
        families.add("salesml_runs", 1, run_id="1", status="success")
    families.add("salesml_run_queue_length", float("nan"))
    families.add("salesml_runs_in_progress", None)
    assert not [sample for _, family in families.items() for sample in family.samples]
