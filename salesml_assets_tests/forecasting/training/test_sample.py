"""The bounded sample that algorithms learn from: only rows of the past, the same ones in every run."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.panel import SCORE, TRAIN
from salesml_assets.forecasting.training.sample import (
    MAX_LABEL,
    MAX_TWEEDIE_LABEL,
    Once,
    TrainingPanel,
    last_step,
    training_rows,
)
from salesml_assets_tests.forecasting.small_lake import panel_source, small_features, small_panel, training_panel


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


@pytest.fixture(scope="module")
def rows(settings: Settings) -> pl.DataFrame:
    return small_panel(small_features(settings), settings)


@pytest.fixture(scope="module")
def panel(settings: Settings) -> TrainingPanel:
    return training_panel(settings)


def test_training_rows_end_at_the_cutoff_and_at_the_limit(rows: pl.DataFrame, panel: TrainingPanel) -> None:
    cutoff = panel.folds[1].cutoff
    train = rows.filter(pl.col("kind") == TRAIN)
    everything, _ = training_rows(train, cutoff, 1_000_000)
    assert everything["ds"].max() <= cutoff  # type: ignore[operator]
    limit = everything.height // 2
    some, max_draw = training_rows(train, cutoff, limit)
    assert some.height == pytest.approx(limit, rel=0.15)
    assert some.join(everything, on=["unique_id", "origin", "horizon"], how="anti").is_empty()
    assert some["draw"].max() < max_draw  # type: ignore[operator]


def test_no_training_rows_are_an_error(rows: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="no rows to train on up to 2000-01-01: the series are too short"):
        training_rows(rows, dt.date(2000, 1, 1), 10)


def test_a_sample_is_made_once_and_knows_nothing_later(
    rows: pl.DataFrame, panel: TrainingPanel, settings: Settings
) -> None:
    cutoff = panel.folds[1].cutoff
    known = panel.up_to(cutoff)
    assert panel.up_to(cutoff) is known  # for the next algorithm
    later = pl.col("ds") > cutoff
    changed = rows.with_columns(
        pl.when(later).then(99.0).otherwise(name).alias(name) for name in ("y", "scale", "f_last")
    )
    other = TrainingPanel(panel_source(changed), panel.features, settings).up_to(cutoff)
    assert other.encoder.to_json() == known.encoder.to_json()
    np.testing.assert_array_equal(other.matrix, known.matrix)
    np.testing.assert_array_equal(other.labels, known.labels)


def test_the_order_of_the_rows_and_the_size_of_batches_change_nothing(
    rows: pl.DataFrame, panel: TrainingPanel, settings: Settings
) -> None:
    one = TrainingPanel(panel_source(rows), panel.features, settings)
    shuffled = panel_source(rows.sample(fraction=1.0, shuffle=True, seed=1), rows=37)
    two = TrainingPanel(shuffled, panel.features, settings)
    cutoff = one.folds[-1].cutoff
    np.testing.assert_array_equal(one.up_to(cutoff).matrix, two.up_to(cutoff).matrix)
    np.testing.assert_array_equal(one.up_to(cutoff).weights, two.up_to(cutoff).weights)


def test_a_smaller_sample_is_part_of_the_larger(panel: TrainingPanel) -> None:
    known = panel.up_to(panel.last)
    some = known.at_most(known.count // 3)
    assert some.count == pytest.approx(known.count / 3, rel=0.15)
    assert some.at_most(some.count) is some
    inside = np.isin(known.draw, some.draw)
    np.testing.assert_array_equal(known.matrix[inside], some.matrix)
    np.testing.assert_array_equal(known.y[inside], some.y)


def test_labels_are_cut_off_where_an_order_of_a_size_never_seen_would_decide(panel: TrainingPanel) -> None:
    known = panel.up_to(panel.last)
    relative = known.y / known.scale
    np.testing.assert_array_equal(known.labels, np.minimum(np.maximum(relative, -MAX_LABEL), MAX_LABEL))
    np.testing.assert_array_equal(known.non_negative_labels, np.minimum(np.maximum(relative, 0.0), MAX_TWEEDIE_LABEL))
    np.testing.assert_allclose(known.weights, known.scale**0.25)


def test_folds_come_from_the_last_step(rows: pl.DataFrame, panel: TrainingPanel) -> None:
    assert panel.last == rows.filter(pl.col("kind") == "future")["origin"].max()
    assert [fold.number for fold in panel.folds] == [0, 1, 2, 3]
    assert panel.folds[-1].last == panel.last
    scored = rows.filter(pl.col("kind") == SCORE)
    assert sum(batch.height for batch in panel.to_score()) == scored.height
    assert sum(batch.height for batch in panel.to_score(2)) == scored.filter(pl.col("fold") == 2).height
    with pytest.raises(ValueError, match="no rows to forecast"):
        last_step(panel_source(scored))


def test_a_result_is_computed_once_by_whichever_thread_asks_first() -> None:
    once, calls = Once(), []

    def slow() -> int:
        calls.append(1)
        time.sleep(0.05)
        return len(calls)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: once.get("key", slow), range(8)))
    assert found == [1] * 8
    assert len(once) == 1


def test_a_failed_result_is_computed_again() -> None:
    once = Once()
    with pytest.raises(ZeroDivisionError):
        once.get("key", lambda: 1 / 0)
    assert once.get("key", lambda: 7) == 7
