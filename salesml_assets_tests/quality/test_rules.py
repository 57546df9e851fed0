"""Which rules hold for which settings and columns, and what their conditions say of single rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.rules import DEFAULT_NAMES, Rule, rules_for
from salesml_assets_tests.quality.summary import split

MakeSettings = Callable[..., Settings]
TODAY = dt.date(2024, 3, 15)
ALL = ["date", "store", "category", "product", "order_id", "quantity", "unit_price", "revenue", "stock_out"]


def names(rules: list[Rule]) -> set[str]:
    """The names of rules."""
    return {rule.name for rule in rules}


def test_all_default_rules_hold_where_all_columns_are_there(settings_for: MakeSettings) -> None:
    made = settings_for(
        sales={"returns": "reject"},
        forecast={"series": ["store", "category", "product"]},
        quality={"exclude_products": "POST"},
    )
    assert names(rules_for(made, ALL, ["_corrupt_record"])) == set(DEFAULT_NAMES)
    assert all(rule.description for rule in rules_for(made, ALL, ["_corrupt_record"]))


def test_rules_for_the_least_columns(settings_for: MakeSettings) -> None:
    found = names(rules_for(settings_for(), ["date", "product", "revenue"]))
    assert found == {
        "exact_duplicate",
        "invalid_date",
        "date_in_future",
        "date_before_first_month",
        "missing_product",
        "invalid_revenue",
        "outlier_revenue",
    }


def test_outliers_are_flagged_unless_set_otherwise(settings_for: MakeSettings) -> None:
    actions = {rule.action for rule in rules_for(settings_for(), ALL) if rule.name.startswith("outlier_")}
    assert actions == {"flag"}
    rejecting = settings_for(quality={"outlier_action": "reject"})
    assert {rule.action for rule in rules_for(rejecting, ALL)} == {"reject"}


def test_rules_can_be_switched_off_and_replaced(settings_for: MakeSettings) -> None:
    own = {"name": "exact_duplicate", "condition": "false"}
    made = settings_for(quality={"disable": ["exact_duplicate", "missing_store"], "rules": [own]})
    found = [rule for rule in rules_for(made, ALL) if rule.name == "exact_duplicate"]
    assert [rule.condition for rule in found] == ["false"]


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (
            {"disable": ["exact_duplicates"]},
            r"^quality\.disable: there is no default rule exact_duplicates; there are ",
        ),
        (
            {"rules": [{"name": "invalid_date", "condition": "true"}]},
            r"^quality\.rules\.invalid_date: .*quality\.disable",
        ),
        ({"rules": [{"name": "own", "condition": "true"}] * 2}, r"^quality\.rules\.own: there is a rule of this name"),
    ],
)
def test_names_that_cannot_be(quality: dict[str, Any], message: str, settings_for: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match=message):
        rules_for(settings_for(quality=quality), ALL)


def test_excluded_products_need_a_product(settings_for: MakeSettings) -> None:
    made = settings_for(quality={"exclude_products": "POST"}, forecast={"series": ["store"]})
    with pytest.raises(ConfigurationError, match=r"^quality\.exclude_products: the source has no product"):
        rules_for(made, ["date", "store", "revenue"])


AMOUNTS = "day string, item string, quantity double, price double, value double"
# quantity, unit price, revenue: broken with a price column, broken without one
PRICES = [
    (2.0, 3.0, 6.0, False, False),
    (2.0, 0.0, 0.0, True, True),
    (2.0, -1.0, -2.0, True, True),
    (-2.0, 3.0, -6.0, False, False),  # a return
    (-2.0, 3.0, 6.0, False, True),
    (0.0, 0.0, 0.0, False, False),  # a day without a sale
    (0.0, -1.0, 0.0, True, False),
    (0.0, 3.0, 6.0, False, False),
    (2.0, None, None, False, False),
    (None, 0.0, 5.0, True, False),
    (None, 2.0, 5.0, False, False),
]


@pytest.mark.parametrize("with_price", [True, False])
def test_prices(with_price: bool, spark: SparkSession, settings_for: MakeSettings) -> None:
    columns = {"date": "day", "product": "item", "quantity": "quantity", "revenue": "value"}
    made = settings_for(
        sales={"columns": columns | ({"unit_price": "price"} if with_price else {})},
        quality={"disable": ["invalid_revenue", *(name for name in DEFAULT_NAMES if name.startswith("outlier_"))]},
    )
    rows = spark.createDataFrame([(f"2024-01-{n + 1:02}", "p", *row[:3]) for n, row in enumerate(PRICES)], AMOUNTS)
    _, quarantined = split(rows, made, TODAY)
    found = {row["day"] for row in quarantined.where("array_contains(_reasons, 'non_positive_price')").collect()}
    assert found == {f"2024-01-{n + 1:02}" for n, row in enumerate(PRICES) if row[3 if with_price else 4]}


def test_own_rules(spark: SparkSession, settings_for: MakeSettings) -> None:
    rules = [
        {"name": "other_country", "condition": "source.`Ship To` <> 'UK'"},
        {"name": "large", "condition": "quantity > 5", "action": "flag", "description": "A large order."},
        {"name": "stale", "condition": "date < today - interval 60 days"},
        {"name": "odd", "condition": "abs(robust_z.quantity) > 30 or source.`Ship To` = 'nowhere'"},
    ]
    columns = {"date": "day", "product": "item", "quantity": "qty", "revenue": "qty"}
    made = settings_for(sales={"columns": columns}, quality={"rules": rules, "outlier_bound": 50})
    rows = spark.createDataFrame(
        [
            ("2024-03-01", "a", 2.0, "UK"),
            ("2024-03-02", "a", 7.0, None),
            ("2024-01-03", "a", 1.0, "FR"),
            ("2024-03-04", "b", 1.0, "nowhere"),
        ],
        "day string, item string, qty double, `Ship To` string",
    )
    accepted, quarantined = split(rows, made, TODAY)
    # A condition that gives null (no country) is not broken.
    assert {row["date"].day: row["flags"] for row in accepted.collect()} == {1: [], 2: ["large"]}
    assert {row["day"]: sorted(row["_reasons"]) for row in quarantined.collect()} == {
        "2024-01-03": ["other_country", "stale"],
        "2024-03-04": ["odd", "other_country"],
    }


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("POST|D", {"POST", "D"}),
        ("GIFT.*", {"GIFT_1"}),
        (r"\d+'s", {"5's"}),
        (r"A\\B|a\tb", {"A\\B", "a\tb"}),
        ("(?i)post", {"POST", "post"}),
    ],
)
def test_excluded_products_match_as_a_whole(
    pattern: str, excluded: set[str], spark: SparkSession, settings_for: MakeSettings
) -> None:
    products = ["POST", "post", "POSTER", "D", "DD", "GIFT_1", "MY GIFT_1", "5's", "A\\B", "a\tb", "POST\n"]
    made = settings_for(quality={"exclude_products": pattern})
    rows = spark.createDataFrame(
        [("2024-01-01", name, 1.0) for name in products], "data_venda string, produto string, valor_total double"
    )
    accepted, quarantined = split(rows, made, TODAY)
    assert {row["produto"] for row in quarantined.collect()} == excluded
    assert {row["product"] for row in accepted.collect()} == set(products) - excluded


def test_returns(spark: SparkSession, settings_for: MakeSettings) -> None:
    rows = spark.createDataFrame(
        [("2024-01-01", "a", 1, 2.0), ("2024-01-02", "a", -1, -2.0), ("2024-01-03", "a", None, -2.0)],
        "data_venda string, produto string, quantidade int, valor_total double",
    )
    accepted, quarantined = split(rows, settings_for(), TODAY)
    assert [row["is_return"] for row in accepted.orderBy("date").collect()] == [False, True, True]
    assert quarantined.count() == 0
    accepted, quarantined = split(rows, settings_for(sales={"returns": "reject"}), TODAY)
    assert [row["is_return"] for row in accepted.collect()] == [False]
    assert [row["_reasons"] for row in quarantined.collect()] == [["return"], ["return"]]
