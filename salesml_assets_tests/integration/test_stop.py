"""Stop means stop: where too many rows are rejected, the command ends with the reason, and nothing follows."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from pathlib import Path

import pytest
import yaml

from salesml_assets_tests.conftest import SPARK
from salesml_assets_tests.integration.test_whole_job import ROOT, Project
from salesml_assets_tests.quality.intake import days, write_rows


@pytest.fixture
def kiosk(tmp_path: Path) -> Project:
    """A kiosk's till without line numbers: most lines are one piece at the same price."""
    draw, rows = random.Random(15), []
    for day in days(182):
        for product, pieces, price in (("water", 10, 1.5), ("coffee", 6, 2.2), ("paper", 3, 3.0)):
            for _ in range(pieces):
                quantity = draw.choice([1, 1, 1, 2, 3])
                rows.append((day, product, quantity, round(quantity * price, 2)))
    write_rows(tmp_path / "lines.csv", ["day", "product", "qty", "value"], rows)
    columns = {"date": "day", "product": "product", "quantity": "qty", "revenue": "value"}
    settings = {
        "sales": {"path": "lines.csv", "format": "csv", "columns": columns, "first_month": "2024-01"},
        "forecast": {"target": "quantity", "horizon": 14},
        "clock": {"today": dt.date(2024, 7, 1)},
        "spark": SPARK,
    }
    (tmp_path / "salesml.yaml").write_text(yaml.safe_dump(settings))
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    return Project(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_follows_where_most_rows_are_rejected(kiosk: Project) -> None:
    answer = kiosk.salesml("run")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("sales: rejected_share: ")]
    for part in (
        "of the 3,458 delivered rows are rejected, and quality.error_share allows 50%",
        "2,155 by exact_duplicate, such as 2024-01-01 coffee 1 2.2",
        "set quality.disable: [exact_duplicate]",
    ):
        assert part in line
    assert "Dagster" not in answer.stdout + answer.stderr
    names = ("raw_sales", "sales", "quarantined_sales", "sales_series", "features", "panel", "model_comparison",
             "production_model", "forecasts")  # fmt: skip
    assert {name for name in names if kiosk.lake.exists(name)} == {"raw_sales", "sales", "quarantined_sales"}
