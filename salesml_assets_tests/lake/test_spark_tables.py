"""Which schemas need nothing but Delta's first version."""

from __future__ import annotations

import pytest
from pyspark.sql.types import _parse_datatype_string

from salesml_assets.lake.spark_tables import delta_schema, is_plain


@pytest.mark.parametrize(
    ("columns", "plain"),
    [
        ('id bigint, `char` string, `ä."b` decimal(12, 2), list array<map<string, struct<x: timestamp>>>', True),
        ("moment timestamp_ntz", False),
        ("list array<timestamp_ntz>", False),
        ("names map<string, struct<x: variant>>", False),
        ("nothing void", False),
        ("anything variant", False),
        ("text string collate UNICODE_CI", False),
        ("`a b` int", False),
        ("outer struct<`a=b`: int>", False),
    ],
)
def test_types_and_names(spark, columns: str, plain: bool) -> None:
    assert is_plain(_parse_datatype_string(columns)) is plain


def test_any_value_may_be_missing() -> None:
    schema = _parse_datatype_string("id bigint not null, list array<int>")
    assert '"nullable":false' not in delta_schema(schema).to_json().replace(" ", "")
