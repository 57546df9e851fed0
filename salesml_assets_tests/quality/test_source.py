# ruff: noqa: E501
"""The filter, and the errors before any work starts: each names its key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.quality.history import days_of_other_months
from salesml_assets.quality.source import needed_steps, preflight, read_source

FIRST = dt.date(2024, 1, 1)
TODAY = dt.date(2024, 6, 30)
Sections = dict[str, dict[str, Any]]


@pytest.fixture
def made(settings_for: Callable[..., Settings], tmp_path: Path) -> Callable[..., Settings]:
    """Settings for 100 days of sales in a CSV file, with changes."""
    lines = ["data_venda,produto,quantidade,valor_total,status,promo"]
    for number in range(100):
        status = ["paid", "canceled", ""][number % 3]
        lines.append(f"{FIRST + dt.timedelta(number)},p,1,2.5,{status},{number % 2}")
    lines += ["2025-01-01,p,1,2.5,paid,0", "2020-01-01,p,1,2.5,paid,0", "soon,p,1,2.5,paid,0", "2024-01-01,broken"]
    (tmp_path / "sales.csv").write_text("\n".join(lines) + "\n")
    defaults: Sections = {
        "sales": {"path": str(tmp_path / "sales.csv"), "format": "csv", "first_month": "2024-01"},
        "forecast": {"horizon": 14},
        "clock": {"today": TODAY},
    }

    def make(**changes: dict[str, Any]) -> Settings:
        names = defaults.keys() | changes.keys()
        return settings_for(**{name: defaults.get(name, {}) | changes.get(name, {}) for name in names})

    return make


def test_a_source_that_works(spark: SparkSession, made: Callable[..., Settings]) -> None:
    summary = preflight(spark, made())
    assert summary.columns == ["data_venda", "produto", "quantidade", "valor_total", "status", "promo"]
    assert list(summary.canonical) == ["date", "product", "quantity", "revenue"]
    assert (summary.first_date, summary.last_date) == (FIRST, FIRST + dt.timedelta(99))
    assert summary.weekdays == set(range(7))
    assert (summary.rows, summary.left_out) == (104, 0)


def test_the_filter_leaves_rows_out_but_not_unreadable_ones(spark: SparkSession, made: Callable[..., Settings]) -> None:
    settings = made(sales={"filter": "status not in ('canceled')"})
    summary = preflight(spark, settings)
    # Of 100 rows 33 are cancelled and 33 have no status: SQL does not know whether those meet the condition.
    assert (summary.rows, summary.left_out) == (34 + 3 + 1, 66)
    rows = read_source(spark, settings).collect()
    assert len(rows) == summary.rows
    assert [row["_corrupt_record"] for row in rows if row["_corrupt_record"]] == ["2024-01-01,broken"]


BAD: list[tuple[Sections, str]] = [
    ({"sales": {"path": "/nowhere/sales"}}, r"sales\.path: there is nothing"),
    ({"sales": {"format": "parquet"}}, r"sales\.format: .* is not a Parquet file"),
    ({"sales": {"columns": {"product": "prodct"}}}, r"sales\.columns\.product: 'prodct' .*mean 'produto'.*status, promo$"),
    ({"sales": {"columns": {"revenue": "valor_total *"}}}, r"sales\.columns\.revenue: "),
    ({"sales": {"columns": {"date": "quantidade"}}}, r"sales\.columns\.date: none of the 103 rows has a usable date: 103 "),
    ({"sales": {"filter": "stats = 'paid'"}}, r"sales\.filter: .*`stats`"),
    ({"sales": {"filter": "status"}}, r"sales\.filter: 'status' is no condition: it gives string"),
    ({"sales": {"filter": "count(*) > 1"}}, r"sales\.filter: "),
    ({"sales": {"filter": "status = 'none' and _corrupt_record is null"}}, r"sales\.filter: none of the 103 rows meets"),
    ({"clock": {"today": dt.date(2023, 12, 1)}, "sales": {"first_month": "2021-01"}}, r"sales\.columns\.date: none .* 101 lie after today"),
    ({"quality": {"exclude_products": "(POST"}}, r"quality\.exclude_products: "),
    ({"quality": {"disable": ["duplicates"]}}, r"quality\.disable: there is no default rule duplicates"),
    ({"quality": {"rules": [{"name": "own", "condition": "amount > 1"}]}}, r"quality\.rules\.own: .*`amount`.*Columns: date, "),
    ({"quality": {"rules": [{"name": "own", "condition": "source.stats > 1"}]}}, r"quality\.rules\.own: .*source\.<column>: data_venda"),
    ({"quality": {"rules": [{"name": "own", "condition": "quantity +"}]}}, r"quality\.rules\.own: "),
    ({"quality": {"rules": [{"name": "own", "condition": "quantity"}]}}, r"quality\.rules\.own: 'quantity' is no condition"),
    ({"quality": {"rules": [{"name": "own", "condition": "product rlike '('"}]}}, r"quality\.rules\.own: fails on the source's rows"),
    ({"forecast": {"known_future": {"columns": ["promotion"]}}}, r"forecast\.known_future\.columns: .*'promotion'.*status, promo$"),
    ({"forecast": {"horizon": 40}}, r"forecast\.horizon: 40 days .* need 200 days of sales, there are 100 .* fits is 20$"),
    ({"forecast": {"horizon": 14, "frequency": "W"}}, r"forecast\.horizon: 14 weeks .* need 70 weeks .* there are 15 .* fits is 1$"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message.partition(":")[0] for _, message in BAD])
def test_what_cannot_work(changes: Sections, message: str, spark: SparkSession, made: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}") as caught:
        preflight(spark, made(**changes))
    assert "\n" not in str(caught.value)
    assert "SQLSTATE" not in str(caught.value)


def test_a_horizon_that_nothing_carries(spark: SparkSession, made: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError, match=r"even a horizon of 1 needs 12 weeks$"):
        preflight(spark, made(forecast={"frequency": "W", "horizon": 4}, sales={"filter": "data_venda < '2024-02'"}))


def test_the_file_of_planned_values(spark: SparkSession, made: Callable[..., Settings], tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"

    def planned(**changes: Any) -> Settings:
        return made(forecast={"known_future": {"path": str(plan), "format": "csv", "columns": ["promo"]} | changes})

    plan.write_text("data_venda,produto,promo\n2024-04-12,p,1\n")
    assert preflight(spark, planned()).rows == 104
    for text, message in (
        ("data_venda,promotion\n2024-04-12,1\n", "has no column promo. Its columns: data_venda, promotion$"),
        ("day,promo\n2024-04-12,1\n", r"lacks the date 'data_venda' \(sales\.columns\.date\)"),
    ):
        plan.write_text(text)
        with pytest.raises(ConfigurationError, match=rf"^forecast\.known_future\.path: .*{message}"):
            preflight(spark, planned())
    with pytest.raises(ConfigurationError, match=r"^forecast\.known_future\.columns: name the columns"):
        preflight(spark, planned(columns=[]))
    plan.unlink()
    with pytest.raises(ConfigurationError, match=r"^forecast\.known_future\.path: there is nothing at"):
        preflight(spark, planned())


@pytest.mark.parametrize(
    ("horizon", "frequency", "steps"), [(28, "D", 140), (7, "D", 42), (1, "D", 18), (13, "W", 65), (4, "W-SAT", 24)]
)
def test_needed_steps(horizon: int, frequency: str, steps: int, settings_for: Callable[..., Settings]) -> None:
    assert needed_steps(settings_for(forecast={"horizon": horizon, "frequency": frequency})) == steps


def test_names_that_are_taken(spark: SparkSession, made: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "taken.csv").write_text("data_venda,produto,valor_total,_Month\n2024-01-01,p,1,x\n")
    with pytest.raises(ConfigurationError, match=r"^sales\.path: the source has a column '_month'"):
        read_source(spark, made(sales={"path": str(tmp_path / "taken.csv")}))


def test_a_partial_load_is_judged_with_what_the_lake_has(spark: SparkSession, made: Callable[..., Settings]) -> None:
    """100 days in four months; the last two alone are 40 days, and two weeks ahead need 70."""
    settings, months = made(), ["2024-03", "2024-04"]
    with pytest.raises(
        ConfigurationError,
        match=r"^forecast\.horizon: .*need 70 days of sales, there are 40 \(2024-03-01 to 2024-04-09\).*without --since",
    ):
        preflight(spark, settings, months)
    assert preflight(spark, settings, months, trains=False).first_date == dt.date(2024, 3, 1)
    days = [FIRST + dt.timedelta(number) for number in range(60)]
    earlier = pd.DataFrame({"date": days, "month": [f"{day:%Y-%m}" for day in days]})
    lake = Lakehouse(settings.lake.root)
    write_deltalake(lake.path("sales"), earlier, partition_by="month")
    assert days_of_other_months(lake, months) == (FIRST, FIRST + dt.timedelta(59))
    summary = preflight(spark, settings, months)
    assert (summary.first_date, summary.last_date) == (dt.date(2024, 3, 1), dt.date(2024, 4, 9))
    assert days_of_other_months(lake, ["2024-01", "2024-02"]) is None
