"""The table `pooled_calendar` from the lake's features."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import polars.testing
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting import pool_table
from salesml_assets.forecasting.pool_table import pooled_calendar
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.forecasting.small_lake import small_features, small_pool

SETTINGS = Settings(
    forecast={"horizon": 7, "holidays": {"country": "BR"}},
    sales={"first_month": "2020-01"},
    training={"max_rows": 2_000, "tree_rows": 1_000},
)


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    lake = Lakehouse(str(tmp_path))
    lake.write_polars(small_features(SETTINGS), "features")
    return lake


def test_it_is_the_pool_of_all_series_where_they_are_few(lake: Lakehouse) -> None:
    made, expected = pooled_calendar(lake, SETTINGS), small_pool(small_features(SETTINGS), SETTINGS)
    key = ["part", "group", "day", "term"]
    assert set(made["part"]) == {"coefficient", "holiday"}
    pl.testing.assert_frame_equal(
        made.filter(part="coefficient").sort(key), expected.filter(part="coefficient").sort(key), abs_tol=1e-9
    )


def test_the_sums_of_holidays_leave_closed_days_out(lake: Lakehouse) -> None:
    found = pooled_calendar(lake, SETTINGS).filter(part="holiday")
    closed = small_features(SETTINGS).group_by("ds").agg(pl.col("closed").all()).filter("closed")
    assert closed.height > 0
    assert found.height > 0
    assert not set(found["day"]) & set(closed["ds"])


def test_the_same_series_are_drawn_in_whatever_order_they_are_stored(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_table, "SERIES", 4)
    first = pooled_calendar(lake, SETTINGS)
    lake.write_polars(small_features(SETTINGS).sample(fraction=1.0, shuffle=True, seed=3), "features")
    pl.testing.assert_frame_equal(pooled_calendar(lake, SETTINGS), first)


def test_nothing_is_made_where_no_feature_needs_it(lake: Lakehouse) -> None:
    off = Settings(
        forecast={"horizon": 7, "calendar_regression": False},
        training={"algorithms": ["seasonal_naive", "xgboost"]},
    )
    assert pooled_calendar(lake, off).is_empty()
