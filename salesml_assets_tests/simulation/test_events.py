"""Events: they hit the share of the volume that was asked for, as whole products, and leave the others as they were."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from salesml_assets.config.settings import Settings
from salesml_assets.simulation.events import NEW, apply_event, hit_products
from salesml_assets.simulation.plan import SIZED, Event

COLUMNS = {"date": "day", "product": "code", "category": "kind", "quantity": "units", "unit_price": "price",
           "revenue": "value"}  # fmt: skip
KINDS = ("level_shift", "price_change", "product_mix", "outage", "new_category", "stopped_feed")
AMOUNTS = ["units", "price", "value"]

products = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.integers(1, 50), st.integers(1, 2000)), min_size=1, max_size=60
)
events = st.builds(
    lambda kind, size, share: Event(kind=kind, week=1, share=share, size=size if kind in SIZED else None),
    st.sampled_from(KINDS),
    st.sampled_from([-0.6, -0.3, 0.3, 0.9]),
    st.floats(0.05, 1),
)


def settings(**columns: str | None) -> Settings:
    return Settings.model_validate({"sales": {"columns": COLUMNS | columns}})


def sold(lines: list[tuple[str, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "day": [dt.date(2024, 1, 1)] * len(lines),
            "code": [code for code, _, _ in lines],
            "kind": ["k"] * len(lines),
            "units": [units for _, units, _ in lines],
            "price": [cents / 100 for _, _, cents in lines],
            "value": [units * cents / 100 for _, units, cents in lines],
            "note": [f"line {number}" for number in range(len(lines))],
        }
    )


def hit_by(rows: pl.DataFrame, event: Event, seed: int = 1) -> tuple[list[str], pl.DataFrame]:
    hit = hit_products(rows, event, 0, seed, settings())
    return hit, apply_event(rows, event, hit, seed, settings())


@tried(deadline=None)
@given(products, events)
def test_what_is_not_hit_stays_as_it_was(lines: list[tuple[str, int, int]], event: Event) -> None:
    rows = sold(lines)
    hit, after = hit_by(rows, event)
    untouched = ~pl.col("note").is_in(rows.filter(pl.col("code").is_in(hit))["note"].to_list())
    assert_frame_equal(after.filter(untouched), rows.filter(untouched))
    assert after.schema == rows.schema
    assert after["day"].to_list() == rows["day"].to_list()[: after.height]


@tried(deadline=None)
@given(products, events)
def test_whole_products_make_up_the_share_of_the_volume(lines: list[tuple[str, int, int]], event: Event) -> None:
    rows = sold(lines)
    hit = hit_products(rows, event, 0, 1, settings())
    volumes = dict(rows.group_by("code").agg(pl.col("value").sum()).iter_rows())
    wanted = event.share * sum(volumes.values())
    reached = sum(volumes[code] for code in hit)
    assert reached >= wanted * (1 - 1e-9)
    assert reached - volumes[hit[-1]] < wanted, "one product fewer would not have been enough"


@tried(deadline=None)
@given(products, events, st.integers(0, 5))
def test_the_same_again_is_the_same(lines: list[tuple[str, int, int]], event: Event, seed: int) -> None:
    rows = sold(lines)
    assert_frame_equal(hit_by(rows, event, seed)[1], hit_by(rows, event, seed)[1])
    assert hit_products(rows, event, 0, seed, settings()) == hit_products(rows.reverse(), event, 0, seed, settings())


def test_seeds_and_numbers_hit_other_products() -> None:
    rows = sold([(code, 1, 100) for code in "abcdefghij"])
    event = Event(kind="outage", week=1, share=0.5)
    draws = {tuple(hit_products(rows, event, number, seed, settings())) for number in (0, 1) for seed in (1, 2)}
    assert len(draws) == 4


@pytest.mark.parametrize("size", [0.5, -0.5])
def test_a_level_shift_moves_whole_quantities_and_their_revenue(size: float) -> None:
    rows = sold([("a", number % 3 + 1, 250) for number in range(4000)])
    _, after = hit_by(rows, Event(kind="level_shift", week=1, share=1, size=size))
    assert after["units"].sum() / rows["units"].sum() == pytest.approx(1 + size, abs=0.02)
    assert ((after["units"] * after["price"] - after["value"]).abs() < 1e-9).all()
    assert_frame_equal(after.select("price"), rows.select("price"))


def test_a_level_shift_of_fractions_is_exact() -> None:
    rows = sold([("a", 3, 250), ("a", 4, 100)]).with_columns(units=pl.col("units") + 0.25)
    _, after = hit_by(rows, Event(kind="level_shift", week=1, share=1, size=0.4))
    assert after["units"].to_list() == pytest.approx([1.4 * units for units in rows["units"]])


def test_a_price_change_leaves_quantities() -> None:
    rows = sold([("a", 3, 250), ("b", 2, 100)])
    _, after = hit_by(rows, Event(kind="price_change", week=1, share=1, size=-0.2))
    assert after["price"].to_list() == pytest.approx([2.0, 0.8])
    assert after["value"].to_list() == pytest.approx([6.0, 1.6])
    assert after["units"].to_list() == [3, 2]


def test_a_product_mix_moves_one_half_up_and_the_other_down() -> None:
    rows = sold([(code, 10, 100) for code in "abcdefghij"])
    _, after = hit_by(rows, Event(kind="product_mix", week=1, share=1, size=0.5))
    assert sorted(after["units"]) == [5] * 5 + [15] * 5


def test_an_outage_delivers_zeros_and_a_stopped_feed_nothing() -> None:
    rows = sold([("a", 3, 250), ("b", 2, 100)])
    _, zeros = hit_by(rows, Event(kind="outage", week=1, share=1))
    assert zeros["units"].to_list() == [0, 0]
    assert zeros["value"].to_list() == [0.0, 0.0]
    assert hit_by(rows, Event(kind="stopped_feed", week=1, share=1))[1].is_empty()


def test_a_new_category_is_a_new_code_where_there_is_no_category() -> None:
    rows = sold([("a", 3, 250)])
    event = Event(kind="new_category", week=1, share=1)
    assert hit_by(rows, event)[1]["kind"].to_list() == [NEW]
    plain = settings(category=None)
    assert apply_event(rows, event, ["a"], 1, plain)["code"].to_list() == [f"a-{NEW}"]


def test_text_and_what_is_no_number_keep_their_form() -> None:
    rows = sold([("a", 3, 250), ("a", 2, 100), ("a", 1, 100)]).with_columns(
        units=pl.Series(["3", "many", None]), value=pl.Series(["7.5", "", "1"])
    )
    after = apply_event(rows, Event(kind="outage", week=1), ["a"], 1, settings())
    assert after["units"].to_list() == ["0.0", "many", None]
    assert after["value"].to_list() == ["0.0", "", "0.0"]


def test_copies_of_a_row_stay_copies() -> None:
    rows = sold([("a", 3, 250)] * 50).with_columns(note=pl.lit("the same"))
    after = apply_event(rows, Event(kind="level_shift", week=1, size=0.5), ["a"], 1, settings())
    assert after.unique().height == 1


def test_rows_without_a_product_are_never_hit() -> None:
    rows = sold([("a", 3, 250), ("b", 2, 100)]).with_columns(code=pl.Series(["a", None]))
    hit, after = hit_by(rows, Event(kind="stopped_feed", week=1, share=1))
    assert hit == ["a"]
    assert after["code"].to_list() == [None]


def test_quantity_is_the_volume_where_it_is_forecast() -> None:
    rows = sold([("a", 100, 1), ("b", 1, 100_000)])
    values: dict[str, Any] = {"sales": {"columns": COLUMNS}, "forecast": {"target": "quantity"}}
    by_quantity = Settings.model_validate(values)
    for seed in range(5):
        assert "a" in hit_products(rows, Event(kind="outage", week=1, share=0.5), 0, seed, by_quantity)
