"""The metrics' names and labels follow Prometheus' conventions; documentation and alerts know the same metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from salesml_assets.exporter.catalogue import METRICS, Metric
from salesml_assets.exporter.reference import reference
from salesml_assets.serving.metrics import Metrics as ServingMetrics
from salesml_assets.serving.state import State

PROJECT = Path(__file__).parents[2]
ALERTS = PROJECT / "deploy" / "prometheus" / "alerts.yml"
ALERT_TESTS = ALERTS.with_name("alerts_test.yml")
# Each takes few values: names of jobs, steps, assets, ... and none of them is data, an id or a partition.
LABELS = {
    "dagster_job", "status", "step", "asset", "check", "severity", "algorithm", "kind", "daemon", "horizon_bucket",
    "location", "source", "level", "automation", "pool",
}  # fmt: skip
RULES = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_conventions(metric: Metric):
    assert re.fullmatch(r"salesml_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert set(metric.labels) <= LABELS
    assert metric.help.endswith(".")
    if {"age", "duration", "timestamp"} & set(metric.name.split("_")):
        assert metric.name.endswith("_seconds")
    assert "_ratio" not in metric.name or metric.name.endswith("_ratio")


def test_names_are_unique():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_documentation_has_every_metric():
    """After a change: put what `python -m salesml_assets.exporter.reference` prints into docs/metrics.md."""
    assert reference() in (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_documentation_has_every_alert(rule):
    text = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"| `{rule['alert']}` | {rule['labels']['severity']} |" in text


def test_alerts_use_known_metrics_and_labels():
    served = set(re.findall(r"# TYPE (\w+)", ServingMetrics(State()).text().decode()))
    # Of a service that has a model, too.
    served |= set(
        re.findall(r"^\| `(\w+)`", (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    known = {metric.name for metric in METRICS} | served | {f"{name}_bucket" for name in served}
    labels = {name for metric in METRICS for name in metric.labels} | {"instance", "job", "route"}
    for rule in RULES:
        expression = rule["expr"]
        assert set(re.findall(r"salesml_\w+", expression)) <= known
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)) <= labels
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_is_tested_both_ways(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description"} <= rule["annotations"].keys()
    assert "for" in rule
    groups = yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))["tests"]
    tests = [test for group in groups for test in group["alert_rule_test"] if test["alertname"] == rule["alert"]]
    assert any(test["exp_alerts"] for test in tests), "it fires"
    assert any(not test["exp_alerts"] for test in tests), "it keeps quiet"
