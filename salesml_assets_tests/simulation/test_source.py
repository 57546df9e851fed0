"""The source in weeks: every row once, in its week, under plain columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.quality.mapping import canonical
from salesml_assets.quality.source import read_source
from salesml_assets.simulation.plan import WEEK, Event, Simulation
from salesml_assets.simulation.source import deliver_history, deliver_week, replay_settings, split_source
from salesml_assets_tests.forecasting.small import START, small_sales

DAYS = 13 * 7 + 3
MONDAYS = [START + number * WEEK for number in (11, 12)]
COLUMNS = {"date": "Day", "product": "upper(trim(Code))", "category": None, "quantity": "units",
           "unit_price": "price", "revenue": "units * price"}  # fmt: skip


@pytest.fixture
def delivered(tmp_path: Path) -> pd.DataFrame:
    """What is in the file `sales.csv`: a row without a date and one of the sort that the filter leaves out, too."""
    sales = small_sales(days=DAYS).drop(columns=["revenue", "category"])
    sales.columns = pd.Index(["Day", "Code", "units", "price"])
    odd = pd.DataFrame({"Day": ["never", "2023-01-02"], "Code": ["p1", "sample"], "units": [1.0, 1.0], "price": 2.0})
    rows = pd.concat([sales.astype({"Day": str}), odd]).assign(promotion=1)
    rows.to_csv(tmp_path / "sales.csv", index=False)
    return rows[rows["Code"] != "sample"]


@pytest.fixture
def real(settings_for: Callable[..., Settings], tmp_path: Path, delivered: pd.DataFrame) -> Settings:
    return settings_for(
        sales={"path": str(tmp_path / "sales.csv"), "format": "csv", "columns": COLUMNS, "filter": "Code != 'sample'"},
        forecast={"known_future": {"columns": ["promotion"]}},
    )


@pytest.fixture
def replayed(spark: SparkSession, real: Settings, tmp_path: Path) -> Settings:
    columns = split_source(spark, real, MONDAYS, tmp_path / "weeks")
    deliver_history(tmp_path / "weeks", tmp_path / "source", MONDAYS)
    return replay_settings(real, columns, tmp_path / "source")


def deliver(replayed: Settings, folder: Path, week: int, *events: dict[str, Any]) -> int:
    plan = Simulation(weeks=2, events=[Event(**event) for event in events])
    return deliver_week(folder / "weeks", folder / "source", week, MONDAYS, plan, replayed)


def read(spark: SparkSession, settings: Settings) -> pd.DataFrame:
    rows = canonical(read_source(spark, settings), settings).drop("source", "unusable").toPandas()
    return rows.sort_values(list(rows.columns), ignore_index=True)


def test_columns_are_plain_and_no_canonical_one_is_lost(replayed: Settings) -> None:
    assert replayed.sales.columns.model_dump() == {
        "date": "Day", "product": "product", "category": None, "store": None, "order_id": None, "quantity": "units",
        "unit_price": "price", "revenue": "revenue", "stock_out": None,
    }  # fmt: skip
    assert (replayed.sales.format, replayed.sales.filter) == ("parquet", None)


def test_after_all_weeks_the_source_is_the_real_one(
    spark: SparkSession, real: Settings, replayed: Settings, tmp_path: Path, delivered: pd.DataFrame
) -> None:
    counts = [len(read(spark, replayed)), deliver(replayed, tmp_path, 1), deliver(replayed, tmp_path, 2)]
    until = MONDAYS[-1] + WEEK
    expected = read(spark, real)
    expected = expected[expected["date"].isna() | (expected["date"] < until)].reset_index(drop=True)
    pd.testing.assert_frame_equal(read(spark, replayed), expected)
    assert sum(counts) == len(expected) < len(delivered), "the week that the source does not complete is left out"


def test_a_week_has_its_days_only_and_a_file_of_the_same_time_each_time(
    spark: SparkSession, replayed: Settings, tmp_path: Path
) -> None:
    before = read(spark, replayed)
    assert before["date"].max() < MONDAYS[0]
    deliver(replayed, tmp_path, 1)
    file = tmp_path / "source" / f"{MONDAYS[0]}.parquet"
    first, time = file.read_bytes(), file.stat().st_mtime
    deliver(replayed, tmp_path, 1)
    assert (file.read_bytes(), file.stat().st_mtime) == (first, time)
    assert dt.datetime.fromtimestamp(time, dt.UTC).date() == MONDAYS[1]
    days = read(spark, replayed)["date"].dropna()
    assert (days.min(), days.max()) == (START, MONDAYS[0] + dt.timedelta(5)), "the shop is closed on Sundays"


def test_an_event_is_in_the_file_of_its_weeks(spark: SparkSession, replayed: Settings, tmp_path: Path) -> None:
    doubled = {"kind": "level_shift", "week": 2, "size": 1.0, "share": 1.0}
    assert deliver(replayed, tmp_path, 1, doubled) > 0
    before = read(spark, replayed).groupby("product")["revenue"].sum()
    deliver(replayed, tmp_path, 2)
    plain = read(spark, replayed).groupby("product")["revenue"].sum().sub(before, fill_value=0)
    deliver(replayed, tmp_path, 2, doubled)
    shifted = read(spark, replayed)
    factors = shifted.groupby("product")["revenue"].sum().sub(before, fill_value=0) / plain
    new = ["P7"]  # which did not sell before the event
    assert (factors[new] == 1).all()
    assert factors.drop(new).to_numpy() == pytest.approx(2)
    assert (shifted["revenue"] - shifted["quantity"] * shifted["unit_price"]).abs().max() == pytest.approx(0, abs=1e-9)


def test_a_week_without_sales_has_no_file(replayed: Settings, tmp_path: Path) -> None:
    later = [MONDAYS[0], MONDAYS[0] + 9 * WEEK]
    assert deliver_week(tmp_path / "weeks", tmp_path / "source", 2, later, Simulation(weeks=2), replayed) == 0
    assert not (tmp_path / "source" / f"{later[1]}.parquet").exists()
