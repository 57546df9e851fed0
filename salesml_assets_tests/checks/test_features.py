"""The checks of features and panel, on a small shop."""

from __future__ import annotations

import polars as pl
import pytest

from salesml_assets.checks.features import measure_features, measure_panel, measure_pooled_calendar
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_pool, small_series

from .lakes import failed

SETTINGS = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    lake = Lakehouse(str(tmp_path_factory.mktemp("checked")))
    features = small_features(SETTINGS)
    lake.write_arrow(small_series().to_arrow(), "sales_series")
    lake.write_arrow(features.to_arrow(), "features")
    lake.write_polars(small_pool(features, SETTINGS), "pooled_calendar")
    lake.write_arrow(small_panel(features, SETTINGS).to_arrow(), "panel")
    return lake


def changed(lake: Lakehouse, name: str, frame: pl.DataFrame, version: int) -> None:
    """Writes a table again, from one of its versions."""
    assert lake.write_arrow(frame.to_arrow(), name).version > version


def test_features(lake: Lakehouse) -> None:
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == set()
    good = lake.read_polars("features", version=0)
    changed(lake, "features", good.head(500), 0)
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == {"complete"}
    changed(lake, "features", good.drop("scale"), 0)
    assert failed({one.check: one for one in measure_features(lake, SETTINGS)}) == {"schema"}
    changed(lake, "features", good, 0)


def test_features_that_are_no_finite_numbers_are_found(lake: Lakehouse) -> None:
    panel = lake.read_polars("panel", version=0)
    first = panel.filter(kind="future")["unique_id"].min()
    step = (pl.col("kind") == "future") & (pl.col("unique_id") == first)
    bad = {1: None, 2: float("nan"), 3: float("inf"), 4: float("-inf")}
    value = pl.col("f_median")
    for horizon, number in bad.items():
        value = pl.when(step & (pl.col("horizon") == horizon)).then(pl.lit(number, pl.Float64)).otherwise(value)
    changed(lake, "panel", panel.with_columns(f_median=value), 0)
    found = {each.check: each for each in measure_panel(lake, SETTINGS)}
    assert failed(found) == {"finite"}
    assert found["finite"].measured["bad rows"] == len(bad)


def test_pooled_calendar(lake: Lakehouse) -> None:
    assert failed({one.check: one for one in measure_pooled_calendar(lake, SETTINGS)}) == set()
    good = lake.read_polars("pooled_calendar", version=0)
    assert good.height > 0
    changed(lake, "pooled_calendar", good.with_columns(log=pl.lit(float("nan"))), 0)
    assert failed({one.check: one for one in measure_pooled_calendar(lake, SETTINGS)}) == {"finite"}
    changed(lake, "pooled_calendar", good, 0)


def test_panel(lake: Lakehouse) -> None:
    panel = lake.read_polars("panel", version=0)
    changed(lake, "panel", panel, 0)
    assert failed({one.check: one for one in measure_panel(lake, SETTINGS)}) == set()
    changed(lake, "panel", pl.concat([panel, panel.filter(kind="train").head(1)]), 0)
    assert failed({one.check: one for one in measure_panel(lake, SETTINGS)}) == {"unique_keys"}
    peeking = panel.with_columns(f_last=pl.coalesce(pl.col("y") / pl.col("scale"), "f_last"))
    changed(lake, "panel", peeking, 0)
    found = {one.check: one for one in measure_panel(lake, SETTINGS)}
    assert failed(found) == {"no_leakage"}
    assert found["no_leakage"].measured["changed"] == "f_last"
    last = panel.filter(kind="score")["origin"].max()
    changed(lake, "panel", panel.filter(~((pl.col("kind") == "score") & (pl.col("origin") == last))), 0)  # too short
    found = {one.check: one for one in measure_panel(lake, SETTINGS)}
    assert failed(found) == set()
    assert found["no_leakage"].measured["rows compared"] == 0
