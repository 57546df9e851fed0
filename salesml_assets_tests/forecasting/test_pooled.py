"""What series know from one another as a table, and means of plans over groups."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import polars.testing

from salesml_assets.forecasting.calendar_regression import Terms
from salesml_assets.forecasting.panel import expand_future
from salesml_assets.forecasting.panel_features import group_mean
from salesml_assets.forecasting.pooled import Pool, latest, plan_rows
from salesml_assets_tests.forecasting.test_calendar_regression import (
    DAILY,
    HORIZON,
    LAST,
    extended,
    panel_of,
    pool_of,
    series,
)

SPEC = replace(DAILY, plan_groups=("category",))


def test_a_table_comes_back_as_it_was() -> None:
    terms = Terms.of(DAILY)
    frame = pool_of(series(DAILY), DAILY, 1).to_frame(terms)
    assert set(frame["part"]) == {"coefficient", "holiday"}
    assert set(frame.filter(part="coefficient")["group"]) == {"", "a", "b"}
    again = Pool.from_frame(frame.sample(fraction=1.0, shuffle=True, seed=1), terms).to_frame(terms)
    pl.testing.assert_frame_equal(again, frame)


def test_a_promotion_of_the_category_reaches_a_series_that_has_none() -> None:
    frame = extended(series(SPEC), SPEC, 1)
    day = LAST + dt.timedelta(4)
    only_s0 = pl.when((pl.col("ds") > LAST) & (pl.col("unique_id") != "s0")).then(0.0).otherwise("promo")
    frame = frame.with_columns(promo=only_s0)
    frame = frame.with_columns(pl.col("promo").mean().over("category", "ds").alias(group_mean("promo", "category")))
    rows = expand_future(frame, SPEC, HORIZON, pool_of(series(SPEC), SPEC, 1))
    of_day = dict(rows.filter(pl.col("ds") == day).select("unique_id", "f_promo_by_category").iter_rows())
    assert of_day == {"s0": 1 / 3, "s2": 1 / 3, "s4": 1 / 3, "s1": 0.0, "s3": 0.0, "s5": 0.0}


def test_one_series_alone_gets_the_plans_of_its_group_from_the_model() -> None:
    frame = extended(series(SPEC), SPEC, 1)
    named = frame.with_columns(pl.col("promo").mean().over("category", "ds").alias(group_mean("promo", "category")))
    pool = pool_of(series(SPEC), SPEC, 1)
    whole = expand_future(named, SPEC, HORIZON, pool)
    terms = Terms.of(SPEC)
    kept = Pool.from_frame(pl.concat([latest(pool.to_frame(terms)), plan_rows(whole, SPEC)]), terms)
    alone = pl.concat(expand_future(part, SPEC, HORIZON, kept) for part in frame.partition_by("unique_id"))
    pl.testing.assert_frame_equal(alone.sort("unique_id", "horizon"), whole, check_exact=True)


def test_without_plans_of_its_group_a_series_has_its_own() -> None:
    rows = panel_of(series(SPEC), SPEC, pool_of(series(SPEC), SPEC, 1)).filter(kind="future")
    assert (rows["f_promo_by_category"] == rows["f_promo"]).all()
