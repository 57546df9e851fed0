"""Stock-outs from the delivered row to the series: flags are read, and what was sold then is no target."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.calendar import business_calendar
from salesml_assets.forecasting.training.series import daily_rows, sales_series
from salesml_assets.quality.mapping import canonical
from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows

TODAY = dt.date(2024, 6, 30)
MakeSettings = Callable[..., Settings]


def with_flags(settings_for: MakeSettings, frequency: str = "D", **columns: str) -> Settings:
    names = {"date": "day", "product": "sku", "quantity": "units", "stock_out": "oos"} | columns
    return settings_for(
        sales={"columns": names}, forecast={"target": "quantity", "frequency": frequency, "series": ["product"]}
    )


def delivered(spark: SparkSession, flags: list[object], units: list[float | None], kind: str) -> DataFrame:
    first = dt.date(2024, 1, 1)
    rows = [(first + dt.timedelta(n), "a", unit, flag) for n, (unit, flag) in enumerate(zip(units, flags, strict=True))]
    return spark.createDataFrame(rows, f"day date, sku string, units double, oos {kind}")


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("boolean", [True, False, None], [True, False, None]),
        ("int", [1, 0, None], [True, False, None]),
        ("double", [1.0, 0.0, 0.5], [True, False, None]),
        ("string", [" TRUE", "no", "1", "0.0", "", "maybe"], [True, False, True, False, None, None]),
    ],
)
def test_flags_of_any_kind(
    spark: SparkSession, settings_for: MakeSettings, kind: str, values: list[object], expected: list[bool | None]
) -> None:
    rows = canonical(delivered(spark, values, [1.0] * len(values), kind), with_flags(settings_for)).orderBy("date")
    assert [row["stock_out"] for row in rows.collect()] == expected


def test_rows_without_a_quantity_are_accepted_where_the_flag_explains_them(
    spark: SparkSession, settings_for: MakeSettings
) -> None:
    flags: list[object] = ["yes", "no", "maybe", None, "yes"]
    rows = delivered(spark, flags, [None, None, 3.0, 4.0, 2.0], "string")
    judged = judge(rows, with_flags(settings_for), TODAY)
    accepted = accepted_rows(judged).orderBy("date").toPandas()
    rejected = quarantined_rows(judged).orderBy("day").toPandas()
    assert accepted["stock_out"].tolist() == [True, None, True]
    assert [list(reasons) for reasons in rejected["_reasons"]] == [["invalid_quantity"], ["invalid_stock_out"]]


@pytest.mark.parametrize("frequency", ["D", "W-SUN"])
def test_the_target_of_a_step_out_of_stock_is_unknown(
    spark: SparkSession, settings_for: MakeSettings, frequency: str
) -> None:
    settings = with_flags(settings_for, frequency)
    # Days out of stock: four of the second week, three of the third.
    out = [7 <= day < 11 or 14 <= day < 17 for day in range(28)]
    rows = delivered(spark, [int(one) for one in out], [float(day + 1) for day in range(28)], "int")
    sales = accepted_rows(judge(rows, settings, TODAY))
    calendar = business_calendar(daily_rows(sales, "quantity"), frequency)
    series = sales_series(sales, settings, calendar).toPandas().sort_values("ds", ignore_index=True)
    units = pd.Series([float(day + 1) for day in range(28)])
    if frequency == "D":
        assert series["stock_out"].tolist() == out
        assert series["y"].isna().tolist() == out
        assert series["quantity"].tolist() == units.tolist()  # what was sold stays
        assert series.loc[~series["stock_out"], "y"].tolist() == units[[not one for one in out]].tolist()
    else:
        assert series["stock_out"].tolist() == [False, True, False, False]
        assert series["y"].isna().tolist() == [False, True, False, False]
        assert series["quantity"].tolist() == units.groupby(units.index // 7).sum().tolist()


def test_a_column_that_is_not_there_is_named(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = delivered(spark, [1], [1.0], "int")
    with pytest.raises(ConfigurationError, match=r"^sales.columns.stock_out: 'oss' is neither a column"):
        canonical(rows, with_flags(settings_for, stock_out="oss"))
