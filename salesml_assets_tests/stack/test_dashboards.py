"""Dashboards: valid by Grafana's schema, placed without overlaps, and with known metrics only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from salesml_assets.exporter.catalogue import METRICS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
register_default_plugins()


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title of the panel and expression of each query."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """What of a document is not in another one."""
    if isinstance(before, dict):
        for key, value in before.items():
            if isinstance(after, dict) and key in after:
                yield from lost(value, after[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"
    elif isinstance(before, list):
        for number, value in enumerate(before):
            yield from lost(value, after[number], f"{place}[{number}]")
    elif before != after:
        yield f"{place}: {before!r} became {after!r}"


def by_schema(dashboard: dict[str, Any]) -> Any:
    """The document as Grafana's own types hold it: keys that they do not know are gone."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def test_there_are_two():
    assert [file.stem for file in FILES] == ["business", "operations"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_fits_the_schema(file):
    dashboard = read(file)
    assert list(lost(dashboard, by_schema(dashboard))) == []
    broken = dashboard | {"refrehs": "1m"}
    assert list(lost(broken, by_schema(broken))) == [".refrehs"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_overlap_and_have_ids_and_titles_of_their_own(file):
    panels = read(file)["panels"]
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells, panel["title"]
                cells.add((x, y))
    for key in ("id", "title"):
        values = [panel[key] for panel in panels]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_queries_name_metrics_that_are_served(file):
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    served = {metric.name for metric in METRICS} | set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    served |= {f"{name}_bucket" for name in served}
    for title, expression in queries(read(file)):
        assert set(re.findall(r"salesml_\w+", expression)) <= served, title


def test_panels_ask_the_provisioned_source():
    (source,) = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    )["datasources"]
    for file in FILES:
        uids = {target["datasource"]["uid"] for panel in read(file)["panels"] for target in panel.get("targets", [])}
        assert uids == {source["uid"]}
