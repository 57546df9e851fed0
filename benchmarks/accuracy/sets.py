"""Series of two real retailers and generated ones of which the truth is known, with the settings of a user."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from salesml_assets.forecasting.calendar import BusinessCalendar, business_calendar

NO_PRODUCTS = "POST|DOT|M|D|S|B|C2|CRUK|PADS|BANK CHARGES|AMAZONFEE|(DCGSS|GIFT).*"
FIRST_DAY = dt.date(2021, 1, 1)


@dataclass(frozen=True)
class SalesSet:
    """Series as the table `sales_series` has them, and what a user would set for them.

    Attributes:
        series: `unique_id`, series keys, `ds`, `y`, `closed`, covariates.
        forecast: The settings `forecast`.
        truth: Where the series were generated: `unique_id`, `ds`, `mean` (expected sales); else None.
    """

    series: pl.DataFrame
    forecast: dict[str, Any]
    truth: pl.DataFrame | None = None


def dense(sold: pl.DataFrame, frequency: str) -> tuple[pl.DataFrame, BusinessCalendar]:
    """One row per series and step from its first sale to the last complete step, by the product's calendar.

    Args:
        sold: `unique_id`, series keys, `day`, `y`; several rows of a step are added up.
        frequency: As the setting.
    """
    daily = sold.group_by("day").agg(rows=(pl.col("y") != 0).sum()).sort("day")
    calendar = business_calendar(
        pd.DataFrame({"date": daily["day"].to_list(), "rows": daily["rows"].to_list()}), frequency
    )
    keys = [name for name in ("store", "category", "product") if name in sold.columns]
    ends = pl.col("day")
    if calendar.week_end is not None:
        ends = ends + pl.duration(days=(calendar.week_end - (pl.col("day").dt.weekday() - 1)) % 7)
    steps = sold.with_columns(ds=ends).filter(pl.col("ds") <= calendar.last)
    summed = steps.sort("unique_id", "ds", "y").group_by("unique_id", "ds", maintain_order=True).agg(pl.col("y").sum())
    about = (
        steps.sort("unique_id", "ds")
        .group_by("unique_id", maintain_order=True)
        .agg(pl.col("ds").min().alias("first"), *[pl.col(key).first() for key in keys])
    )
    every = pl.date_ranges("first", calendar.last, interval=f"{calendar.step_days}d").alias("ds")
    filled = about.with_columns(every).drop("first").explode("ds").join(summed, on=["unique_id", "ds"], how="left")
    closed = pl.col("ds").is_in(list(calendar.closed_days)) & (pl.col("y") == 0)
    series = filled.with_columns(pl.col("y").fill_null(0.0)).with_columns(closed=closed).sort("unique_id", "ds")
    return series, calendar


def _largest(sold: pl.DataFrame, count: int) -> pl.DataFrame:
    best = sold.group_by("unique_id").agg(pl.col("y").sum()).sort("y", "unique_id", descending=[True, False])
    return sold.filter(pl.col("unique_id").is_in(best.head(count)["unique_id"].implode()))


def online_retail(folder: Path) -> SalesSet:
    """A wholesaler's revenue by product: the 200 products with the highest revenue, 373 days, no covariates."""
    lines = pl.read_parquet(folder / "online_retail.parquet")
    product = pl.col("StockCode").str.strip_chars().str.to_uppercase()
    goods = lines.filter((pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0)).with_columns(product=product)
    goods = goods.filter(~pl.col("product").str.contains(f"^({NO_PRODUCTS})$"))
    sold = goods.select(
        "product", unique_id="product", day=pl.col("InvoiceDate").dt.date(), y=pl.col("Quantity") * pl.col("UnitPrice")
    )
    series, _ = dense(_largest(sold, 200), "D")
    return SalesSet(series, {"series": ["product"], "frequency": "D", "horizon": 28, "holidays": {"country": "GB"}})


def complete_journey(folder: Path, frequency: str) -> SalesSet:
    """A grocer's sample of 2017 by store and department: the 150 largest series, mostly zeros by day."""
    lines = pl.read_parquet(folder / "complete_journey.parquet").drop_nulls("department")
    value = next(name for name in ("sales_value", "value") if name in lines.columns)
    stamp = next(name for name in lines.columns if lines[name].dtype in (pl.Date, pl.Datetime) or "timestamp" in name)
    goods = lines.filter((pl.col("quantity") > 0) & (pl.col(value) > 0))
    goods = goods.filter(~pl.col("department").str.contains("FUEL|GAS|MISC"))
    sold = goods.select(
        unique_id=pl.col("store_id") + "/" + pl.col("department"),
        store="store_id",
        category="department",
        day=pl.col(stamp).cast(pl.Date),
        y=pl.col(value).cast(pl.Float64),
    )
    series, _ = dense(_largest(sold, 150), frequency)
    horizon = 28 if frequency == "D" else 8
    keys = ["store", "category"]
    return SalesSet(series, {"series": keys, "frequency": frequency, "horizon": horizon, "holidays": {"country": "US"}})


