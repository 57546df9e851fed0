"""The sales that come with the project: every count against the same rule in pandas."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import Settings
from salesml_assets.quality.mapping import with_month
from salesml_assets.quality.source import read_source
from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows
from salesml_assets_tests.quality.summary import QualitySummary, summarize

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> Settings:
    """The settings that come with the project."""
    return load_settings(PROJECT / "salesml.yaml")


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """All invoice lines in pandas."""
    return pd.read_parquet(PROJECT / "data" / "online_retail.parquet")


@pytest.fixture(scope="module")
def found(spark: SparkSession, shipped: Settings) -> tuple[QualitySummary, pd.Series, pd.Series]:
    """The summary, accepted rows per month, accepted revenue per product."""
    delivered = with_month(read_source(spark, shipped), shipped, shipped.today)
    judged = judge(delivered, shipped, shipped.today).cache()
    accepted = accepted_rows(judged)
    summary = summarize(accepted, quarantined_rows(judged))
    months = {row["month"]: row["count"] for row in accepted.groupBy("month").count().collect()}
    revenue = {row[0]: row[1] for row in accepted.groupBy("product").sum("revenue").collect()}
    judged.unpersist()
    return summary, pd.Series(months), pd.Series(revenue)


def broken(lines: pd.DataFrame, shipped: Settings) -> pd.DataFrame:
    """Which line breaks which rule, in pandas."""
    product = lines["StockCode"].str.strip(" ").str.upper()
    pattern = re.compile(shipped.quality.exclude_products or "")
    return pd.DataFrame(
        {
            "exact_duplicate": lines.duplicated(),
            "non_positive_price": lines["UnitPrice"] <= 0,
            "not_a_product": product.map(lambda code: pattern.fullmatch(code) is not None),
            "missing_product": product == "",
            "date_in_future": lines["InvoiceDate"].dt.date > shipped.today,
        }
    )


def test_counts_are_those_of_pandas(
    found: tuple[QualitySummary, pd.Series, pd.Series], lines: pd.DataFrame, shipped: Settings
) -> None:
    summary = found[0]
    rules = broken(lines, shipped)
    counts = rules.sum()
    assert summary.reasons == counts[counts > 0].to_dict()
    assert summary.quarantined == rules.any(axis=1).sum()
    assert summary.delivered == len(lines) == 541_909
    assert summary.returns == (lines["Quantity"][~rules.any(axis=1)] < 0).sum()
    # The data set's description counts 5,268 duplicates and 2,517 prices of zero or below.
    assert (summary.reasons["exact_duplicate"], summary.reasons["non_positive_price"]) == (5_268, 2_517)


def test_what_is_accepted_adds_up(
    found: tuple[QualitySummary, pd.Series, pd.Series], lines: pd.DataFrame, shipped: Settings
) -> None:
    _, months, revenue = found
    kept = lines[~broken(lines, shipped).any(axis=1)]
    by_month = kept.groupby(kept["InvoiceDate"].dt.strftime("%Y-%m")).size()
    assert months.to_dict() == by_month.to_dict()
    product = kept["StockCode"].str.strip(" ").str.upper()
    expected = (kept["Quantity"] * kept["UnitPrice"]).groupby(product).sum()
    pd.testing.assert_series_equal(revenue.sort_index(), expected.sort_index(), check_names=False, rtol=1e-9)


def test_outliers_are_rare(found: tuple[QualitySummary, pd.Series, pd.Series]) -> None:
    summary = found[0]
    assert set(summary.flags) <= {"outlier_quantity", "outlier_unit_price", "outlier_revenue"}
    assert 0 < sum(summary.flags.values()) < 0.01 * summary.accepted
