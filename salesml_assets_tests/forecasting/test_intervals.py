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
    ORDER_QUANTITY,
    PROBABILITIES,
    apply_intervals,
    bound_names,
    cross_fold_coverage,
    interval_table,
    quantile_ranks,
)
from salesml_assets_tests.forecasting.predictions import in_batches

CALIBRATION = {
    "fold": pl.Int32, "horizon": pl.Int32, "y": pl.Float64, "yhat": pl.Float64, "scale": pl.Float64,
    "naive_mse": pl.Float64,
}  # fmt: skip


def exchangeable(rows: int, seed: int) -> pl.DataFrame:
    """Rows whose scores are drawn from one skewed law, whatever their size."""
    rng = np.random.default_rng(seed)
    scale, yhat = np.exp(rng.normal(2, 1, rows)), np.exp(rng.normal(2, 1, rows))
    score = rng.gamma(2, 0.5, rows) - 1 + 0.3 * rng.standard_t(3, rows)
    change = np.exp(rng.normal(1, 1, rows))
    values = {
        "fold": np.ones(rows),
        "horizon": np.arange(rows) % 4 + 1,
        "y": yhat + score * np.sqrt((scale + yhat) / 2 * change),
        "yhat": yhat,
        "scale": scale,
        "naive_mse": change**2,
    }
    return pl.DataFrame(values).cast(CALIBRATION)  # type: ignore[arg-type]


def table_of(rows: pl.DataFrame, **options: Any) -> pd.DataFrame:
    return interval_table(in_batches(rows, 1_000), **options).to_pandas()


def by_size(scale: np.ndarray) -> np.ndarray:
    """0, 1, 2: series with the first 80 % of the volume, with the next 15 %, and the rest."""
    order = np.argsort(-scale, kind="stable")
    before = np.cumsum(scale[order]) - scale[order]
    sizes = np.empty(len(scale), int)
    sizes[order] = np.searchsorted([0.8, 0.95], before / scale.sum(), "right")
    return sizes


def ordered_scores(rows: pl.DataFrame) -> list[np.ndarray]:
    """The scores of each size, ascending."""
    frame = rows.to_pandas()
    unit = np.sqrt((frame["scale"] + frame["yhat"]) / 2 * np.sqrt(frame["naive_mse"]))
    score, sizes = ((frame["y"] - frame["yhat"]) / unit).to_numpy(), by_size(frame["scale"].to_numpy())
    return [np.sort(score[sizes == size]) for size in range(3)]


def test_bounds_are_the_corrected_order_statistics_of_each_size() -> None:
    rows = exchangeable(6_000, 1)
    table = table_of(rows)
    for size, ordered in enumerate(ordered_scores(rows)):
        assert table.loc[size, "rows"] == len(ordered) > 150
        for level, low, high in ((0.8, "lo80", "hi80"), (0.95, "lo95", "hi95")):
            upper = int(np.ceil((len(ordered) + 1) * (1 + level) / 2))
            assert table.loc[size, high] == pytest.approx(ordered[upper - 1], rel=1e-12)
            assert table.loc[size, low] == pytest.approx(ordered[len(ordered) - upper], rel=1e-12)


def test_each_size_is_covered_although_small_series_err_more() -> None:
    def uneven(rows: int, seed: int) -> pl.DataFrame:
        wide = pl.when(pl.col("scale") < 5).then(3.0).otherwise(1.0)
        return exchangeable(rows, seed).with_columns(y=pl.col("yhat") + (pl.col("y") - pl.col("yhat")) * wide)

    table = interval_table(in_batches(uneven(8_000, 11)))
    new = apply_intervals(uneven(20_000, 12), table, non_negative=False).to_pandas()
    new["size"] = by_size(new["scale"].to_numpy())
    inside = new["y"].between(new["lo80"], new["hi80"]).groupby(new["size"]).mean()
    assert ((inside - 0.8).abs() < 0.03).all()


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