def generated(
    series: int, years: int, seed: int, level: float, frequency: str = "D", with_promotions: bool = True
) -> SalesSet:
    """Units by store and product: trend, week, year, promotions, holidays with the days before them, negative binomial.

    Ten stores; each product belongs to one of five categories, whose promotions often fall on the same week.

    Args:
        series: How many.
        years: Of daily sales.
        seed: Of the generator.
        level: Mean units of a day.
        frequency: `D`, or `W` for sums of weeks with the share of promoted days.
        with_promotions: Whether there are any.
    """
    import holidays

    random = np.random.default_rng(seed)
    days = np.arange(np.datetime64(FIRST_DAY), np.datetime64(FIRST_DAY) + 365 * years + 1)
    dates = [day.astype(dt.date) for day in days]
    count, ordinal = len(days), np.arange(len(days))
    weekday = np.array([day.weekday() for day in dates])
    angle = 2 * np.pi * ordinal / 365.25
    free = holidays.country_holidays("DE", years=range(FIRST_DAY.year, FIRST_DAY.year + years + 1))
    is_free = np.array([day in free for day in dates])
    before = np.roll(is_free, -1) | np.roll(is_free, -2)
    payday = np.array([day.day in (1, 2, 15, 16) for day in dates])
    waves = random.normal(size=(5, 4)) * [0.2, 0.1, 0.08, 0.05]
    category_promo = random.random((5, count // 7 + 2)) < 0.12
    parts = []
    for number in range(series):
        category = number % 5
        base = level * np.exp(random.normal(0, 0.8))
        trend = np.exp(random.normal(0.03, 0.12) * ordinal / 365)
        if random.random() < 0.3:
            trend = trend * np.where(ordinal > random.integers(200, count), np.exp(random.normal(0, 0.25)), 1.0)
        week = np.exp(random.normal(0, 0.25, 7) + np.array([-0.1, -0.1, 0, 0, 0.15, 0.3, -0.25]))[weekday]
        wave = waves[category] + random.normal(size=4) * 0.06
        year = np.exp(
            wave[0] * np.sin(angle)
            + wave[1] * np.cos(angle)
            + wave[2] * np.sin(2 * angle)
            + wave[3] * np.cos(2 * angle)
        )
        own = random.random(count // 7 + 2) < 0.04
        promoted = (category_promo[category] & (random.random(count // 7 + 2) < 0.7) | own)[ordinal // 7]
        promo = promoted.astype(float) if with_promotions else np.zeros(count)
        uplift = np.exp(promo * abs(random.normal(0.5, 0.2)) + 0.12 * payday * random.random())
        holiday = np.where(is_free, random.uniform(0.3, 0.7), 1.0) * np.where(before, random.uniform(1.1, 1.5), 1.0)
        mean = base * trend * week * year * uplift * holiday
        shape = random.uniform(2.0, 8.0)
        units = random.negative_binomial(shape, shape / (shape + mean)).astype(float)
        names = {"store": f"s{number % 10}", "category": f"c{category}", "product": f"p{number:03d}"}
        part = pl.DataFrame({"ds": dates, "y": units, "promo": promo, "mean": mean})
        parts.append(part.with_columns(unique_id=pl.lit(f"{names['store']}/{names['product']}"),
                                       **{key: pl.lit(value) for key, value in names.items()}))  # fmt: skip
    rows = pl.concat(parts).with_columns(closed=pl.lit(False))
    if frequency == "W":
        end = pl.col("ds") + pl.duration(days=7 - pl.col("ds").dt.weekday())
        about = ["unique_id", "store", "category", "product"]
        whole = (
            rows.with_columns(ds=end)
            .group_by(*about, "ds")
            .agg(pl.col("y", "mean").sum(), pl.col("promo").mean(), days=pl.len())
        )
        rows = whole.filter(pl.col("days") == 7).drop("days").with_columns(closed=pl.lit(False))
    rows = rows.sort("unique_id", "ds")
    forecast = {
        "series": ["store", "product"], "target": "quantity", "frequency": frequency,
        "horizon": 28 if frequency == "D" else 8, "holidays": {"country": "DE"},
    }  # fmt: skip
    if with_promotions:
        forecast["known_future"] = {"columns": ["promo"]}
    else:
        rows = rows.drop("promo")
    return SalesSet(rows.drop("mean"), forecast, rows.select("unique_id", "ds", "mean"))


def smooth() -> SalesSet:
    """The generated sales of the speed benchmark: trend, week and year, no holidays, little noise."""
    from benchmarks.inputs import generated_sales

    sales = pl.from_pandas(generated_sales(60, 3, 7)).with_columns(pl.col("data_venda").cast(pl.Date))
    rows = sales.select(
        unique_id="produto", product="produto", category="categoria_valor", ds="data_venda", y="valor_total"
    ).with_columns(closed=pl.lit(False))
    return SalesSet(rows.sort("unique_id", "ds"), {"series": ["product"], "frequency": "D", "horizon": 28})


SETS: dict[str, Callable[[Path], SalesSet]] = {
    "online_retail": online_retail,
    "cj_daily": lambda folder: complete_journey(folder, "D"),
    "cj_weekly": lambda folder: complete_journey(folder, "W"),
    "promotions": lambda folder: generated(100, 3, 1, 12.0),
    "promotions_weekly": lambda folder: generated(100, 4, 2, 4.0, "W"),
    "intermittent": lambda folder: generated(150, 2, 3, 0.4),
    "no_plan": lambda folder: generated(60, 2, 4, 30.0, with_promotions=False),
    "smooth": lambda folder: smooth(),
}
