"""The current results of the lake, read without Spark and Dagster: for the report, the notebook and people."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Protocol

from salesml_assets.lake.facts import run_of_table
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import (
    AB_TEST_FILE,
    AB_TEST_REPORT,
    EVERYTHING_FILE,
    MODEL_COMPARISON,
    PRODUCTION_MODEL,
    RAW_SALES,
    SOURCE_FILE,
)

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.config.settings import Settings
    from salesml_assets.forecasting.comparison import Comparison
    from salesml_assets.reporting.data import ABTest, ReportData
    from salesml_assets.reporting.gather import Source


class ReadsFiles(Protocol):
    """The files of the lake: `lake.files.Files`, or Dagster's resource of them."""

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file."""
        ...

    def read_text(self, name: str, version: str | int, *parts: str) -> str:
        """The content of a text file."""
        ...

    def list(self, name: str, version: str | int) -> list[str]:
        """The files of a version."""
        ...


def latest_comparison(lake: Lakehouse, files: ReadsFiles) -> Comparison:
    """The latest comparison with its decision.

    Args:
        lake: The lake; its table of metrics names the run that compared.
        files: The files of that run.

    Raises:
        LakeError: There is none.
        FileNotFoundError: Its file is gone.
    """
    from salesml_assets.forecasting.comparison import Comparison

    run = run_of_table(lake, MODEL_COMPARISON)
    return Comparison.from_json(files.read_text(MODEL_COMPARISON, run, EVERYTHING_FILE))


def source_facts(lake: Lakehouse, files: ReadsFiles) -> Source:
    """What the run that loaded the raw sales noted of them; nothing where an earlier release loaded them."""
    run = run_of_table(lake, RAW_SALES)
    if SOURCE_FILE not in files.list(RAW_SALES, run):
        return {}
    facts: Source = json.loads(files.read_text(RAW_SALES, run, SOURCE_FILE))
    return facts


def latest_ab_test(lake: Lakehouse, files: ReadsFiles) -> ABTest | None:
    """The latest A/B test; None before the first one."""
    import pandas as pd

    from salesml_assets.forecasting.challenger import ABANDONED

    rows = lake.read_polars(AB_TEST_REPORT).sort("test") if lake.exists(AB_TEST_REPORT) else None
    if rows is None or rows.is_empty():
        return None
    row = rows.row(-1, named=True)
    kept = json.loads(files.read_text(AB_TEST_REPORT, row["run_id"], AB_TEST_FILE))
    looks = pd.DataFrame(kept["looks"], columns=["ds", "difference", "low", "high", "wape"])
    # What became of an abandoned test is not in its comparison.
    sentences = {} if row["outcome"] == ABANDONED else kept.get("sentences", {})
    test: ABTest = {**row, "looks": looks, "sentences": sentences}  # type: ignore[typeddict-item]
    return test


def current_results(
    lake: Lakehouse,
    files: ReadsFiles,
    settings: Settings,
    checks: pd.DataFrame | None = None,
    started_by: str | None = None,
) -> ReportData:
    """Everything that is shown of the present state of the lake.

    Args:
        lake: The lake.
        files: Its files.
        settings: The settings.
        checks: `check, passed, severity, detail` of the latest asset checks, which only Dagster knows.
        started_by: What started the retrain that made the model, if a drift did.

    Raises:
        LakeError: There is no production model, or another table is missing.
    """
    import pandas as pd

    from salesml_assets.forecasting.model.bundle import read_about
    from salesml_assets.forecasting.versions import latest_version
    from salesml_assets.reporting.gather import report_data

    newest = latest_version(lake)
    if newest is None:
        raise LakeError(f"There is no production model yet: materialize {PRODUCTION_MODEL} first (`salesml run`).")
    about = read_about(partial(files.read, PRODUCTION_MODEL, newest.folder), newest.path)
    return report_data(
        latest_comparison(lake, files),
        lake,
        settings,
        version=newest.version,
        importance=about["importance"],
        source=source_facts(lake, files),
        checks=pd.DataFrame(columns=["check", "passed", "severity", "detail"]) if checks is None else checks,
        lake_versions=about["lake_versions"],
        started_by=started_by,
        ab_test=latest_ab_test(lake, files) if settings.tests_challengers else None,
    )
