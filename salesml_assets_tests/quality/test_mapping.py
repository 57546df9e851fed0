"""The column mapping, and what becomes of dates, codes and amounts."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.mapping import available_columns, canonical, day_of, number_of, text_of, with_month

MakeSettings = Callable[..., Settings]
DEFAULTS = "data_venda date, produto string, categoria_valor string, quantidade int, valor_total double"
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def schema(text: str) -> T.StructType:
    """A schema from its SQL form."""
    return T.StructType.fromDDL(text)


def test_default_names_are_found_whatever_their_case(spark: SparkSession, settings_for: MakeSettings) -> None:
    found = available_columns(settings_for(), schema(DEFAULTS.replace("produto", "PRODUTO")))
    assert found == {
        "date": "`data_venda`",
        "category": "`categoria_valor`",
        "product": "`PRODUTO`",
        "quantity": "`quantidade`",
        "revenue": "`valor_total`",
    }


def test_a_default_that_the_source_lacks_is_left_out(spark: SparkSession, settings_for: MakeSettings) -> None:
    found = available_columns(settings_for(), schema("data_venda date, produto string, valor_total double"))
    assert list(found) == ["date", "product", "revenue"]


def test_an_entry_that_was_set_must_work_even_if_it_is_the_default(
    spark: SparkSession, settings_for: MakeSettings
) -> None:
    made = settings_for(sales={"columns": {"category": "categoria_valor"}})
    with pytest.raises(ConfigurationError, match=r"^sales\.columns\.category: 'categoria_valor' is neither"):
        available_columns(made, schema("data_venda date, produto string, valor_total double"))


@pytest.mark.parametrize(("lacks", "key"), [("data_venda", "date"), ("produto", "product"), ("valor_total", "revenue")])
def test_required_columns_must_be_there(lacks: str, key: str, spark: SparkSession, settings_for: MakeSettings) -> None:
    left = ", ".join(column for column in DEFAULTS.split(", ") if not column.startswith(lacks))
    with pytest.raises(ConfigurationError, match=rf"^sales\.columns\.{key}: .*Its columns: ") as caught:
        available_columns(settings_for(), schema(left))
    assert lacks not in str(caught.value).partition("Its columns:")[2]


def test_a_required_column_that_is_not_mapped(spark: SparkSession, settings_for: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"^sales\.columns\.store: 'store' is a key of the series"):
        available_columns(settings_for(forecast={"series": ["store"]}), schema(DEFAULTS))


def test_a_misspelt_column_gets_a_hint(spark: SparkSession, settings_for: MakeSettings) -> None:
    made = settings_for(sales={"columns": {"product": "prodotu"}})
    with pytest.raises(ConfigurationError, match="Did you mean 'produto'"):
        available_columns(made, schema(DEFAULTS))


@pytest.mark.parametrize(
    "entry", ["sum(quantidade)", "explode(array(1, 2))", "produto +", "quantidade * price", "lower(produto, 1)"]
)
def test_expressions_that_do_not_give_one_value_per_row(
    entry: str, spark: SparkSession, settings_for: MakeSettings
) -> None:
    made = settings_for(sales={"columns": {"quantity": entry}})
    with pytest.raises(ConfigurationError, match=r"^sales\.columns\.quantity: "):
        available_columns(made, schema(DEFAULTS))


@pytest.mark.parametrize(
    ("key", "entry"),
    [("quantity", "data_venda"), ("date", "quantidade > 1"), ("product", "array(produto)"), ("revenue", "true")],
)
def test_entries_of_a_type_that_cannot_be(
    key: str, entry: str, spark: SparkSession, settings_for: MakeSettings
) -> None:
    made = settings_for(sales={"columns": {key: entry}})
    with pytest.raises(ConfigurationError, match=rf"^sales\.columns\.{key}: .* gives \w+.*, not "):
        available_columns(made, schema(DEFAULTS))


def test_names_with_spaces_dots_and_quotes(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame([("2024-01-01", "a", 2.0)], "`Order Date` string, `item.code` string, `a``b` double")
    made = settings_for(sales={"columns": {"date": "order date", "product": "item.code", "revenue": "a`b"}})
    row = canonical(rows, made).drop("unusable").first()
    assert row is not None
    assert (row["date"], row["product"], row["revenue"]) == (dt.date(2024, 1, 1), "a", 2.0)
    assert row["source"].asDict() == {"Order Date": "2024-01-01", "item.code": "a", "a`b": 2.0}


def test_a_source_column_may_have_a_canonical_name_for_something_else(
    spark: SparkSession, settings_for: MakeSettings
) -> None:
    rows = spark.createDataFrame(
        [("2024-01-01", 3, 5.0, "p")], "day string, revenue int, quantity double, product string"
    )
    columns = {"date": "day", "revenue": "quantity", "quantity": "revenue", "product": "upper(product)"}
    row = canonical(rows, settings_for(sales={"columns": columns})).first()
    assert row is not None
    assert (row["revenue"], row["quantity"], row["product"]) == (5.0, 3.0, "P")


ISO = [
    ("2011-12-09", dt.date(2011, 12, 9)),
    (" 2011-12-09 08:26:00 ", dt.date(2011, 12, 9)),
    ("2011-12-09T23:30:00.123Z", dt.date(2011, 12, 9)),
    ("2011-12-09T23:30:00-03:00", dt.date(2011, 12, 9)),
    ("2011-12-09T00:30:00+05:00", dt.date(2011, 12, 9)),
    ("20111209", dt.date(2011, 12, 9)),
    ("2011-1-5", dt.date(2011, 1, 5)),
    ("2011-12", dt.date(2011, 12, 1)),
    *[(text, None) for text in ("2011-02-30", "2011", "20111309", "40886", "1323388800", "T12:00", "09.12.2011", "")],
    ("2011-12-09 25:00:00", None),
]


def test_dates_of_text(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text, _ in ISO], "day string")
    found = [row[0] for row in rows.select(day_of(F.col("day"), T.StringType())).collect()]
    assert found == [day for _, day in ISO]


@pytest.mark.parametrize(
    ("value", "kind", "day"),
    [
        (dt.date(2011, 12, 9), "date", dt.date(2011, 12, 9)),
        (dt.datetime(2011, 12, 9, 23, 59), "timestamp_ntz", dt.date(2011, 12, 9)),
        (dt.datetime(2011, 12, 9, 23, 59, tzinfo=dt.UTC), "timestamp", dt.date(2011, 12, 9)),
        (20111209, "int", dt.date(2011, 12, 9)),
        (20111209.0, "double", dt.date(2011, 12, 9)),
        (1323388800, "bigint", None),
        (40886, "int", None),
    ],
)
def test_dates_of_other_types(value: object, kind: str, day: dt.date | None, spark: SparkSession) -> None:
    rows = spark.createDataFrame([(value,)], f"day {kind}")
    assert rows.select(day_of(F.col("day"), rows.schema["day"].dataType)).first() == (day,)


@given(st.lists(st.dates(dt.date(1000, 1, 1), dt.date(9999, 12, 31)), min_size=1, max_size=80))
@FEW
def test_any_iso_day_is_read(spark: SparkSession, days: list[dt.date]) -> None:
    rows = spark.createDataFrame([(day.isoformat(),) for day in days], "day string")
    assert [row[0] for row in rows.select(day_of(F.col("day"), T.StringType())).collect()] == days


NUMBERISH = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers().map(str),
    st.text("0123456789.+-eEdfxDF _,NnaIi\t ", max_size=8),
    st.sampled_from(["", " ", "12d", "0x1p3", "1e999", "Infinity", "-.5", "5.", ".", "1_000", "+1e+2"]),
)


def python_number(text: str) -> float | None:
    """The oracle: a decimal number as Python reads it, finite."""
    plain = text.strip(" \t\n\r\f\v")
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", plain):
        return None
    return value if math.isfinite(value := float(plain)) else None


@given(st.lists(NUMBERISH, min_size=1, max_size=60))
@FEW
def test_numbers_of_text_are_those_of_python(spark: SparkSession, texts: list[str]) -> None:
    rows = spark.createDataFrame([(text,) for text in texts], "amount string")
    found = [row[0] for row in rows.select(number_of(F.col("amount"), T.StringType())).collect()]
    assert found == [python_number(text) for text in texts]


def test_numbers_of_other_types(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, Decimal("2.50"), math.nan), (None, None, math.inf)], "whole bigint, price decimal(10,2), amount double"
    )
    found = rows.select(*[number_of(F.col(field.name), field.dataType) for field in rows.schema]).collect()
    assert [tuple(row) for row in found] == [(1.0, 2.5, None), (None, None, None)]


def test_codes_as_text(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [
            ("00123", 7, 123.0, Decimal("5.00"), True),
            (" ", None, math.nan, None, None),
            (" a ", -1, 1.5, Decimal("5.10"), False),
        ],
        "text string, whole int, amount double, price decimal(8,2), truth boolean",
    )
    found = rows.select(*[text_of(F.col(field.name), field.dataType) for field in rows.schema]).collect()
    assert [tuple(row) for row in found] == [
        ("00123", "7", "123", "5", "true"),
        (None, None, None, None, None),
        (" a ", "-1", "1.5", "5.10", "false"),
    ]


def test_months(spark: SparkSession, settings_for: MakeSettings) -> None:
    made = settings_for(sales={"first_month": "2024-02"})
    days = ["2024-01-31", "2024-02-01", "2024-03-14", "2024-03-31", "2024-04-01", None, "x"]
    rows = spark.createDataFrame(
        [(day, "p", 1.0) for day in days], "data_venda string, produto string, valor_total double"
    )
    months = [row["_month"] for row in with_month(rows, made, dt.date(2024, 3, 15)).collect()]
    assert months == ["undated", "2024-02", "2024-03", "2024-03", "undated", "undated", "undated"]


def known_future(settings_for: MakeSettings, kind: str, *columns: str, **more: str) -> Settings:
    """Settings with planned covariates."""
    return settings_for(sales={"format": kind}, forecast={"known_future": {"columns": list(columns), **more}})


def test_covariates_keep_their_names_and_kinds(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame(
        [("2024-01-01", "p", 1.0, True, "spring", 3, "7")],
        "data_venda string, produto string, valor_total double, promo boolean, SEASON string, stores int, code string",
    )
    made = known_future(settings_for, "parquet", "promo", "season", "stores", "code")
    frame = canonical(rows, made)
    assert [frame.schema[name].dataType.simpleString() for name in ("promo", "season", "stores", "code")] == [
        "double",
        "string",
        "double",
        "string",
    ]
    row = frame.first()
    assert row is not None
    assert (row["promo"], row["season"], row["stores"], row["code"]) == (1.0, "spring", 3.0, "7")


def test_text_covariates_of_csv_are_numbers_where_all_are(spark: SparkSession, settings_for: MakeSettings) -> None:
    names = "data_venda string, produto string, valor_total string, promo string, holiday string, empty string"
    rows = spark.createDataFrame(
        [("2024-01-01", "p", "1", "1", "0", None), ("2024-01-02", "p", "1", " ", "a", None)], names
    )
    made = known_future(settings_for, "csv", "promo", "holiday", "empty")
    frame = canonical(rows, made)
    assert [(row["promo"], row["holiday"], row["empty"]) for row in frame.collect()] == [
        (1.0, "0", None),
        (None, "a", None),
    ]
    # A part of the rows has the kinds of the whole.
    part = canonical(rows.limit(1), made, reference=rows)
    assert part.schema["holiday"].dataType == T.StringType()


def test_covariates_that_cannot_be(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame([], DEFAULTS)
    with pytest.raises(ConfigurationError, match=r"^forecast\.known_future\.columns: the source has no column 'promo'"):
        canonical(rows, known_future(settings_for, "parquet", "promo"))
    with pytest.raises(ConfigurationError, match=r"^forecast\.known_future\.columns: 'flags' has a meaning"):
        canonical(rows, known_future(settings_for, "parquet", "flags"))
    # They may stand in the file of planned values alone.
    assert "promo" not in canonical(rows, known_future(settings_for, "parquet", "promo", path="plan.csv")).columns
