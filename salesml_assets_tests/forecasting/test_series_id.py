"""`unique_id` names each tuple of keys once, and ordinary names stay readable."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.series_id import series_id
from salesml_assets.forecasting.training.series import unique_id

KEY = st.one_of(st.none(), st.text(alphabet="/\\ aé\U0001f37a", min_size=1, max_size=5))
KEYS = ["store", "category", "product"]


def ids(rows: list[tuple[str | None, ...]], keys: list[str]) -> list[str]:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(keys, pl.String), orient="row")
    return frame.select(series_id(keys))["unique_id"].to_list()


def test_ordinary_names_are_joined() -> None:
    assert ids([("Lisboa", "Pão", "7 up")], KEYS) == ["Lisboa/Pão/7 up"]
    assert ids([("3/8\\x",)], ["product"]) == ["3/8\\x"]


def test_keys_that_hold_the_separator() -> None:
    rows: list[tuple[str | None, ...]] = [("Porto", "Norte/Bebidas"), ("Porto/Norte", "Bebidas")]
    assert ids(rows, ["store", "category"]) == ["Porto/Norte\\/Bebidas", "Porto\\/Norte/Bebidas"]


@given(st.integers(1, 3).flatmap(lambda size: st.lists(st.tuples(*[KEY] * size), min_size=2, max_size=8)))
def test_two_tuples_never_share_an_id(rows: list[tuple[str | None, ...]]) -> None:
    assert len(set(ids(rows, KEYS[: len(rows[0])]))) == len(set(rows))


def test_spark_and_polars_make_the_same_ids(spark: SparkSession, settings_for: Callable[..., Settings]) -> None:
    values = [None, "a", "/", "\\", "a/b", "a\\", "\\/", "//", "é 🍺", " "]
    for keys in (KEYS[:1], KEYS[:2], KEYS):
        rows: list[tuple[str | None, ...]] = [()]
        for _ in keys:
            rows = [(*row, value) for row in rows for value in values]
        frame = spark.createDataFrame(rows, ", ".join(f"{key} string" for key in keys))
        made = frame.select(unique_id(settings_for(forecast={"series": keys})).alias("id"), *keys).collect()
        assert {row["id"]: tuple(row[key] for key in keys) for row in made} == dict(
            zip(ids(rows, keys), rows, strict=True)
        )
