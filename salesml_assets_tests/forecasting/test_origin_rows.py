"""Rows at other origins against the rows of a panel that was made there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.origin_rows import rows_at
from salesml_assets.forecasting.panel import SCORE
from salesml_assets.forecasting.pool_table import spec_of_lake
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FEATURES, POOLED_CALENDAR
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_pool

HORIZON = 7
ORDER = ["unique_id", "fold", "horizon"]


def test_they_are_those_of_a_panel_that_was_made_there(tmp_path: Path) -> None:
    settings = Settings(lake={"root": str(tmp_path)}, forecast={"horizon": HORIZON})
    lake, features = Lakehouse(str(tmp_path)), small_features(settings)
    lake.write_polars(features, FEATURES)
    lake.write_polars(small_pool(features, settings), POOLED_CALENDAR)
    panel = small_panel(features, settings)
    scored = panel.filter(kind=SCORE)
    origins = [fold.cutoff for fold in rolling_folds(max(features["ds"]), HORIZON, settings.training.folds, 1)]
    made = rows_at(lake, spec_of_lake(lake, settings), scored["unique_id"].unique(), origins, HORIZON)

    shared = [name for name in scored.columns if name in made.columns and name != "draw"]
    assert {"calendar_regression", "fold", "origin"} <= set(shared)
    one, other = (frame.sort(ORDER).select(shared) for frame in (scored, made))
    assert one.height == other.height > 0
    for name in shared:
        if one.schema[name].is_float():
            assert np.allclose(one[name].to_numpy(), other[name].to_numpy(), equal_nan=True), name
        else:
            assert one[name].equals(other[name]), name
