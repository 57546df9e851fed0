"""Intervals: order statistics, order of the bounds, coverage by simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.forecasting.intervals import (
    BOUNDS,
    apply_intervals,
    bound_names,
    cross_fold_coverage,
    interval_table,
    quantile_ranks,
)
from salesml_assets_tests.forecasting.predictions import SCHEMA, spark_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CALIBRATION = "fold int, horizon int, y double, yhat double, scale double"


def exchangeable(spark: SparkSession, rows: int, seed: int) -> DataFrame:
    """Rows whose scores are drawn from one skewed law, whatever their size and horizon."""
    rng = np.random.default_rng(seed)
    scale, yhat = np.exp(rng.normal(2, 1, rows)), np.exp(rng.normal(2, 1, rows))
    score = rng.gamma(2, 0.5, rows) - 1 + 0.3 * rng.standard_t(3, rows)
    frame = pd.DataFrame(
        {
            "fold": 1,
            "horizon": np.arange(rows) % 4 + 1,
            "y": yhat + score * (scale + yhat) / 2,
            "yhat": yhat,
            "scale": scale,
        }
    )
    return spark_table(spark, frame, CALIBRATION)


def test_bounds_are_the_corrected_order_statistics(spark: SparkSession) -> None:
    rows = exchangeable(spark, 6_000, 1)
    table = interval_table(rows).set_index("horizon")
    frame = rows.toPandas()
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


def test_coverage_on_exchangeable_residuals_is_nominal(spark: SparkSession) -> None:
    table = interval_table(exchangeable(spark, 6_000, 5))
    new = apply_intervals(exchangeable(spark, 20_000, 6), table, non_negative=False).toPandas()
    for level in (80, 95):
        inside = new["y"].between(new[f"lo{level}"], new[f"hi{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.012)
        below, above = (new["y"] < new[f"lo{level}"]).mean(), (new["y"] > new[f"hi{level}"]).mean()
        assert below == pytest.approx(above, abs=0.02)


def test_few_rows_borrow_from_neighbouring_horizons(spark: SparkSession) -> None:
    rows = [(1, horizon, 1.0 + horizon, 1.0, 1.0) for horizon in (1, 2, 4, 5) for _ in range(400)]
    table = interval_table(spark.createDataFrame(rows, CALIBRATION)).set_index("horizon")
    # Horizon 3 has no rows of its own (a closed weekday), and still has a bound.
    assert list(table.index) == [1, 2, 3, 4, 5]
    assert table["rows"].to_dict() == {1: 1200, 2: 1200, 3: 1600, 4: 1200, 5: 1200}
    assert table.loc[3, "hi95"] == 5.0
    assert table.loc[1, "hi95"] == 4.0


def test_horizons_beyond_the_table_take_its_last_row(spark: SparkSession) -> None:
    table = interval_table(exchangeable(spark, 400, 7))
    frame = spark.createDataFrame([(4, 10.0, 5.0), (9, 10.0, 5.0)], "horizon int, yhat double, scale double")
    at_four, beyond = apply_intervals(frame, table, True).select(*BOUNDS).collect()
    assert at_four == beyond


def test_no_predictions_are_an_error(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="no predictions"):
        interval_table(spark.createDataFrame([], CALIBRATION))


@settings(max_examples=8, deadline=None)
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
def test_bounds_are_nested_around_the_forecast(
    spark: SparkSession, rows: list[tuple[int, float, float, float]], non_negative: bool
) -> None:
    frame = spark.createDataFrame([(1, *row) for row in rows], CALIBRATION)
    found = apply_intervals(frame, interval_table(frame), non_negative).toPandas()
    assert len(found) == len(rows)
    ordered = found[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert np.isfinite(ordered).all()
    assert not non_negative or (ordered >= 0).all()


def test_other_levels_have_columns_of_their_own(spark: SparkSession) -> None:
    table = interval_table(exchangeable(spark, 2_000, 8), levels=(0.5, 0.9, 0.99))
    assert tuple(table.columns[2:]) == bound_names((0.5, 0.9, 0.99))
    widths = [(table[f"hi{level}"] - table[f"lo{level}"]) for level in (50, 90, 99)]
    assert (widths[0] <= widths[1]).all()
    assert (widths[1] <= widths[2]).all()


def test_cross_fold_coverage_is_near_nominal_on_every_cut(predictions: DataFrame) -> None:
    found = cross_fold_coverage(predictions)
    assert set(found["dimension"]) == {"total", "fold", "horizon", "volume_class"}
    totals = found[found["dimension"] == "total"]
    assert (totals["rows"] == 300 * 84).all()
    assert (totals["coverage"] - totals["level"]).abs().max() < 0.06
    assert (found["width"] > 0).all()
    wide = found.pivot(index=["algorithm", "dimension", "segment"], columns="level", values=["coverage", "width"])
    for name in ("coverage", "width"):
        assert (wide[name][0.8] <= wide[name][0.95]).all()


def test_cross_fold_coverage_agrees_with_pandas(spark: SparkSession, backtests: dict[str, pd.DataFrame]) -> None:
    rows = backtests["xgboost"].assign(algorithm="xgboost")
    found = cross_fold_coverage(
        spark_table(spark, rows, f"{SCHEMA}, algorithm string"), levels=(0.8,), dimensions=("fold",)
    ).set_index("segment")
    scores = (rows["y"] - rows["yhat"]) / ((rows["scale"] + rows["yhat"]) / 2)
    for fold in (1, 2, 3):
        hits = []
        for horizon in range(1, 29):
            held_out = rows[(rows["fold"] == fold) & (rows["horizon"] == horizon)]
            # 900 rows for a horizon: less than 1,000, so one neighbour on each side joins in.
            near = rows["horizon"].between(horizon - 1, horizon + 1) & (rows["fold"] != fold)
            ordered = np.sort(scores[near])
            # One rank for all horizons, that of the fewest rows: two horizons at the ends.
            upper = int(np.ceil(1801 * 0.9)) / 1800
            unit = (held_out["scale"] + held_out["yhat"]) / 2
            high = held_out["yhat"] + max(0.0, ordered[int(np.ceil((upper - 0.5 / 1800) * len(ordered))) - 1]) * unit
            lower = (1801 - int(np.ceil(1801 * 0.9)) - 0.5) / 1800
            low = held_out["yhat"] + min(0.0, ordered[int(np.ceil(lower * len(ordered))) - 1]) * unit
            hits.append(held_out["y"].between(low.clip(lower=0), high))
        assert found.loc[str(fold), "coverage"] == pytest.approx(pd.concat(hits).mean(), abs=2e-4)


def test_a_fold_is_not_covered_by_its_own_residuals(predictions: DataFrame) -> None:
    """The last fold is shifted far away: its coverage falls to nothing, as it would have in production."""
    shifted = predictions.selectExpr("* except (y)", "if(fold = 3, y + 1e7, y) as y")
    found = cross_fold_coverage(shifted, dimensions=("fold",))
    assert (found.loc[found["segment"] == "3", "coverage"] == 0).all()
