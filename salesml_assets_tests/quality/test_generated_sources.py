"""Generated sources: each is read with the totals that it was made of, or refused with the key that is wrong.

A long run: `INTAKE_EXAMPLES=2000 pytest salesml_assets_tests/quality/test_generated_sources.py`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.training.series import unique_id
from salesml_assets.quality.source import preflight, read_source
from salesml_assets.quality.split import accepted_rows, judge
from salesml_assets_tests.conftest import SPARK
from salesml_assets_tests.quality.intake import START

EXAMPLES = int(os.environ.get("INTAKE_EXAMPLES", "15"))
DAYS = 45  # what a horizon of a week needs
ZONE = dt.timezone(dt.timedelta(hours=-3))  # São Paulo in 2024


def german(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


# Styles of amounts in text: how they are written, and the expression that reads them.
AMOUNTS: dict[str, tuple[Callable[[int], str], str]] = {
    "plain": (str, "{}"),
    "decimals": (lambda value: f"{value}.50", "{}"),
    "one decimal": (lambda value: f"{value}.5", "{}"),
    "points": (lambda value: german(value, 0), "replace({}, '.', '')"),
    "german": (lambda value: german(value + 0.5, 2), "replace(replace({}, '.', ''), ',', '.')"),
    "commas": (lambda value: f"{value:,}", "replace({}, ',', '')"),
    "american": (lambda value: f"{value + 0.5:,.2f}", "replace({}, ',', '')"),
    "reais": (lambda value: f"R$ {german(value + 0.5, 2)}", "replace(regexp_replace({}, '[^0-9,]', ''), ',', '.')"),
    "euros": (lambda value: f"{german(value + 0.5, 2)} €", "replace(regexp_replace({}, '[^0-9,]', ''), ',', '.')"),
    "spaces": (lambda value: f"{value:,}".replace(",", " "), "replace({}, ' ', '')"),
    "apostrophes": (lambda value: f"{value:,}".replace(",", "'"), "replace({}, '\\'', '')"),
}
HALVES = {"decimals", "one decimal", "german", "american", "reais", "euros"}
# Styles of dates: how a day is written, the expression that reads it, and whether it is an instant in UTC.
DATES: dict[str, tuple[Callable[[dt.date], str], str, bool]] = {
    "iso": (str, "{}", False),
    "basic": (lambda day: f"{day:%Y%m%d}", "{}", False),
    "time": (lambda day: f"{day} 23:30:00", "{}", False),
    "offset": (lambda day: f"{day}T23:30:00-03:00", "{}", False),
    "german": (lambda day: f"{day:%d.%m.%Y}", "to_date({}, 'dd.MM.yyyy')", False),
    "american": (lambda day: f"{day:%m/%d/%Y}", "to_date({}, 'MM/dd/yyyy')", False),
    "utc": (lambda day: dt.datetime(day.year, day.month, day.day, 23, 30, tzinfo=ZONE).astimezone(dt.UTC)
            .strftime("%Y-%m-%dT%H:%M:%SZ"), "{}", True),
}  # fmt: skip
KEY = st.one_of(
    st.sampled_from(["007", "7", "0007", "7.0", "1E3", "a/b", "a", "b", "a\\", "/", "Pão", "Pao", "PÃO", "true", "NaN",
                     "null", "2024-01-01", "Größe 3/8\" x 1,5", "x;y", "x,y", "x|y", " x", "x ", "é", "é"]),
    st.text(alphabet="ab01/\\\"',;. -_é", min_size=1, max_size=4).filter(lambda text: text.strip() != ""),
)  # fmt: skip
NAME = st.sampled_from(
    ["day", "Order Date", "Cód. Produto", "Valor Total (R$)", "a.b", "Menge", "menge", "MENGE", "x[1]", "date",
     "quantity", "product", "n`b", "item ", " item", "größe", "_c0", "source", "y" * 300]
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A generated source, and what it was made of."""

    kind: str
    names: list[str]
    keys: list[tuple[str, str]]
    amount: str
    level: int
    date: str
    separator: str
    written: str
    declared: str | None
    explained: bool
    timezone: bool

    def rows(self) -> list[tuple[dt.date, str, str, int]]:
        return [
            (START + dt.timedelta(number), *keys, self.level * (1 + place) + number)
            for number in range(DAYS)
            for place, keys in enumerate(self.keys)
        ]

    def value(self, number: int) -> float:
        return number + 0.5 if self.amount in HALVES else float(number)

    def totals(self) -> dict[tuple[str, str, dt.date], float]:
        found: Counter[tuple[str, str, dt.date]] = Counter()
        for day, store, product, number in self.rows():
            found[store, product, day] += self.value(number)  # type: ignore[assignment]
        return dict(found)

    def texts(self) -> list[list[str]]:
        write, date = AMOUNTS[self.amount][0], DATES[self.date][0]
        return [[date(day), store, product, write(number), "x"] for day, store, product, number in self.rows()]


