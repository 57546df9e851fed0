"""The panel of all series, made with Spark."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from pyspark.sql import DataFrame, SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.features import FeatureSpec, add_features, feature_spec
from salesml_assets.forecasting.pooled import COLUMNS
from salesml_assets.forecasting.training.panel import make_panel, with_group_means
from salesml_assets.forecasting.training.planned import covariates_of, read_planned
from salesml_assets.forecasting.training.series import daily_rows, sales_series
from salesml_assets.spark.partitions import map_series
from salesml_assets_tests.forecasting.small import small_sales

HORIZON = 7


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        forecast={"horizon": HORIZON},
        training={"max_rows": 2_000, "tree_rows": 1_000},
        lake={"root": str(tmp_path_factory.mktemp("lake"))},
    )


@pytest.fixture(scope="module")
def features(spark: SparkSession, settings: Settings) -> DataFrame:
    sales = spark.createDataFrame(small_sales())
    calendar = business_calendar(daily_rows(sales, "revenue"), "D")
    series = sales_series(sales, settings, calendar).persist()
    spec = feature_spec(settings, {})
    return map_series(series, functools.partial(add_features, spec=spec), series.count()).persist()


@pytest.fixture(scope="module")
def panel(features: DataFrame, settings: Settings) -> DataFrame:
    return make_panel(features, settings, pl.DataFrame(schema=COLUMNS))[0].persist()


def test_volume_classes_go_from_big_to_small(panel: DataFrame) -> None:
    classes = panel.select("unique_id", "volume_class").distinct().toPandas().set_index("unique_id")["volume_class"]
    assert classes["p6"] == "A"
    assert classes["p7"] == "C"  # sold nothing before the first scored origin


def test_covariates_planned_ahead_reach_the_days_they_are_planned_for(
    spark: SparkSession, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    sales = small_sales()
    sales["promotion"] = (pd.to_datetime(sales["date"]).dt.day % 5 == 0).astype(float)
    sales["campaign"] = sales["promotion"].map({1.0: "flyer", 0.0: "none"})
    last = sales["date"].max()
    days = pd.date_range(last, periods=HORIZON + 1)[1:]
    plan = pd.DataFrame([(day, f"p{product}") for day in days for product in range(8)], columns=["date", "product"])
    plan["promotion"] = (plan["date"].dt.day % 5 == 0).astype(float)
    plan["campaign"] = plan["promotion"].map({1.0: "flyer", 0.0: "none"})
    plan.assign(date=plan["date"].dt.date).to_parquet(tmp_path / "plan.parquet")
    settings = settings_for(
        sales={"columns": {"date": "date", "product": "product"}},
        forecast={
            "horizon": HORIZON,
            "known_future": {"path": str(tmp_path / "plan.parquet"), "columns": ["promotion", "campaign"]},
        },
    )
    frame = spark.createDataFrame(sales)
    calendar = business_calendar(daily_rows(frame, "revenue"), "D")
    series = sales_series(frame, settings, calendar, read_planned(spark, settings, calendar))
    spec = feature_spec(settings, covariates_of(series, settings))
    assert (spec.numbers, spec.texts) == (("promotion",), ("campaign",))
    features = map_series(series, functools.partial(add_features, spec=spec), 2_000)
    future = make_panel(features, settings, pl.DataFrame(schema=COLUMNS))[0].where("kind = 'future'").toPandas()
    promoted = pd.to_datetime(future["ds"]).dt.day % 5 == 0
    assert (future["f_promotion"] == promoted.astype(float)).all()
    assert set(future.loc[promoted, "c_campaign"]) == {"flyer"}
    assert set(future.loc[~promoted, "c_campaign"]) == {"none"}
    assert "f_promotion_by_store" not in future.columns
    # All series have the same plan, so the mean over a category is each one's own.
    assert (future["f_promotion_by_category"] == promoted.astype(float)).all()


def test_means_of_plans_are_those_over_all_series_of_a_group(spark: SparkSession) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    rows = [
        ("a", "north", days[0], 1.0), ("b", "north", days[0], 0.0), ("c", "south", days[0], 0.0),
        ("a", "north", days[1], None), ("b", "north", days[1], 1.0), ("c", None, days[1], 1.0),
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, "unique_id string, store string, ds date, promo double")
    spec = FeatureSpec(numbers=("promo",), plan_groups=("store", "category"))
    found = {(row["unique_id"], row["ds"]): row["_promo_by_store"] for row in with_group_means(frame, spec).collect()}
    first, second = days
    assert found == {
        ("a", first): 0.5, ("b", first): 0.5, ("c", first): 0.0,
        ("a", second): 1.0, ("b", second): 1.0, ("c", second): None,
    }  # fmt: skip
