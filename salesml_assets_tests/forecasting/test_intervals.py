"""Intervals: order statistics, order of the bounds, coverage by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.intervals import (
    BOUNDS,
    apply_intervals,
    bound_names,
    cross_fold_coverage,
    interval_table,
    pooled_horizons,
    quantile_ranks,
)
from salesml_assets_tests.forecasting.predictions import in_batches

CALIBRATION = {"fold": pl.Int32, "horizon": pl.Int32, "y": pl.Float64, "yhat": pl.Float64, "scale": pl.Float64}


def exchangeable(rows: int, seed: int) -> pl.DataFrame:
    """Rows whose scores are drawn from one skewed law, whatever their size and horizon."""
    rng = np.random.default_rng(seed)
    scale, yhat = np.exp(rng.normal(2, 1, rows)), np.exp(rng.normal(2, 1, rows))
    score = rng.gamma(2, 0.5, rows) - 1 + 0.3 * rng.standard_t(3, rows)
    values = {
        "fold": np.ones(rows),
        "horizon": np.arange(rows) % 4 + 1,
        "y": yhat + score * (scale + yhat) / 2,
        "yhat": yhat,
        "scale": scale,
    }
    return pl.DataFrame(values).cast(CALIBRATION)  # type: ignore[arg-type]


def table_of(rows: pl.DataFrame, **options: Any) -> pd.DataFrame:
    return interval_table(in_batches(rows, 1_000), **options).to_pandas()


def test_bounds_are_the_corrected_order_statistics() -> None:
    rows = exchangeable(6_000, 1)
    table = table_of(rows).set_index("horizon")
    frame = rows.to_pandas()
    frame["score"] = (frame["y"] - frame["yhat"]) / ((frame["scale"] + frame["yhat"]) / 2)
    for horizon in range(1, 5):
        ordered = np.sort(frame.loc[frame["horizon"] == horizon, "score"].to_numpy())
        assert table.loc[horizon, "rows"] == len(ordered) == 1_500
        for level, low, high in ((0.8, "lo80", "hi80"), (0.95, "lo95", "hi95")):
            upper = int(np.ceil((len(ordered) + 1) * (1 + level) / 2))
            assert table.loc[horizon, high] == ordered[upper - 1]
            assert table.loc[horizon, low] == ordered[len(ordered) - upper]


@pytest.mark.parametrize("rows", [19, 39, 99, 500])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_ranks_cover_a_new_value_at_least_as_often_as_promised(rows: int, level: float) -> None:
    lower, upper = quantile_ranks(rows, level)
    draws = np.sort(np.random.default_rng(3).random((20_000, rows + 1))[:, :-1], axis=1)
    new = np.random.default_rng(4).random(20_000)
    covered = float(((draws[:, lower - 1] <= new) & (new <= draws[:, upper - 1])).mean())
    # Exactly (upper - lower) / (rows + 1) in theory, which is at least the level where the ranks exist.
    assert covered == pytest.approx((upper - lower) / (rows + 1), abs=0.012)
    if upper < rows:
        assert (upper - lower) / (rows + 1) >= level - 2 / (rows + 1)


def test_coverage_on_exchangeable_residuals_is_nominal() -> None:
    table = interval_table(in_batches(exchangeable(6_000, 5)))
    new = apply_intervals(exchangeable(20_000, 6), table, non_negative=False).to_pandas()
    for level in (80, 95):
        inside = new["y"].between(new[f"lo{level}"], new[f"hi{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.012)
        below, above = (new["y"] < new[f"lo{level}"]).mean(), (new["y"] > new[f"hi{level}"]).mean()
        assert below == pytest.approx(above, abs=0.02)


def test_few_rows_borrow_from_neighbouring_horizons() -> None:
    rows = [(1, horizon, 1.0 + horizon, 1.0, 1.0) for horizon in (1, 2, 4, 5) for _ in range(400)]
    table = table_of(pl.DataFrame(rows, CALIBRATION, orient="row")).set_index("horizon")
    # Horizon 3 has no rows of its own (a closed weekday), and still has a bound.
    assert list(table.index) == [1, 2, 3, 4, 5]
    assert table["rows"].to_dict() == {1: 1200, 2: 1200, 3: 1600, 4: 1200, 5: 1200}
    assert table.loc[3, "hi95"] == 5.0
    assert table.loc[1, "hi95"] == 4.0


def test_horizons_beyond_the_table_take_its_last_row() -> None:
    table = interval_table(in_batches(exchangeable(400, 7)))
    frame = pl.DataFrame({"horizon": [4, 9], "yhat": 10.0, "scale": 5.0})
    at_four, beyond = apply_intervals(frame, table, True).select(BOUNDS).rows()
    assert at_four == beyond


def test_no_predictions_are_an_error() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        interval_table(in_batches(pl.DataFrame(schema=CALIBRATION)))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 5), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6, allow_subnormal=False)
        ),
        min_size=1,
        max_size=30,
    ),
    non_negative=st.booleans(),
)
def test_bounds_are_nested_around_the_forecast(rows: list[tuple[int, float, float, float]], non_negative: bool) -> None:
    frame = pl.DataFrame([(1, *row) for row in rows], CALIBRATION, orient="row")
    found = apply_intervals(frame, interval_table(in_batches(frame)), non_negative)
    assert len(found) == len(rows)
    ordered = found.select("lo95", "lo80", "yhat", "hi80", "hi95").to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert np.isfinite(ordered).all()
    assert not non_negative or (ordered >= 0).all()


def test_other_levels_have_columns_of_their_own() -> None:
    table = table_of(exchangeable(2_000, 8), levels=(0.5, 0.9, 0.99))
    assert tuple(table.columns[2:]) == bound_names((0.5, 0.9, 0.99))
    widths = [(table[f"hi{level}"] - table[f"lo{level}"]) for level in (50, 90, 99)]
    assert (widths[0] <= widths[1]).all()
    assert (widths[1] <= widths[2]).all()


def test_cross_fold_coverage_is_near_nominal_on_every_cut(predictions: dict[str, Batches]) -> None:
    found = cross_fold_coverage(predictions)
    assert set(found["dimension"]) == {"total", "fold", "horizon", "volume_class"}
    totals = found[found["dimension"] == "total"]
    assert (totals["rows"] == 300 * 84).all()
    assert (totals["coverage"] - totals["level"]).abs().max() < 0.06
    assert (found["width"] > 0).all()
    wide = found.pivot(index=["algorithm", "dimension", "segment"], columns="level", values=["coverage", "width"])
    for name in ("coverage", "width"):
        assert (wide[name][0.8] <= wide[name][0.95]).all()


def test_cross_fold_coverage_agrees_with_pandas(
    predictions: dict[str, Batches], backtests: dict[str, pd.DataFrame]
) -> None:
    rows = backtests["xgboost"]
    some = {"xgboost": predictions["xgboost"]}
    found = cross_fold_coverage(some, levels=(0.8,), dimensions=("fold",)).set_index("segment")
    scores = (rows["y"] - rows["yhat"]) / ((rows["scale"] + rows["yhat"]) / 2)
    for fold in (1, 2, 3):
        hits, widths = [], []
        for horizon in range(1, 29):
            held_out = rows[(rows["fold"] == fold) & (rows["horizon"] == horizon)]
            # 900 rows for a horizon: less than 1,000, so one neighbour on each side joins in.
            near = rows["horizon"].between(horizon - 1, horizon + 1) & (rows["fold"] != fold)
            ordered = np.sort(scores[near])
            upper = int(np.ceil((len(ordered) + 1) * 0.9))
            unit = (held_out["scale"] + held_out["yhat"]) / 2
            high = held_out["yhat"] + max(0.0, ordered[upper - 1]) * unit
            low = (held_out["yhat"] + min(0.0, ordered[len(ordered) - upper]) * unit).clip(lower=0)
            hits.append(held_out["y"].between(low, high))
            widths.append(high - low)
        assert found.loc[str(fold), "coverage"] == pytest.approx(pd.concat(hits).mean(), rel=1e-9)
        volume = rows.loc[rows["fold"] == fold, "y"].sum()
        assert found.loc[str(fold), "width"] == pytest.approx(pd.concat(widths).sum() / volume, rel=1e-9)


def test_a_fold_is_not_covered_by_its_own_residuals(tables: dict[str, pl.DataFrame]) -> None:
    """The last fold is shifted far away: its coverage falls to nothing, as it would have in production."""
    far = pl.when(pl.col("fold") == 3).then(pl.col("y") + 1e7).otherwise("y")
    shifted = {name: in_batches(rows.with_columns(y=far)) for name, rows in tables.items()}
    found = cross_fold_coverage(shifted, dimensions=("fold",))
    assert (found.loc[found["segment"] == "3", "coverage"] == 0).all()


def test_a_single_fold_cannot_be_held_out(tables: dict[str, pl.DataFrame]) -> None:
    alone = in_batches(tables["xgboost"].filter(pl.col("fold") == 1))
    with pytest.raises(ValueError, match="no predictions"):
        cross_fold_coverage({"xgboost": alone})


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), non_negative=st.booleans())
def test_bounds_have_the_same_digits_however_the_rows_are_split(sizes: list[int], non_negative: bool) -> None:
    table = interval_table(in_batches(exchangeable(2_000, 9)))
    frame = exchangeable(sum(sizes), 10).with_columns(pl.col("yhat") - 2)
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    parts = [
        apply_intervals(frame.slice(start, size), table, non_negative)
        for start, size in zip(starts, sizes, strict=True)
    ]
    whole = apply_intervals(frame, table, non_negative)
    pl.testing.assert_frame_equal(pl.concat(parts), whole, check_exact=True)
    assert whole["horizon"].equals(frame["horizon"])  # in the order of the rows


@given(counts=st.lists(st.integers(0, 1_500), min_size=1, max_size=30))
def test_a_horizon_borrows_no_more_than_it_needs(counts: list[int]) -> None:
    windows = pooled_horizons(counts)
    assert len(windows) == len(counts)
    for horizon, (first, last) in enumerate(windows, 1):
        assert 1 <= first <= horizon <= last <= len(counts)
        assert sum(counts[first - 1 : last]) >= min(1_000, sum(counts))
        if first < last:
            reach = max(horizon - first, last - horizon) - 1
            inner = counts[max(0, horizon - 1 - reach) : horizon + reach]
            assert sum(inner) < 1_000
