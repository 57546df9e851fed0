"""Stability against loops over pairs of forecasts."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from salesml_assets.forecasting.model.models import Baseline
from salesml_assets.forecasting.stability import backtest_changes, change_of, overlapping_rows, successive
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import FEATURES, POOLED_CALENDAR
from salesml_assets_tests.forecasting.small_lake import small_features, small_pool
from salesml_assets_tests.forecasting.small_models import HORIZON, SETTINGS, bundle

FEATURE_ROWS = small_features(SETTINGS)
LAST = FEATURE_ROWS["ds"].max()
assert isinstance(LAST, dt.date)
CUTOFF = LAST - dt.timedelta(HORIZON)


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    lake = Lakehouse(str(tmp_path))
    lake.write_polars(FEATURE_ROWS, FEATURES)
    lake.write_polars(small_pool(FEATURE_ROWS, SETTINGS), POOLED_CALENDAR)
    return lake


def test_successive_forecasts_are_of_the_same_series_and_step() -> None:
    day = dt.date(2024, 1, 10)
    origins = [day - dt.timedelta(back) for back in (7, 3, 1)]
    made = pl.DataFrame(
        {
            "unique_id": ["a", "a", "a", "b"], "ds": [day] * 4, "origin": [*reversed(origins), origins[0]],
            "horizon": [1, 3, 7, 7], "yhat": [4.0, 2.0, 1.0, 9.0],
        }
    )  # fmt: skip
    pairs = successive(made)
    assert pairs.select("horizon", "new", "old").rows() == [(3, 2.0, 1.0), (1, 4.0, 2.0)]
    assert change_of(pairs) == pytest.approx((1 + 2) / (1.5 + 3))
    assert change_of(pairs.head(0)) is None


def test_origins_overlap_and_no_target_was_seen(lake: Lakehouse) -> None:
    rows = overlapping_rows(lake, bundle(2, cutoff=CUTOFF))
    assert sorted(set(rows["origin"])) == [CUTOFF, CUTOFF + dt.timedelta(3), CUTOFF + dt.timedelta(6)]
    assert rows["ds"].min() > CUTOFF
    assert rows["ds"].max() == LAST
    assert successive(rows.with_columns(yhat=pl.lit(1.0))).height > 0


def test_changes_are_those_of_a_loop(lake: Lakehouse) -> None:
    model = bundle(1, cutoff=CUTOFF, model=Baseline("average_short"))
    level_model = bundle(1, cutoff=CUTOFF, model=Baseline("scale"))
    found = backtest_changes(lake, {"short": model, "level": level_model})
    rows = overlapping_rows(lake, model)
    moved = size = 0.0
    for _, part in rows.group_by("unique_id", "ds"):
        values = part.sort("origin")["average_short"].to_list()
        for old, new in itertools.pairwise(values):
            moved += abs(new - old)
            size += (abs(new) + abs(old)) / 2
    total = found[(found["dimension"] == "total") & (found["algorithm"] == "short")]["value"].item()
    assert total == pytest.approx(moved / size)
    assert set(found["metric"]) == {"change"}
    level = found[(found["dimension"] == "total") & (found["algorithm"] == "level")]["value"].item()
    assert 0 < level < total  # a mean over months moves less than one over a week
    assert np.isfinite(found["value"]).all()


def test_a_horizon_of_one_step_has_no_stability(lake: Lakehouse) -> None:
    assert backtest_changes(lake, {"x": bundle(1, cutoff=CUTOFF, horizon=1)}).empty
    assert backtest_changes(lake, {}).empty
