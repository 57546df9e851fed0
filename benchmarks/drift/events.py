"""Events that change a third of the volume from one week on.

The kinds, and what they do to rows, are those of `salesml simulate`: a level shift and a product mix change the
quantities of rows. Where rows are orders, the same shift may come as more or fewer of them: drawn and told apart.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.drift.sales import Sales

KINDS = ("level shift", "price change", "product mix", "outage with zeros", "new category", "stopped feed")
MOVES = ("level shift", "product mix")
SHARE = 1 / 3
SMALLEST, LARGEST = 0.3, 0.6
WEEKS_OF_VOLUME = 8


@dataclass(frozen=True)
class Event:
    """What happens to a third of the volume, drawn as whole series at random.

    `size` is signed for level and price. `way` tells how a level or the mix moves: by quantities (each row's quantity
    changes) or by orders (rows are added or left out).
    """

    kind: str
    way: str
    size: float
    week: int
    age: int
    seed: int

    @property
    def label(self) -> str:
        return f"{self.kind} ({self.way})" if self.way else self.kind


def draw(sales: Sales, count: int, seed: int, kinds: tuple[str, ...] = KINDS, way: str = "quantities") -> list[Event]:
    """Events of the kinds in turn, at random dates, of random size and sign, on models of 1 to 4 weeks of age."""
    rng = np.random.default_rng(seed)
    events = []
    for number in range(count):
        kind, round_ = kinds[number % len(kinds)], number // len(kinds)
        sign = 1 if (round_ // 2) % 2 else -1
        size = float(rng.uniform(SMALLEST, LARGEST)) * (sign if kind in ("level shift", "price change") else 1)
        week = int(rng.integers(sales.first, sales.weeks - 1))
        events.append(Event(kind, way if kind in MOVES else "", size, week, int(rng.integers(1, 5)), number))
    return events


def inject(sales: Sales, event: Event) -> Sales:
    rng = np.random.default_rng([event.seed, event.week])
    rows = sales.rows
    group = a_third(rows, event.week, rng)
    hit = pl.col("series").is_in(group.tolist()) & (pl.col("week") >= event.week)
    before, after = rows.filter(~hit), rows.filter(hit)
    if event.kind == "level shift":
        after = moved(after, event.size, event.way, sales.whole, rng)
    elif event.kind == "price change":
        after = after.with_columns(price=(pl.col("price") * (1 + event.size)))
    elif event.kind == "product mix":
        gains = pl.col("series").is_in(group[::2].tolist())
        parts = ((after.filter(gains), event.size), (after.filter(~gains), -event.size))
        after = pl.concat([moved(part, size, event.way, sales.whole, rng) for part, size in parts])
    elif event.kind == "outage with zeros":
        after = after.with_columns(quantity=pl.lit(0.0))
    elif event.kind == "new category":
        named = [pl.lit("new").alias("category")] if sales.category else []
        new = after.with_columns(pl.col("series") + rows["series"].max() + 1, *named)
        after = pl.concat([after, new])
    else:
        after = after.clear()
    return sales.changed(pl.concat([before, after]))


def a_third(rows: pl.DataFrame, week: int, rng: np.random.Generator) -> np.ndarray:
    """Series in random order until they make up a third of the volume of the weeks before."""
    known = rows.filter(pl.col("week").is_between(week - WEEKS_OF_VOLUME, week - 1))
    volume = known.group_by("series").agg((pl.col("quantity") * pl.col("price")).sum().alias("y")).sort("series")
    series, y = (column.to_numpy() for column in volume.filter(pl.col("y") > 0))
    order = rng.permutation(len(series))
    sums = np.cumsum(y[order])
    return series[order[: np.searchsorted(sums, SHARE * sums[-1]) + 1]]


def moved(rows: pl.DataFrame, size: float, way: str, whole: bool, rng: np.random.Generator) -> pl.DataFrame:
    """Rows with so much more or less sold in all, in larger or in more orders."""
    chance = pl.Series("chance", rng.random(rows.height))
    if way == "orders":
        doubled = rows.filter(chance < abs(size))
        return pl.concat([rows, doubled]) if size > 0 else rows.filter(chance >= -size)
    quantity = pl.col("quantity") * (1 + size)
    return rows.with_columns(quantity=(quantity + chance).floor() if whole else quantity)