def test_quantiles_are_corrected_order_statistics_of_each_size() -> None:
    rows = exchangeable(6_000, 1)
    table = table_of(rows)
    for size, ordered in enumerate(ordered_scores(rows)):
        for probability, found in zip(PROBABILITIES, table.loc[size, "quantiles"], strict=True):
            # Above the middle as many scores at or below as the probability asks for, below it the mirror image.
            rank = (len(ordered) + 1) * probability
            expected = np.ceil(rank - 1e-9) if probability >= 0.5 else np.floor(rank + 1e-9)
            assert found == ordered[int(np.clip(expected, 1, len(ordered))) - 1]


@pytest.mark.parametrize("level", [0.3, 0.5, 0.72, 0.9, 0.97])
def test_demand_is_at_most_the_order_as_often_as_its_level_says(level: float) -> None:
    table = interval_table(in_batches(exchangeable(12_000, 5)))
    new = apply_intervals(exchangeable(40_000, 6), table, non_negative=False, service_level=level)
    assert (new["y"] <= new[ORDER_QUANTITY]).mean() == pytest.approx(level, abs=0.012)


@given(st.lists(st.floats(0.0005, 0.9995), min_size=2, max_size=8))
def test_a_higher_level_never_orders_less(levels: list[float]) -> None:
    table, frame = interval_table(in_batches(exchangeable(2_000, 9))), exchangeable(50, 10)
    found = [apply_intervals(frame, table, True, level)[ORDER_QUANTITY].to_numpy() for level in sorted(levels)]
    assert (np.diff(found, axis=0) >= 0).all()


def test_a_model_without_quantiles_orders_between_its_bounds() -> None:
    whole, frame = interval_table(in_batches(exchangeable(2_000, 9))), exchangeable(50, 10)
    table = whole.drop("quantiles")
    assert apply_intervals(frame, table, True).columns == apply_intervals(frame, whole, True).columns
    for level, bound in ((0.9, "hi80"), (0.975, "hi95"), (0.1, "lo80")):
        found = apply_intervals(frame, table, True, level)
        assert found[ORDER_QUANTITY].to_numpy() == pytest.approx(found[bound].to_numpy())
    between = apply_intervals(frame, table, True, 0.6)
    assert (between["lo80"] <= between[ORDER_QUANTITY]).all()
    assert (between[ORDER_QUANTITY] <= between["hi80"]).all()


def test_coverage_of_the_order_is_that_of_held_out_folds(
    predictions: dict[str, Batches], tables: dict[str, pl.DataFrame]
) -> None:
    some = {"xgboost": predictions["xgboost"]}
    found = cross_fold_coverage(some, dimensions=("total", "fold"), service_level=0.7)
    assert found["level"].isna().sum() == 4
    ordered = found[found["level"].isna()].set_index("segment")
    rows = tables["xgboost"]
    for fold in (1, 2, 3):
        table = interval_table(in_batches(rows.filter(pl.col("fold") != fold)))
        own = apply_intervals(rows.filter(pl.col("fold") == fold), table, True, 0.7)
        assert ordered.loc[str(fold), "coverage"] == pytest.approx((own["y"] <= own[ORDER_QUANTITY]).mean(), rel=1e-9)
        width = own[ORDER_QUANTITY].sum() / own["y"].sum()
        assert ordered.loc[str(fold), "width"] == pytest.approx(width, rel=1e-9)
    assert ordered.loc["all", "coverage"] == pytest.approx(0.7, abs=0.06)
    plain = cross_fold_coverage(some, dimensions=("total", "fold"))
    pd.testing.assert_frame_equal(found[found["level"].notna()].reset_index(drop=True), plain)


def test_a_size_with_few_rows_takes_the_bounds_of_all() -> None:
    rows = [(1, 1, 11.0, 1.0, 100.0, None)] * 149 + [(1, 1, 2.0, 1.0, 1.0, None)] * 500
    table = table_of(pl.DataFrame(rows, CALIBRATION, orient="row"))
    assert table["min_scale"].tolist() == [100.0, 0.0]
    assert table["rows"].tolist() == [649, 500]
    assert table.loc[0, "hi80"] == table.loc[1, "hi80"] == 1.0


