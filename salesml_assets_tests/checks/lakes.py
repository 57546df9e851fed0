"""Lakes to be checked, and what their checks found."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from salesml_assets.checks.base import Finding
from salesml_assets.resources.lake import Lake
from salesml_assets.resources.spark import SparkResource


def lake_at(root: Path, spark: SparkSession) -> Lake:
    """The lake at a place, with a session that runs already."""
    resource = SparkResource()
    resource._session = spark
    return Lake(root=str(root), spark=resource)


def failed(found: dict[str, Finding]) -> set[str]:
    """The checks that did not pass; each says what is wrong."""
    bad = [finding for finding in found.values() if not finding.passed]
    assert all(finding.description for finding in bad if finding.check != "schema")
    return {finding.check for finding in bad}
