"""Features against plain Spark SQL windows on real sales, and against looking ahead."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import polars.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from salesml_assets.forecasting.features import CONTRACT_COLUMNS, FeatureSpec, add_features, row_mean

REAL_SALES = "data/online_retail.parquet"


@pytest.fixture(scope="module")
def real_series() -> pl.DataFrame:
    """Daily revenue of 150 products of the shipped sales, without gaps."""
    lines = (
        pl.read_parquet(REAL_SALES)
        .filter(pl.col("UnitPrice") > 0)
        .select(
            unique_id=pl.col("StockCode"),
            ds=pl.col("InvoiceDate").dt.date(),
            y=pl.col("Quantity") * pl.col("UnitPrice"),
        )
    )
    products = lines["unique_id"].unique().sort().gather_every(26)
    daily = (
        lines.filter(pl.col("unique_id").is_in(products.implode())).group_by("unique_id", "ds").agg(pl.col("y").sum())
    )
    first = daily.group_by("unique_id").agg(pl.col("ds").min().alias("first"))
    days = first.with_columns(ds=pl.date_ranges("first", dt.date(2011, 12, 9))).explode("ds").drop("first")
    trading = lines["ds"].unique()
    return days.join(daily, on=["unique_id", "ds"], how="left").select(
        "unique_id", "ds", pl.col("y").fill_null(0.0), closed=~pl.col("ds").is_in(trading.implode())
    )


def test_the_familiar_columns_agree_with_spark_sql_windows(spark: SparkSession, real_series: pl.DataFrame) -> None:
    """The oracle is what teams have written for years: window functions of Spark SQL, value for value."""
    spark.createDataFrame(real_series.to_pandas()).createOrReplaceTempView("real_series")
    over = "over (partition by unique_id order by ds"
    expected = spark.sql(f"""
        select unique_id, cast(ds as date) as ds,
            lag(y, 1) {over}) as sales_lag_1,
            lag(y, 7) {over}) as sales_lag_7,
            lag(y, 30) {over}) as sales_lag_30,
            avg(y) {over} rows between 6 preceding and current row) as moving_average_7,
            avg(y) {over} rows between 29 preceding and current row) as moving_average_30,
            y - avg(y) {over} rows between 29 preceding and current row) as trend,
            dayofweek(ds) as day_of_week,
            date_format(ds, 'yyyy-MM') as year_month
        from real_series""")
    oracle = pl.DataFrame(pl.from_arrow(expected.toArrow())).sort("unique_id", "ds")
    ours = add_features(real_series, FeatureSpec()).select("unique_id", "ds", *CONTRACT_COLUMNS)
    assert ours.height > 30_000
    pl.testing.assert_frame_equal(ours, oracle, check_dtypes=False, abs_tol=1e-6, rel_tol=1e-9)


def values(size: int) -> st.SearchStrategy[list[float | None]]:
    known = st.floats(-50, 500, allow_nan=False).map(lambda value: round(value, 2))
    return st.lists(st.none() | known, min_size=size, max_size=size)


@settings(max_examples=30, deadline=None)
@given(values(120), values(120), st.integers(20, 100), st.booleans())
def test_no_feature_sees_past_its_origin(
    one: list[float | None], other: list[float | None], origin: int, weekly: bool
) -> None:
    """Whatever comes after the origin, the features up to it stay the same."""
    spec = FeatureSpec(weekly=True, season=52, year=52, windows=(2, 4, 8, 13), recent=13) if weekly else FeatureSpec()
    days = pl.date_range(dt.date(2023, 1, 1), dt.date(2023, 4, 30), eager=True)
    values_of = [[*one[:origin], *after[origin:]] for after in (one, other)]
    frames = [
        pl.DataFrame({"unique_id": "a", "ds": days, "y": y, "closed": False}, schema_overrides={"y": pl.Float64})
        for y in values_of
    ]
    first, second = (add_features(frame, spec).head(origin) for frame in frames)
    pl.testing.assert_frame_equal(first, second)


def test_closed_days_are_not_learned_as_zero_demand() -> None:
    days = pl.date_range(dt.date(2023, 1, 2), dt.date(2023, 4, 9), eager=True)
    closed = days.dt.weekday() == 7
    frame = pl.DataFrame({"unique_id": "a", "ds": days, "y": np.where(closed, 0.0, 10.0), "closed": closed})
    features = add_features(frame, FeatureSpec())
    assert features["mean_28"].unique().to_list() == [10.0]
    assert features["zero_share"].max() == 0.0
    assert features["moving_average_7"].tail(1).item() == pytest.approx(60 / 7)


def test_the_scale_is_always_positive() -> None:
    days = pl.date_range(dt.date(2023, 1, 1), dt.date(2023, 12, 31), eager=True)
    sold = np.zeros(365)
    sold[:3] = 100.0
    features = add_features(pl.DataFrame({"unique_id": "a", "ds": days, "y": sold, "closed": False}), FeatureSpec())
    assert features["scale"].min() > 0
    assert not features["live"].tail(1).item()


def test_the_mean_of_a_row_is_the_same_each_time() -> None:
    random = np.random.default_rng(5)
    amounts = random.normal(size=(200_000, 13)) * random.choice([1e-3, 1.0, 1e3], (200_000, 13))
    amounts[random.random(amounts.shape) < 0.2] = np.nan
    amounts[7] = np.nan
    frame = pl.DataFrame(amounts).fill_nan(None)
    known = ~np.isnan(amounts)
    total = np.zeros(len(amounts))
    for column in np.nan_to_num(amounts).T:
        total += column
    with np.errstate(invalid="ignore"):
        expected = pl.Series(total / known.sum(axis=1)).fill_nan(None)
    for _ in range(20):
        means = frame.select(row_mean([pl.col(name) for name in frame.columns])).to_series()
        pl.testing.assert_series_equal(means, expected, check_exact=True, check_names=False)
