"""Values as they arrive: grouped numbers, instants, totals of months, keys with slashes, plans, stray dates."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.forecasting.training.planned import plan_coverage, read_planned
from salesml_assets.lake.spark_tables import read_table
from salesml_assets.quality.source import preflight
from salesml_assets_tests.quality.intake import TODAY, Made, days, take_in, write_rows

COLUMNS = {"date": "date", "product": "item", "quantity": "units"}


def german(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}".replace(",", "_").replace(".", ",").replace("_", ".")


def test_keys_that_hold_slashes_are_four_series(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    shops = {("Porto", "Norte/Bebidas"): 1000, ("Porto/Norte", "Bebidas"): 100, ("Porto", "Pão"): 50, ("L", "B"): 4}
    rows = [(day, *keys, value) for day in days(182) for keys, value in shops.items()]
    file = write_rows(tmp_path / "sales.csv", ["day", "branch", "group", "value"], rows)
    settings = source_settings(
        sales={"path": str(file), "format": "csv",
               "columns": {"date": "day", "store": "branch", "category": "group", "revenue": "value"}},
        forecast={"target": "revenue", "series": ["store", "category"]},
    )  # fmt: skip
    assert take_in(spark, settings).totals() == {
        "Porto/Norte\\/Bebidas": 182_000.0, "Porto\\/Norte/Bebidas": 18_200.0, "Porto/Pão": 9_100.0, "L/B": 728.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("write", "expression", "message"),
    [
        (german, "replace(Menge, '.', '')", r"exactly three digits after it: '1\.0\d\d', .*beside whole ones"),
        (lambda value: german(value, 2), "replace(replace(Menge, '.', ''), ',', '.')", "numbers with a decimal comma"),
        (lambda value: f"{value:,}", "replace(Menge, ',', '')", "commas before exactly three digits"),
        (lambda value: f"{value:,.2f}", "replace(Menge, ',', '')", "numbers with commas between thousands"),
        (lambda value: f"R$ {german(value, 2)}",
         "if(Menge rlike '[-(]', -1, 1) * replace(regexp_replace(Menge, '[^0-9,]', ''), ',', '.')",
         "numbers with signs around them"),
        (lambda value: f"{-value}.00-" if value < 0 else f"{value}.00",
         "if(Menge rlike '[-(]', -1, 1) * regexp_replace(Menge, '[^0-9.]', '')", "numbers with signs"),
    ],
)  # fmt: skip
def test_numbers_in_other_styles_are_refused_with_the_expression_that_reads_them(
    write: Callable[[int], str], expression: str, message: str,
    spark: SparkSession, source_settings: Made, tmp_path: Path,
) -> None:  # fmt: skip
    amounts = [(day, item, sign * (700 + 5 * number)) for number, day in enumerate(days(182))
               for item, sign in (("0815", 1), ("4711", 1 if number % 9 else -1))]  # fmt: skip
    rows = [(f"{day:%d.%m.%Y}", item, write(amount)) for day, item, amount in amounts]
    file = write_rows(tmp_path / "verkauf.csv", ["Datum", "Artikel", "Menge"], rows, sep=";")

    def settings(entry: str) -> Any:
        columns = {"date": "to_date(Datum, 'dd.MM.yyyy')", "product": "Artikel", "quantity": entry}
        return source_settings(
            sales={"path": str(file), "format": "csv", "options": {"sep": ";"}, "columns": columns},
            forecast={"non_negative": False},
        )

    with pytest.raises(ConfigurationError, match=f"^sales.columns.quantity: .*{message}") as caught:
        preflight(spark, settings("Menge"))
    assert expression in str(caught.value)
    totals: Counter[str] = Counter()
    for _, item, amount in amounts:
        totals[item] += amount
    assert take_in(spark, settings(expression)).totals() == {item: float(total) for item, total in totals.items()}


@pytest.fixture
def bar() -> pd.DataFrame:
    """A wine bar in São Paulo, open from Tuesday to Saturday until late."""
    draw, rows = random.Random(5), []
    for day in days(182):
        if day.weekday() in (6, 0):
            continue
        for _ in range(8):
            clock = dt.time(draw.choice([17, 19, 21, 22, 23]), draw.randint(0, 59), draw.randint(0, 59))
            rows.append((dt.datetime.combine(day, clock), "red", draw.randint(40, 120)))
    return pd.DataFrame(rows, columns=["sold_at", "product", "total"])


BAR = {"date": "sold_at", "product": "product", "revenue": "total"}


@pytest.mark.parametrize("entry", ["sold_at", "date(sold_at)"])
@pytest.mark.parametrize("how", ["metadata", "setting", "text"])
def test_instants_become_days_of_the_shop(
    how: str, entry: str, spark: SparkSession, source_settings: Made, tmp_path: Path, bar: pd.DataFrame
) -> None:
    if how == "text" and entry != "sold_at":
        pytest.skip("an expression over text is the user's own")
    local = bar["sold_at"].dt.tz_localize("America/Sao_Paulo")
    zone = {} if how == "metadata" else {"timezone": "America/Sao_Paulo"}
    kind = "csv" if how == "text" else "parquet"
    if how == "text":
        stamps = local.dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        bar.assign(sold_at=stamps).to_csv(tmp_path / "bar.csv", index=False)
    else:
        moments = local if how == "metadata" else local.dt.tz_convert("UTC")
        bar.assign(sold_at=moments).to_parquet(tmp_path / "bar.parquet")
    settings = source_settings(
        sales={"path": str(tmp_path / f"bar.{kind}"), "format": kind, "columns": BAR | {"date": entry}} | zone,
        forecast={"target": "revenue"},
    )
    taken = take_in(spark, settings)
    sold = taken.table("sales").groupby("date")["revenue"].sum()
    expected = bar.groupby(bar["sold_at"].dt.date)["total"].sum()
    assert sold.to_dict() == expected.to_dict()
    assert taken.calendar.closed_weekdays == (0, 6)
    assert not [note for note in taken.summary.notes if note.key == "sales.timezone"]


def test_instants_without_a_zone_are_a_warning(
    spark: SparkSession, source_settings: Made, tmp_path: Path, bar: pd.DataFrame
) -> None:
    moments = bar["sold_at"].dt.tz_localize("America/Sao_Paulo").dt.tz_convert("UTC")
    bar.assign(sold_at=moments).to_parquet(tmp_path / "bar.parquet")
    columns = {"sales": {"path": str(tmp_path / "bar.parquet"), "columns": BAR}, "forecast": {"target": "revenue"}}
    (note,) = [note for note in preflight(spark, source_settings(**columns)).notes if note.key == "sales.timezone"]
    assert note.kind == "suspicious"
    night = int((moments.dt.hour < 6).sum())
    assert f"{len(bar):,} rows have instants" in note.text
    assert f"{night:,} rows before 06:00 UTC" in note.text
    # Dates as instants at midnight are days, whatever the zone.
    bar.assign(sold_at=bar["sold_at"].dt.normalize().dt.tz_localize("UTC")).to_parquet(tmp_path / "bar.parquet")
    assert {note.kind for note in preflight(spark, source_settings(**columns)).notes} == {"found"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [("MS", "monthly rows, typically 31 days apart"), ("ME", "monthly"), ("QS", "quarterly"),
     ("W-MON", "weekly rows, typically 7 days apart .*set forecast.frequency: W")],
)  # fmt: skip
def test_totals_of_months_are_not_days(
    rule: str, message: str, spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    dates = pd.date_range("2019-01-01", "2024-06-30", freq=rule).date
    file = write_rows(tmp_path / "totals.csv", ["date", "item", "units"],
                      [(day, f"SKU-{item}", 100 + item) for day in dates for item in range(12)])  # fmt: skip
    settings = source_settings(sales={"path": str(file), "format": "csv", "columns": COLUMNS})
    with pytest.raises(ConfigurationError, match=f"^forecast.frequency: D needs rows of single days, .*{message}"):
        preflight(spark, settings)


def test_a_ticket_of_a_clock_that_began_anew(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    rows = [(day, "A", 3) for day in days(60, dt.date(2024, 5, 2))] + [(dt.date(1980, 1, 1), "A", 1)]
    file = write_rows(tmp_path / "tickets.csv", ["date", "item", "units"], rows)

    def settings(**changes: Any) -> Any:
        sales = {"path": str(file), "format": "csv", "columns": COLUMNS} | changes.pop("sales", {})
        return source_settings(sales=sales, **changes)

    far, near = r"1 row of 1980-01-01 is 16,\d\d\d days away", r"28 days ahead .* there are 60 .* fits is \d+"
    message = rf"^sales.first_month: {far}.*set sales.first_month: 2024-05\. Then forecast.horizon: {near}"
    with pytest.raises(ConfigurationError, match=message):
        preflight(spark, settings(forecast={"horizon": 28}))
    short = settings(sales={"first_month": "2024-05"}, forecast={"horizon": 7})
    taken = take_in(spark, short)
    assert taken.totals() == {"A": 180.0}
    assert taken.table("quarantined_sales")["_reasons"].tolist() == [["date_before_first_month"]]


def test_one_sale_among_zeros_closes_no_day(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    rows = [(day, "X1", 20 if number == 4 else 0) for number, day in enumerate(days(182))]
    file = write_rows(tmp_path / "sales.csv", ["date", "item", "units"], rows)
    taken = take_in(spark, source_settings(sales={"path": str(file), "format": "csv", "columns": COLUMNS}))
    assert taken.totals() == {"X1": 20.0}
    assert not taken.table("sales_series")["closed"].any()


PLANS: dict[str, tuple[dict[str, Any], Callable[[dt.date], str], list[str]]] = {
    "as the sales": ({}, str, ["date", "store", "product", "promo", "campaign"]),
    "compact dates": ({}, lambda day: f"{day:%Y%m%d}", ["date", "store", "product", "promo", "campaign"]),
    "instants": ({}, lambda day: f"{day}T22:30:00-03:00", ["date", "store", "product", "promo", "campaign"]),
    "header in capitals": ({}, str, ["DATE", "STORE", "PRODUCT", "PROMO", "CAMPAIGN"]),
    "other separator": ({"options": {"sep": ";"}}, str, ["date", "store", "product", "promo", "campaign"]),
}


@pytest.mark.parametrize("how", PLANS)
def test_a_plan_is_read_as_the_sales_are(how: str, spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    extra, date, head = PLANS[how]
    every = days(182 + 14)
    rows: list[tuple[object, ...]] = [
        (date(day), store, product, int(day.day % 5 == 0),
         "influencer" if day.day % 5 == 0 and day >= TODAY else 'fly"er' if day.day % 5 == 0 else "none")
        for day in every for store in ("007", "012") for product in ("00017", "00450")
        if day < TODAY or day.day not in (9, 10)
    ]  # fmt: skip
    rows.append((date(TODAY), "007", "99999", 1, "none"))
    plan = write_rows(tmp_path / "plan.csv", head, rows, sep=extra.get("options", {}).get("sep", ","))
    sales = [
        (day, store, product, 7) for day in days(182) for store in ("007", "012") for product in ("00017", "00450")
    ]
    file = write_rows(tmp_path / "sales.csv", ["date", "store", "product", "units"], sales)
    columns = {"date": "date", "store": "store", "product": "product", "quantity": "units"}
    known = {"path": str(plan), "format": "csv", "columns": ["promo", "campaign"]} | extra
    settings = source_settings(
        sales={"path": str(file), "format": "csv", "columns": columns},
        forecast={"series": ["store", "product"], "known_future": known},
    )
    taken = take_in(spark, settings)
    series = taken.table("sales_series")
    assert set(series["unique_id"]) == {"007/00017", "007/00450", "012/00017", "012/00450"}
    fives = pd.to_datetime(series["ds"]).dt.day % 5 == 0
    assert (series["promo"] == fives).all()
    assert (series["campaign"] == fives.map({True: 'fly"er', False: "none"})).all()
    planned = read_planned(spark, settings, taken.calendar)
    assert planned is not None
    found = plan_coverage(read_table(spark, taken.lake, "sales_series"), settings, taken.calendar, planned)
    assert (found.cells, found.covered, found.strangers) == (4 * 14, 4 * 12, 1)
    assert found.unseen == {"campaign": ["influencer"]}


def test_a_covariate_is_a_number_in_both_or_text_in_both(
    spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    file = write_rows(
        tmp_path / "sales.csv", ["date", "item", "units", "promo"], [(day, "A", 3, 1) for day in days(182)]
    )
    plan = write_rows(tmp_path / "plan.csv", ["date", "item", "promo"], [(day, "A", "flyer") for day in days(200)])
    known = {"path": str(plan), "format": "csv", "columns": ["promo"]}
    settings = source_settings(
        sales={"path": str(file), "format": "csv", "columns": COLUMNS}, forecast={"known_future": known}
    )
    with pytest.raises(ConfigurationError, match=r"^forecast.known_future.columns: 'promo' is double in the sales and"):
        take_in(spark, settings)
