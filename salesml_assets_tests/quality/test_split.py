"""Properties of the split on any rows: nothing lost, nothing added, the same on every run."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.quality.split import judge
from salesml_assets_tests.quality.summary import split

MakeSettings = Callable[..., Settings]
TODAY = dt.date(2024, 3, 15)
COLUMNS = ["data_venda", "produto", "quantidade", "valor_total"]
SCHEMA = "data_venda string, produto string, quantidade double, valor_total string"
ROW = st.tuples(
    st.sampled_from(["2024-01-01", "2024-01-02 10:00:00", "2025-01-01", "1970-01-01", "x", None]),
    st.sampled_from(["a", "b", " ", None]),
    st.sampled_from([1.0, -1.0, 0.0, math.nan, math.inf, 1e9, None]),
    st.sampled_from(["1", "-1", "0", "1e999", "x", None]),
)


def counted(rows: list[tuple[object, ...]]) -> Counter[str]:
    """Rows as a multiset; NaN equals NaN in their text."""
    return Counter(map(repr, rows))


@given(st.lists(ROW, max_size=40))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_delivered_row_is_accepted_or_quarantined(
    spark: SparkSession, settings_for: MakeSettings, rows: list[tuple[object, ...]]
) -> None:
    judged = judge(spark.createDataFrame(rows, SCHEMA), settings_for(), TODAY).select("source.*", "_reasons").collect()
    assert counted([tuple(row)[:-1] for row in judged]) == counted(rows)
    accepted = [tuple(row)[:-1] for row in judged if not row["_reasons"]]
    # Of equal rows one is kept.
    assert max(counted(accepted).values(), default=1) == 1
    firsts = [row for row in judged if "exact_duplicate" not in row["_reasons"]]
    assert {repr(tuple(row)[:-1]) for row in firsts} == set(map(repr, rows))
    assert len(firsts) == len(set(map(repr, rows)))
    for day, product, quantity, revenue in accepted:
        assert day in ("2024-01-01", "2024-01-02 10:00:00")
        assert product in ("a", "b")
        assert quantity is None or math.isfinite(quantity)
        assert revenue in ("1", "-1", "0")


def test_duplicates_can_be_kept(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame([("2024-01-01", "a", 1.0, "2")] * 3, SCHEMA)
    accepted, quarantined = split(rows, settings_for(), TODAY)
    assert (accepted.count(), quarantined.count()) == (1, 2)
    accepted, quarantined = split(rows, settings_for(quality={"disable": ["exact_duplicate"]}), TODAY)
    assert (accepted.count(), quarantined.count()) == (3, 0)


def test_rows_with_maps_and_lists_can_be_compared(spark: SparkSession, settings_for: MakeSettings) -> None:
    row = ("2024-01-01", "a", "2", {"k": 1}, [1, 2])
    other = (*row[:3], {"k": 2}, [1, 2])
    schema = "data_venda string, produto string, valor_total string, more map<string,int>, list array<int>"
    accepted, quarantined = split(spark.createDataFrame([row, row, other], schema), settings_for(), TODAY)
    assert (accepted.count(), quarantined.count()) == (2, 1)


def test_the_tables_have_the_promised_columns(spark: SparkSession, settings_for: MakeSettings) -> None:
    accepted, quarantined = split(spark.createDataFrame([], SCHEMA), settings_for(), TODAY)
    assert accepted.dtypes == [
        ("date", "date"),
        ("product", "string"),
        ("quantity", "double"),
        ("revenue", "double"),
        ("is_return", "boolean"),
        ("flags", "array<string>"),
        ("month", "string"),
    ]
    assert quarantined.columns == [*COLUMNS, "_reasons", "_month"]
    assert dict(quarantined.dtypes)["_reasons"] == "array<string>"
