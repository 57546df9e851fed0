"""The checks of the intake stop a run whose rows say nothing, and say what to do."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from salesml_assets.checks.base import ERROR
from salesml_assets.checks.intake import measure_outliers, measure_rejected
from salesml_assets.config.settings import Settings

DAY = dt.date(2024, 6, 25)


@pytest.mark.parametrize(("rejected", "limit", "passed"), [(40, 0.5, True), (60, 0.5, False), (60, 1.0, True)])
def test_too_many_rejected_rows(findings, rejected, limit, passed):
    reasons = [["exact_duplicate"]] * (rejected - 10) + [["missing_product", "void"]] * 10
    rows = {"day": "2024-01-01", "product": [f"p{number % 2}" for number in range(rejected)], "_reasons": reasons}
    found = findings(
        measure_rejected,
        Settings(quality={"error_share": limit}),
        raw_sales=pd.DataFrame({"x": range(100)}),
        quarantined_sales=pd.DataFrame(rows).assign(_month="2024-01"),
    )["rejected_share"]
    assert found.passed is passed
    assert found.measured["share"] == rejected / 100
    if not passed:
        assert found.severity is ERROR
        assert found.description == (
            "60.0% of the 100 delivered rows are rejected, and quality.error_share allows 50%: 50 by exact_duplicate, "
            "such as 2024-01-01 p0; 2024-01-01 p1: where equal lines are different sales, as of a till without line "
            "numbers, set quality.disable: [exact_duplicate]; else deliver a line number with the rows. 10 by "
            "missing_product, such as 2024-01-01 p0; 2024-01-01 p1: map another column in sales.columns.product, or "
            "leave product out of forecast.series. The rejected rows are in the table quarantined_sales; a higher "
            "quality.error_share goes on without them"
        )


@pytest.mark.parametrize(
    ("slip", "share", "passed"), [(7891000315507.0, 0.5, False), (7891000315507.0, 1.0, True), (50.0, 0.5, True)]
)
def test_outliers_that_carry_the_whole(findings, slip, share, passed):
    sales = pd.DataFrame(
        {
            "date": [DAY] * 50,
            "product": "P3",
            "quantity": [5.0] * 49 + [slip],
            "revenue": 1.0,
            "flags": [[]] * 49 + [["outlier_quantity"]],
        }
    )
    settings = Settings(forecast={"target": "quantity"}, quality={"outlier_share": share})
    found = findings(measure_outliers, settings, sales=sales)["outlier_weight"]
    assert found.passed is passed
    assert found.measured["flagged rows"] == 1
    if not passed:
        assert found.severity is ERROR
        for part in ("1 rows flagged by outlier_quantity", "2024-06-25, P3, quantity 7,891,000,315,507",
                     "Set quality.outlier_action: reject"):  # fmt: skip
            assert part in found.description
