"""Metrics against plain pandas and scikit-learn."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from salesml_assets.forecasting.metrics import DIMENSIONS, METRICS, metrics_by, total
from salesml_assets.forecasting.scan import Scan, scan
from salesml_assets_tests.forecasting.predictions import SCHEMA, backtest_predictions, in_batches, polars_table, scan_of

FIRST = dt.date(2024, 1, 1)
SEGMENT_COLUMNS = {"fold": "fold", "category": "category", "volume_class": "volume_class", "horizon": "bucket"}


def oracle(rows: pd.DataFrame, folds: int) -> dict[str, float]:
    error = rows["yhat"] - rows["y"]
    per_fold = rows.assign(squared=error**2).groupby(["unique_id", "fold"])
    ratio = per_fold["squared"].mean() / per_fold["naive_mse"].first()
    return {
        "wape": error.abs().sum() / rows["y"].abs().sum(),
        "bias": error.sum() / rows["y"].abs().sum(),
        "rmse": root_mean_squared_error(rows["y"], rows["yhat"]),
        "mae": mean_absolute_error(rows["y"], rows["yhat"]),
        "r2": r2_score(rows["y"], rows["yhat"]),
        "rmsse": np.sqrt(ratio.dropna()).mean(),
        "cost": error.abs().sum() / folds,
        "rows": float(len(rows)),
        "series": float(rows["unique_id"].nunique()),
    }


def of_scans(scans: dict[str, Scan]) -> pd.DataFrame:
    return metrics_by({name: found.segments for name, found in scans.items()})


def metrics_of(rows: pl.DataFrame, weekly: bool = False) -> pd.DataFrame:
    """Metrics of one algorithm, `x`."""
    return of_scans({"x": scan_of(rows, weekly)})


def test_every_dimension_agrees_with_pandas_and_scikit_learn(
    scans: dict[str, Scan], backtests: dict[str, pd.DataFrame]
) -> None:
    found = of_scans(scans)
    assert set(found["dimension"]) == set(DIMENSIONS)
    checked = 0
    for algorithm, rows in backtests.items():
        scored = rows[rows["fold"] >= 1]
        scored = scored.assign(
            bucket=pd.cut(scored["horizon"], [0, 7, 14, 28], labels=["1-7", "8-14", "15-28"]).astype(str)
        )
        segments = [("total", "all", scored)]
        for dimension, column in SEGMENT_COLUMNS.items():
            segments += [(dimension, str(key), group) for key, group in scored.groupby(column)]
        for dimension, segment, group in segments:
            folds = 1 if dimension == "fold" else 3
            mask = (found["algorithm"] == algorithm) & (found["dimension"] == dimension) & (found["segment"] == segment)
            values = found[mask].set_index("metric")["value"]
            assert values.to_dict() == pytest.approx(oracle(group, folds), rel=1e-8), (algorithm, dimension, segment)
            checked += len(values)
    assert checked == len(found)


def test_buckets_of_weeks(tables: dict[str, pl.DataFrame]) -> None:
    found = metrics_of(tables["xgboost"], weekly=True).query("dimension == 'horizon'")
    assert set(found["segment"]) == {"1", "2-4", "5-13", "14+"}
    rows = found[found["metric"] == "rows"].set_index("segment")["value"]
    assert rows.to_dict() == {"1": 900, "2-4": 2700, "5-13": 8100, "14+": 13500}


def test_far_horizons_have_a_bucket_without_end() -> None:
    rows = backtest_predictions(series=3, horizon=35, algorithms={"naive": (0.5, 0.0)})["naive"]
    found = metrics_of(polars_table(rows)).query("dimension == 'horizon'")
    assert set(found["segment"]) == {"1-7", "8-14", "15-28", "29+"}


def test_the_tuning_fold_does_not_count(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["xgboost"]
    spoiled = rows.with_columns(yhat=pl.when(pl.col("fold") == 0).then(1e9).otherwise("yhat"))
    pd.testing.assert_frame_equal(metrics_of(spoiled), metrics_of(rows))


@pytest.mark.parametrize("rows", [1_000, 50_000])
def test_metrics_do_not_depend_on_the_batches(tables: dict[str, pl.DataFrame], rows: int) -> None:
    shuffled = tables["xgboost"].sample(fraction=1, shuffle=True, seed=1)
    found = of_scans({"x": scan(in_batches(shuffled, rows))})
    pd.testing.assert_frame_equal(found, metrics_of(tables["xgboost"]))


def test_the_fingerprint_is_that_of_the_rows_in_any_order(
    tables: dict[str, pl.DataFrame], scans: dict[str, Scan]
) -> None:
    assert len({found.fingerprint for found in scans.values()}) == 1
    shuffled = tables["xgboost"].sample(fraction=1, shuffle=True, seed=2)
    assert scan_of(shuffled).fingerprint == scans["xgboost"].fingerprint
    for name in ("unique_id", "fold", "ds", "horizon"):
        moved = shuffled.with_columns(pl.when(pl.int_range(pl.len()) == 5).then(pl.col(name).last()).otherwise(name))
        assert scan_of(moved.filter(pl.col(name).is_not_null())).fingerprint != scans["xgboost"].fingerprint


def test_no_predictions_are_an_error(tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(ValueError, match="there are no rows"):
        scan_of(tables["xgboost"].clear())


def small_frame(y: Sequence[float], yhat: Sequence[float], naive_mse: float | None = 1.0) -> pl.DataFrame:
    rows = [
        ("a", None, "A", 1, FIRST, step, FIRST, value, guess, 1.0, naive_mse)
        for step, (value, guess) in enumerate(zip(y, yhat, strict=True), 1)
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def test_undefined_values_are_null_and_never_infinite() -> None:
    nothing_sold = metrics_of(small_frame([0.0, 0.0], [1.0, 0.0], None)).query("dimension == 'total'")
    values = nothing_sold.set_index("metric")["value"]
    assert values[["wape", "bias", "r2", "rmsse"]].isna().all()
    assert values["mae"] == 0.5
    assert not np.isinf(nothing_sold["value"]).any()


def test_a_constant_target_has_no_r2() -> None:
    values = metrics_of(small_frame([0.1] * 7, [0.2] * 7)).query("dimension == 'total'").set_index("metric")["value"]
    assert math.isnan(values["r2"])
    assert values["wape"] == pytest.approx(1.0)


def test_without_categories_there_is_no_such_segment() -> None:
    found = metrics_of(small_frame([1.0, 2.0], [1.0, 1.0]))
    assert set(found["dimension"]) == {"total", "fold", "horizon", "volume_class"}


def test_totals_are_looked_up_by_algorithm(scans: dict[str, Scan]) -> None:
    found = of_scans(scans)
    assert list(total(found, "wape")) == sorted(set(found["algorithm"]))
    assert set(found["metric"]) == set(METRICS)


amounts = st.floats(0.01, 1e6)


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(amounts, amounts), min_size=2, max_size=20), factor=st.floats(1e-3, 1e3))
def test_relative_metrics_do_not_depend_on_the_unit(pairs: list[tuple[float, float]], factor: float) -> None:
    y, yhat = [list(values) for values in zip(*pairs, strict=True)]
    plain = metrics_of(small_frame(y, yhat)).query("dimension == 'total'").set_index("metric")["value"]
    scaled_frame = small_frame([factor * v for v in y], [factor * v for v in yhat], factor**2)
    scaled = metrics_of(scaled_frame).query("dimension == 'total'").set_index("metric")["value"]
    for name in ("wape", "bias", "rmsse"):
        assert scaled[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-9)
    assert scaled["mae"] == pytest.approx(factor * plain["mae"], rel=1e-6)
    assert plain["mae"] <= plain["rmse"] * (1 + 1e-9)
    assert abs(plain["bias"]) <= plain["wape"] * (1 + 1e-9)