@st.composite
def sources(draw: st.DrawFn) -> Source:
    kind = draw(st.sampled_from(["csv", "csv", "csv", "parquet", "json", "folders"]))
    written = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16"]))
    declared = draw(st.sampled_from([None, None, written.upper().removesuffix("-SIG"), "ISO-8859-1", "UTF-16"]))
    names = draw(st.lists(NAME, min_size=5, max_size=5, unique=True))
    if kind == "folders":
        names[1] = "shop"
    return Source(
        kind=kind,
        names=names,
        keys=draw(st.lists(st.tuples(KEY, KEY), min_size=1, max_size=4, unique=True)),
        amount=draw(st.sampled_from(sorted(AMOUNTS))),
        level=draw(st.sampled_from([3, 700, 990, 12_000, 1_100_000])),
        date=draw(st.sampled_from(sorted(DATES))),
        separator=draw(st.sampled_from([",", ";", "\t", "|"])),
        written=written,
        declared=declared,
        explained=draw(st.booleans()),
        timezone=draw(st.booleans()),
    )


def write(source: Source, folder: Path) -> tuple[str, dict[str, str]]:
    """Writes the source; its address, and the options that its format needs."""
    texts = source.texts()
    if source.kind == "csv":
        text = io.StringIO()
        writer = csv.writer(text, delimiter=source.separator, lineterminator="\n")
        writer.writerow(source.names)
        writer.writerows(texts)
        (folder / "s.csv").write_bytes(text.getvalue().encode(source.written, "replace"))
        options = {"sep": source.separator} | ({"encoding": source.declared} if source.declared else {})
        return str(folder / "s.csv"), options
    if source.kind == "json":
        lines = [json.dumps(dict(zip(source.names, row, strict=True)), ensure_ascii=False) for row in texts]
        (folder / "s.json").write_text("\n".join(lines), encoding="utf-8")
        return str(folder / "s.json"), {}
    if source.kind == "folders":
        for store in {store for store, _ in source.keys}:
            inside = folder / "s" / f"shop={quote(store, safe='')}"
            inside.mkdir(parents=True)
            columns = zip(*[row for row in texts if row[1] == store], strict=True)
            arrays = [pa.array(list(column)) for place, column in enumerate(columns) if place != 1]
            names = [name for place, name in enumerate(source.names) if place != 1]
            pq.write_table(pa.Table.from_arrays(arrays, names), inside / "a.parquet")
        return str(folder / "s"), {}
    table = pa.Table.from_arrays([pa.array(list(column)) for column in zip(*texts, strict=True)], source.names)
    pq.write_table(table, folder / "s.parquet")
    return str(folder / "s.parquet"), {}


def settings_of(source: Source, path: str, options: dict[str, str], lake: str) -> Settings:
    def entry(place: int, form: str) -> str:
        name = source.names[place]
        if len({other.casefold() for other in source.names}) == len(source.names) or form == "{}":
            return name if form == "{}" else form.format("`" + name.replace("`", "``") + "`")
        shown = [other for other in source.names if other.casefold() == name.casefold()]
        if len(shown) > 1:  # the name under which it is read
            name = f"{name} ({shown.index(name) + 1})"
        return form.format("`" + name.replace("`", "``") + "`")

    amount = AMOUNTS[source.amount][1] if source.explained else "{}"
    columns = {
        "date": entry(0, DATES[source.date][1]), "store": entry(1, "{}"), "product": entry(2, "{}"),
        "quantity": entry(3, amount),
    }  # fmt: skip
    zone = {"timezone": "America/Sao_Paulo"} if source.timezone else {}
    kind = "parquet" if source.kind == "folders" else source.kind
    return Settings(
        sales={"path": path, "format": kind, "options": options, "columns": columns, **zone},
        forecast={"target": "quantity", "series": ["store", "product"], "horizon": 7},
        lake={"root": lake},
        clock={"today": dt.date(2024, 7, 1)},
        spark=SPARK,
    )


def outcome(spark: SparkSession, source: Source) -> tuple[str, Any]:
    """`read` with totals by store, product and day, and the number of series; or `refused` with the message."""
    folder = Path(tempfile.mkdtemp())
    try:
        where = settings_of(source, *write(source, folder), str(folder / "lake"))
        try:
            notes = preflight(spark, where).notes
            judged = judge(read_source(spark, where), where, where.today)
        except ConfigurationError as error:
            return "refused", str(error)
        rows = accepted_rows(judged).groupBy("store", "product", "date").agg(F.sum("quantity").alias("sum"))
        found = rows.withColumn("id", unique_id(where)).collect()
        totals = {(row["store"], row["product"], row["date"]): row["sum"] for row in found}
        ids = {(row["store"], row["product"]): row["id"] for row in found}
        return "read", (totals, ids, notes)
    finally:
        shutil.rmtree(folder)


@pytest.mark.timeout(7200)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)
@given(source=sources())
def test_a_source_is_read_as_it_was_made_or_refused(spark: SparkSession, source: Source) -> None:
    encodable = source.kind != "csv" or all(
        sign in "€" or sign.encode(source.written, "ignore") for row in source.texts() for cell in row for sign in cell
    )
    if not encodable or (source.amount == "euros" and source.written == "iso-8859-1"):
        return
    kind, result = outcome(spark, source)
    event(kind)
    if kind == "refused":
        assert re.match(r"(sales|forecast|quality)\.[\w.]+: ", result)
        assert not re.search(r"Exception|SQLSTATE|\n", result)
        return
    totals, ids, notes = result
    if DATES[source.date][2] and not source.timezone:
        # Days of UTC are what there is to take; the doubt is said.
        assert any(note.key == "sales.timezone" for note in notes)
        moved = dt.timedelta(1)
        expected = {(store, product, day + moved): value for (store, product, day), value in source.totals().items()}
    else:
        expected = source.totals()
    assert totals == expected
    assert len(set(ids.values())) == len(set(source.keys))
