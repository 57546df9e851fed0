"""The check of planned values as Dagster runs it: passed, a warning below full coverage, an error at none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.checks.base import ERROR, WARN
from salesml_assets.checks.plan import PLAN_CHECK, plan_checks
from salesml_assets.config.settings import Settings
from salesml_assets.resources.lake import Lake
from salesml_assets_tests.resources.test_lake import TestSessionResource

START, DAYS, HORIZON = dt.date(2024, 1, 1), 60, 7
LAST = START + dt.timedelta(DAYS - 1)
ITEMS = ("007", "017")


def evaluated(spark: SparkSession, folder: Path, plan: Iterable[tuple[dt.date, str, str]]) -> dg.AssetCheckEvaluation:
    """The check of a shop that sells two items each day, with a plan of campaigns."""
    file = folder / "plan.csv"
    pd.DataFrame(plan, columns=["date", "product", "campaign"]).to_csv(file, index=False)
    settings = Settings.model_validate(
        {
            "lake": {"root": str(folder / "lake")},
            "forecast": {
                "horizon": HORIZON,
                "known_future": {"path": str(file), "format": "csv", "columns": ["campaign"]},
            },
            "clock": {"today": LAST + dt.timedelta(1)},
        }
    )
    tables = Lake(root=settings.lake.root, spark=TestSessionResource())
    days = pd.date_range(START, LAST)
    series = pd.concat(
        pd.DataFrame({"unique_id": item, "product": item, "ds": days.date, "y": 3.0, "closed": False, "rows": 1,
                      "campaign": "none"})
        for item in ITEMS
    )  # fmt: skip
    tables.tables.write_arrow(_arrow(series), "sales_series")
    (check,) = plan_checks(settings)
    defs = dg.Definitions([dg.AssetSpec("sales_series")], asset_checks=[check], resources={"tables": tables})
    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    (found,) = done.get_asset_check_evaluations()
    assert found.check_name == PLAN_CHECK
    return found


def _arrow(frame: pd.DataFrame):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


def plan(days: int, items: tuple[str, ...] = ITEMS, campaign: str = "none") -> list[tuple[dt.date, str, str]]:
    ahead = [(LAST + dt.timedelta(n), item, campaign) for n in range(1, days + 1) for item in items]
    return [(LAST, item, "none") for item in items] + ahead


def test_a_plan_of_all_days_passes(spark: SparkSession, tmp_path: Path) -> None:
    found = evaluated(spark, tmp_path, plan(HORIZON))
    assert found.passed
    assert found.metadata["share"].value == 1.0


def test_a_plan_of_some_days_is_a_warning(spark: SparkSession, tmp_path: Path) -> None:
    found = evaluated(spark, tmp_path, plan(HORIZON - 2))
    assert (found.passed, found.severity) == (False, WARN)
    assert found.metadata["share"].value == pytest.approx(5 / 7)
    assert "covers 71.4% of the 14 series and steps ahead" in str(found.description)


@pytest.mark.parametrize(
    "rows", [plan(HORIZON, items=("7", "17")), plan(0)], ids=["keys of another form", "no day ahead"]
)
def test_a_plan_that_covers_nothing_is_an_error(
    rows: list[tuple[dt.date, str, str]], spark: SparkSession, tmp_path: Path
) -> None:
    found = evaluated(spark, tmp_path, rows)
    assert (found.passed, found.severity, found.blocking) == (False, ERROR, True)
    assert "covers 0.0%" in str(found.description)
    assert "keys or dates of the plan are not those of the sales" in str(found.description)


def test_values_that_never_occurred_are_named(spark: SparkSession, tmp_path: Path) -> None:
    found = evaluated(spark, tmp_path, plan(HORIZON, campaign="influencer"))
    assert (found.passed, found.severity) == (False, WARN)
    assert "never occurred before: campaign: influencer" in str(found.description)
    assert found.metadata["share"].value == 1.0
