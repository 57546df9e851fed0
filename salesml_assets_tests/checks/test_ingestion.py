"""Each check of ingestion passes on sound tables, and fails on the defect that it is there for."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from salesml_assets.checks.base import ERROR, WARN
from salesml_assets.checks.ingestion import (
    measure_quarantined_sales,
    measure_raw_sales,
    measure_sales,
    measure_sales_series,
)
from salesml_assets.config.settings import Settings

from .lakes import failed

SETTINGS = Settings(clock={"today": dt.date(2011, 6, 15)})
START = dt.date(2011, 5, 1)


def raw_rows(*counts: int, today: int = 3) -> pd.DataFrame:
    months = [f"2011-0{month}" for month, count in enumerate(counts, 1) for _ in range(count)]
    return pd.DataFrame({"_month": [*months, *["2011-06"] * today, "undated"], "code": "x"})


def good_sales() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": [START + dt.timedelta(day) for day in range(40)],
            "revenue": [float(day) for day in range(40)],
            "product": ["a", "b"] * 20,
            "is_return": False,
        }
    )


def good_series() -> pd.DataFrame:
    sales = good_sales()
    days = pd.MultiIndex.from_product([["a", "b"], sales["date"]], names=["unique_id", "ds"]).to_frame(index=False)
    sold = sales.rename(columns={"product": "unique_id", "date": "ds", "revenue": "y"})[["unique_id", "ds", "y"]]
    return days.merge(sold, how="left").fillna({"y": 0.0}).assign(closed=False)


@pytest.mark.parametrize("by", [{"raw_sales": "_month"}, {}])
@pytest.mark.parametrize(
    ("counts", "passed"),
    [((20, 22, 18, 21, 19), True), ((20, 22, 18, 21, 45), False), ((20, 22, 18, 21, 8), False), ((20, 1, 2), True)],
)
def test_a_month_of_another_size_is_noticed(findings, by, counts, passed):
    found = findings(measure_raw_sales, SETTINGS, by, raw_sales=raw_rows(*counts))["volume"]
    assert found.passed is passed
    if len(counts) > 3:
        assert found.measured["month"] == "2011-05"
        assert found.measured["rows"] == counts[-1]
        assert found.measured["mean of the three before"] == pytest.approx(sum(counts[1:4]) / 3)


def test_accepted_sales(findings):
    sales, quarantined = good_sales(), pd.DataFrame({"_reasons": [["r"]] * 5})
    raw = raw_rows(41)  # 40 accepted and 5 rejected ones, with this month's and the undated one
    tables = {"raw_sales": raw, "quarantined_sales": quarantined}
    assert failed(findings(measure_sales, SETTINGS, sales=sales, **tables)) == set()
    assert failed(findings(measure_sales, SETTINGS, sales=sales.iloc[:-1], **tables)) == {"row_conservation"}
    assert failed(findings(measure_sales, SETTINGS, sales=sales.assign(is_return="no"), **tables)) == {"schema"}
    missing = sales.assign(product=["a", None] * 20)
    found = findings(measure_sales, SETTINGS, sales=missing, **tables)
    assert failed(found) == {"required_values"}
    assert found["required_values"].measured["product"] == 20
    later = Settings(clock={"today": dt.date(2011, 8, 1)})
    found = findings(measure_sales, later, sales=sales, **tables)
    assert failed(found) == {"freshness"}
    assert found["freshness"].severity is WARN
    assert found["freshness"].measured["age in days"] == (dt.date(2011, 8, 1) - dt.date(2011, 6, 9)).days


@pytest.mark.parametrize(("rejected", "passed", "severity"), [(1, True, WARN), (11, False, WARN), (60, False, ERROR)])
def test_too_much_quarantine_warns_and_then_stops(findings, rejected, passed, severity):
    settings = Settings(quality={"warn_share": 0.1, "error_share": 0.5})
    quarantined = pd.DataFrame({"_reasons": [["price", "date"]] * rejected})
    found = findings(
        measure_quarantined_sales, settings, raw_sales=pd.DataFrame({"x": range(100)}), quarantined_sales=quarantined
    )
    share = found["quarantine_share"]
    assert (share.passed, share.severity) == (passed, severity)
    assert (share.measured["share"], share.measured["reason: price"]) == (rejected / 100, rejected)
    assert found["reasons"].passed


def test_a_rejected_row_without_a_reason_is_an_error(findings):
    quarantined = pd.DataFrame({"_reasons": [["price"], []]})
    raw = pd.DataFrame({"x": range(1_000)})
    found = findings(measure_quarantined_sales, SETTINGS, raw_sales=raw, quarantined_sales=quarantined)
    assert failed(found) == {"reasons"}
    assert found["reasons"].severity is ERROR


def test_series(findings):
    series, sales = good_series(), good_sales()
    assert failed(findings(measure_sales_series, SETTINGS, sales=sales, sales_series=series)) == set()
    doubled = pd.concat([series, series.iloc[:1].assign(y=0.0)])
    assert failed(findings(measure_sales_series, SETTINGS, sales=sales, sales_series=doubled)) == {
        "unique_keys", "complete_calendar",
    }  # fmt: skip
    gap = series.drop(index=3)  # a day on which nothing was sold
    assert series.loc[3, "y"] == 0
    assert failed(findings(measure_sales_series, SETTINGS, sales=sales, sales_series=gap)) == {"complete_calendar"}
    ends = series.drop(index=series.index[-1]).assign(y=lambda rows: rows["y"] + (rows.index == 0) * 39.0)
    assert failed(findings(measure_sales_series, SETTINGS, sales=sales, sales_series=ends)) == {"complete_calendar"}
    lost = series.assign(y=series["y"].where(series.index != 4, 0.0))
    found = findings(measure_sales_series, SETTINGS, sales=sales, sales_series=lost)
    assert failed(found) == {"amount_conservation"}
    assert found["amount_conservation"].measured["accepted sales"] == sales["revenue"].sum()
