"""Tables for the checks to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import write_deltalake

from salesml_assets.checks.base import Finding, Measure
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse


@pytest.fixture
def findings(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """`findings(measure, settings, sales=frame, ...)`: what a check finds in a lake with these tables alone."""

    def measured(
        measure: Measure, settings: Settings, by: dict[str, str] | None = None, /, **tables: pd.DataFrame
    ) -> dict[str, Finding]:
        lake = Lakehouse(str(tmp_path / "lake"))
        for name, frame in tables.items():
            write_deltalake(
                lake.path(name), frame, mode="overwrite", schema_mode="overwrite", partition_by=(by or {}).get(name)
            )
        return {finding.check: finding for finding in measure(lake, settings)}

    return measured