def test_a_series_without_a_usual_change_has_the_mean_of_level_and_forecast() -> None:
    table = interval_table(in_batches(exchangeable(400, 7)))
    schema = {"naive_mse": pl.Float64}
    frame = pl.DataFrame({"yhat": [10.0, 10.0], "scale": 6.0, "naive_mse": [None, 64.0]}, schema_overrides=schema)
    unknown, known = apply_intervals(frame, table, True).select(BOUNDS).rows()
    assert unknown == known


def test_no_predictions_are_an_error() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        interval_table(in_batches(pl.DataFrame(schema=CALIBRATION)))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 5),
            st.floats(-1e6, 1e6),
            st.floats(-1e6, 1e6),
            st.floats(1e-3, 1e6, allow_subnormal=False),
            st.none() | st.floats(1e-6, 1e12),
        ),
        min_size=1,
        max_size=30,
    ),
    non_negative=st.booleans(),
    level=st.floats(0.001, 0.999),
)
def test_bounds_are_nested_around_the_forecast(rows: list[tuple[Any, ...]], non_negative: bool, level: float) -> None:
    frame = pl.DataFrame([(1, *row) for row in rows], CALIBRATION, orient="row")
    found = apply_intervals(frame, interval_table(in_batches(frame)), non_negative, level)
    for nominal, low, high in ((0.8, "lo80", "hi80"), (0.95, "lo95", "hi95")):
        assert level < (1 - nominal) / 2 or (found[low] <= found[ORDER_QUANTITY]).all()
        assert level > (1 + nominal) / 2 or (found[ORDER_QUANTITY] <= found[high]).all()
    assert len(found) == len(rows)
    ordered = found.select("lo95", "lo80", "yhat", "hi80", "hi95").to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert np.isfinite(ordered).all()
    assert not non_negative or (ordered >= 0).all()


def test_other_levels_have_columns_of_their_own() -> None:
    table = table_of(exchangeable(2_000, 8), levels=(0.5, 0.9, 0.99))
    assert tuple(table.columns[2:]) == (*bound_names((0.5, 0.9, 0.99)), "quantiles")
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
    size = (rows["scale"] + rows["yhat"].abs()) / 2
    unit = np.sqrt(size * np.sqrt(rows["naive_mse"]).fillna(size))
    scores = (rows["y"] - rows["yhat"]) / unit
    for fold in (1, 2, 3):
        others, own = rows["fold"] != fold, rows["fold"] == fold
        sizes = by_size(rows.loc[others, "scale"].to_numpy())
        smallest = [rows.loc[others, "scale"][sizes == number].min() for number in range(2)]
        held_out = rows[own]
        number = np.select([held_out["scale"] >= smallest[0], held_out["scale"] >= smallest[1]], [0, 1], 2)
        number_before = np.select(
            [rows.loc[others, "scale"] >= smallest[0], rows.loc[others, "scale"] >= smallest[1]], [0, 1], 2
        )
        low, high = np.empty(len(held_out)), np.empty(len(held_out))
        for each in range(3):
            ordered = np.sort(scores[others][number_before == each])
            assert len(ordered) >= 150
            upper = int(np.ceil((len(ordered) + 1) * 0.9))
            low[number == each], high[number == each] = ordered[len(ordered) - upper], ordered[upper - 1]
        upper_bound = held_out["yhat"] + np.maximum(0.0, high) * unit[own]
        lower_bound = (held_out["yhat"] + np.minimum(0.0, low) * unit[own]).clip(lower=0)
        inside = held_out["y"].between(lower_bound, upper_bound)
        assert found.loc[str(fold), "coverage"] == pytest.approx(inside.mean(), rel=1e-9)
        width = (upper_bound - lower_bound).sum() / held_out["y"].sum()
        assert found.loc[str(fold), "width"] == pytest.approx(width, rel=1e-9)


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
