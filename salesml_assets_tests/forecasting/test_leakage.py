"""The leakage test passes on the panel as it is made, and fails on one that sees its target."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.leakage import changed_features
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_pool

SETTINGS = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


def test_the_leakage_test_passes_and_can_fail(tmp_path: Path) -> None:
    lake, features = Lakehouse(str(tmp_path)), small_features(SETTINGS)
    panel = small_panel(features, SETTINGS)
    lake.write_arrow(features.to_arrow(), "features")
    lake.write_polars(small_pool(features, SETTINGS), "pooled_calendar")
    lake.write_arrow(panel.to_arrow(), "panel")
    result = changed_features(lake, SETTINGS, 5)
    assert result.compared > 0
    assert result.changed == []
    assert result.latest_value <= result.cutoff
    assert result.compared <= 5 * SETTINGS.forecast.horizon
    peeking = panel.with_columns(f_last=pl.coalesce(pl.col("y") / pl.col("scale"), "f_last"))
    lake.write_arrow(peeking.to_arrow(), "panel")
    assert changed_features(lake, SETTINGS, 5).changed == ["f_last"]


def test_a_panel_without_rows_to_forecast_is_refused(tmp_path: Path) -> None:
    lake, features = Lakehouse(str(tmp_path)), small_features(SETTINGS)
    lake.write_arrow(small_panel(features, SETTINGS).filter(pl.col("kind") != "future").to_arrow(), "panel")
    with pytest.raises(ValueError, match="no rows to forecast"):
        changed_features(lake, SETTINGS, 5)
