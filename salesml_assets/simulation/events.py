"""Applies events to rows of a source: each event changes the products that it hits, and nothing else.

The rows are as delivered, and contain every canonical column (`source.split_source` adds missing ones). Amounts keep
their type: text stays text, and quantities that are all whole stay whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import polars as pl

from salesml_assets.config.settings import ColumnSettings, Settings
from salesml_assets.quality.fingerprints import row_hashes
from salesml_assets.simulation.plan import Event

NEW = "NEW"  # the new category, and the suffix of a new product code


def key_column(settings: Settings) -> str:
    """The source column by which whole series are hit: the product, else the first key of the series."""
    columns = settings.sales.columns
    column = columns.product or getattr(columns, settings.forecast.series[0])
    assert isinstance(column, str)
    return column


def hit_products(before: pl.DataFrame, event: Event, number: int, seed: int, settings: Settings) -> list[str]:
    """Products in random order until they make up the event's share of the volume.

    The order is that of a hash of code, seed and the event's number: the same products on every machine.

    Args:
        before: Rows of the weeks before the event, for the volume of each product.
        event: The event.
        number: Index of the event in the simulation file.
        seed: The simulation's seed.
        settings: Settings whose `sales.columns` are columns of the rows.
    """
    target = getattr(settings.sales.columns, settings.forecast.target)
    key = key_column(settings)
    volumes = (
        before.select(pl.col(key).cast(pl.String).alias("key"), _number(target).alias("volume"))
        .drop_nulls()
        .group_by("key")
        .agg(pl.col("volume").sum())
        .filter(pl.col("volume") > 0)
    )
    order = sorted(volumes.iter_rows(), key=lambda row: hashlib.sha256(f"{seed}/{number}/{row[0]}".encode()).digest())
    wanted, chosen, volume = event.share * sum(row[1] for row in order), [], 0.0
    for code, sold in order:
        if volume >= wanted:
            break
        chosen.append(code)
        volume += sold
    return chosen


def apply_event(rows: pl.DataFrame, event: Event, hit: Collection[str], seed: int, settings: Settings) -> pl.DataFrame:
    """Applies an event to the rows of a week.

    Args:
        rows: The rows as delivered.
        event: The event.
        hit: The products that it hits, in their order.
        seed: Seed for rounding whole quantities up or down.
        settings: Settings whose `sales.columns` are columns of the rows.
    """
    columns, key = settings.sales.columns, key_column(settings)
    changes: dict[str, Callable[[pl.Expr], dict[str, pl.Expr]]] = {
        "level_shift": lambda is_hit: _level(rows, is_hit, pl.lit(1 + (event.size or 0.0)), seed, columns),
        "price_change": lambda is_hit: _price(rows, is_hit, 1 + (event.size or 0.0), columns),
        "product_mix": lambda is_hit: _level(rows, is_hit, _two_ways(rows, event, hit, key), seed, columns),
        "outage": lambda is_hit: _scaled_columns(rows, is_hit, pl.lit(0.0), [columns.quantity, columns.revenue]),
        "new_category": lambda is_hit: _renamed(is_hit, columns.category, key),
    }
    is_hit = pl.col(key).cast(pl.String).is_in(list(hit)).fill_null(False)
    if event.kind == "stopped_feed":
        return rows.filter(~is_hit)
    return rows.with_columns(**changes[event.kind](is_hit))


def _two_ways(rows: pl.DataFrame, event: Event, hit: Collection[str], key: str) -> pl.Expr:
    up = pl.col(key).cast(pl.String).is_in(list(hit)[::2])
    size = event.size or 0.0
    return pl.when(up).then(1 + size).otherwise(1 - size)


def _level(
    rows: pl.DataFrame, is_hit: pl.Expr, factor: pl.Expr, seed: int, columns: ColumnSettings
) -> dict[str, pl.Expr]:
    """Scaled quantities, and revenues in proportion."""
    if columns.quantity is None:
        return _scaled_columns(rows, is_hit, factor, [columns.revenue])
    before = _number(columns.quantity)
    after = before * factor
    if rows.select((before == before.floor()).all()).item():
        # Rounded up or down at random, so that the sum is right; duplicate rows get the same value and stay duplicates.
        chance = row_hashes(rows, seed).cast(pl.Float64) / 2.0**64
        after = (after + chance).floor()
    # A row's revenue follows its rounded quantity.
    moved = pl.when(before != 0).then(after / before).otherwise(factor)
    quantity = {columns.quantity: _written(rows, columns.quantity, is_hit, after)}
    return quantity | _scaled_columns(rows, is_hit, moved, [columns.revenue])


def _price(rows: pl.DataFrame, is_hit: pl.Expr, factor: float, columns: ColumnSettings) -> dict[str, pl.Expr]:
    return _scaled_columns(rows, is_hit, pl.lit(factor), [columns.unit_price, columns.revenue])


def _scaled_columns(
    rows: pl.DataFrame, is_hit: pl.Expr, factor: pl.Expr, names: Collection[str | None]
) -> dict[str, pl.Expr]:
    return {name: _written(rows, name, is_hit, _number(name) * factor) for name in names if name is not None}


def _renamed(is_hit: pl.Expr, category: str | None, key: str) -> dict[str, pl.Expr]:
    name = category or key
    new = pl.lit(NEW) if category else pl.col(key).cast(pl.String) + f"-{NEW}"
    return {name: pl.when(is_hit).then(new).otherwise(pl.col(name).cast(pl.String))}


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _written(rows: pl.DataFrame, name: str, is_hit: pl.Expr, value: pl.Expr) -> pl.Expr:
    """The value in the column's type for hit rows with a number, else the old value."""
    kind = rows.schema[name]
    typed = (value.round() if kind.is_integer() else value).cast(kind)
    return pl.when(is_hit & value.is_not_null()).then(typed).otherwise(pl.col(name))
