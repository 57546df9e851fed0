"""The robust score against NumPy, and what must not change it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.quality.outliers import MIN_SPREAD, STEP, robust_bounds, with_robust_z

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    """Products of different spread: skewed, constant, and one with too few rows."""
    draw = np.random.default_rng(5)
    parts = [
        pd.DataFrame({"product": "wide", "quantity": np.exp(draw.normal(2, 1.5, 400))}),
        pd.DataFrame({"product": "narrow", "quantity": np.exp(draw.normal(5, 0.8, 301))}),
        pd.DataFrame({"product": "constant", "quantity": np.repeat(12.0, 60)}),
        pd.DataFrame({"product": "few", "quantity": [3.0, 80_000.0, -80_000.0, 0.0]}),
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(revenue=-table["quantity"] * 2.5)


def scores(spark: SparkSession, sales: pd.DataFrame, settings: Settings, partitions: int = 2) -> pd.DataFrame:
    """The table with its scores, in its order."""
    numbered = sales.reset_index(names="line")
    rows = spark.createDataFrame([tuple(row) for row in numbered.to_numpy()], list(numbered.columns))
    rows = rows.repartition(partitions)
    judged = with_robust_z(rows, robust_bounds(rows, settings), settings).select("line", "robust_z.*").collect()
    found = pd.DataFrame([row.asDict() for row in judged]).set_index("line").sort_index()
    return found.astype(float)


def test_scores_are_those_of_numpy(spark: SparkSession, sales: pd.DataFrame, settings_for: MakeSettings) -> None:
    found = scores(spark, sales, settings_for())
    for name in ("quantity", "revenue"):
        logs = np.log(sales[name].abs().where(sales[name] != 0))
        for product in ("wide", "narrow", "constant", "few"):
            mine = sales["product"] == product
            # Few rows say too little: all rows together are the measure.
            basis = logs if product == "few" else logs[mine]
            centre = basis.median()
            spread = max(1.4826 * (basis - centre).abs().median(), MIN_SPREAD[name])
            expected = (logs[mine] - centre) / spread
            distance = 4 * STEP * (1 + expected.abs()) / spread
            assert ((found.loc[mine, name] - expected).abs() <= distance)[expected.notna()].all()
            assert (found.loc[mine, name].isna() == expected.isna()).all()


def test_an_amount_out_of_all_proportion_scores_high(
    spark: SparkSession, sales: pd.DataFrame, settings_for: MakeSettings
) -> None:
    slip = pd.DataFrame({"product": ["narrow", "constant"], "quantity": [80_000.0, 12_000.0]})
    more = pd.concat([sales, slip.assign(revenue=1.0)], ignore_index=True)
    found = scores(spark, more, settings_for())["quantity"]
    assert (found.tail(2) > 5).all()
    assert found.iloc[:-2].abs().max() < 5
    assert (found[more["quantity"] == 12] == found[more["quantity"] == 12].iloc[0]).all()


def test_neither_partitions_nor_units_change_the_scores(
    spark: SparkSession, sales: pd.DataFrame, settings_for: MakeSettings
) -> None:
    found = scores(spark, sales, settings_for())
    pd.testing.assert_frame_equal(scores(spark, sales.sample(frac=1, random_state=1), settings_for(), 5), found)
    cents = scores(spark, sales.assign(quantity=sales["quantity"] * np.exp(STEP * 230)), settings_for())
    pd.testing.assert_frame_equal(cents, found, atol=0.1)


def test_rows_without_any_usable_amount(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame([("a", None), ("b", 0.0), (None, 3.0)], "product string, revenue double")
    judged = with_robust_z(rows, robust_bounds(rows, settings_for()), settings_for())
    assert [row["robust_z"]["revenue"] for row in judged.collect()] == [None, None, None]


def test_series_keys_make_the_groups_without_products(spark: SparkSession, settings_for: MakeSettings) -> None:
    made = settings_for(forecast={"series": ["store", "category"]})
    rows = spark.createDataFrame(
        [(store, "c", float(n % 3 + 1) * size) for n in range(30) for store, size in (("s1", 1), ("s2", 1000))],
        "store string, category string, revenue double",
    )
    bounds = robust_bounds(rows, made)
    assert bounds["_group"].dropna().tolist() == ["s1/c", "s2/c"]
    assert bounds["centre"].iloc[0] == pytest.approx(np.log(2), abs=STEP)
    assert bounds["centre"].iloc[1] == pytest.approx(np.log(2000), abs=STEP)
