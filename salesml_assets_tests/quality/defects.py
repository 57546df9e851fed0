"""Sales with planned defects: which rows are bad is known beforehand, and by which rules."""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TODAY = dt.date(2024, 3, 15)
FIRST = dt.date(2024, 1, 1)
NAMES = ["line", "day", "shop", "item", "qty", "price", "value", "note"]
COLUMNS = {
    "date": "DAY", "store": "shop", "product": "item", "quantity": "qty", "unit_price": "price", "revenue": "value",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "sales": {"columns": COLUMNS, "first_month": "2024-01", "returns": "reject"},
    "forecast": {"target": "quantity", "series": ["store", "product"], "horizon": 7},
    "quality": {
        "exclude_products": "POST|GIFT.*|it's",
        "outlier_bound": 5.0,
        "outlier_action": "reject",
        "rules": [{"name": "void_note", "condition": "source.note = 'void'", "description": "A voided line."}],
    },
    "clock": {"today": TODAY},
}
# Mutations of a good row by the rule that they break; texts are such as CSV and JSON can deliver them.
MUTATIONS: dict[str, list[dict[str, Any]]] = {
    "missing_product": [{"item": None}, {"item": "   "}],
    "missing_store": [{"shop": None}],
    "invalid_date": [{"day": None}, {"day": "2024-02-30"}, {"day": "soon"}, {"day": "45292"}, {"day": "12:30:00"}],
    "date_in_future": [{"day": "2024-03-16"}, {"day": "2204-03-01"}],
    "date_before_first_month": [{"day": "2023-12-31"}, {"day": "0024-03-01"}],
    "invalid_quantity": [{"qty": None}, {"qty": "many"}, {"qty": "3d"}, {"qty": "NaN"}, {"qty": "Infinity"}],
    "invalid_unit_price": [{"price": "1,50"}, {"price": "1e999"}, {"price": "0x1p3"}],
    "invalid_revenue": [{"value": "-"}, {"value": "NaN"}, {"value": "-inf"}],
    "non_positive_price": [{"price": "0"}, {"price": "-1.5"}],
    "not_a_product": [{"item": "POST"}, {"item": "GIFT_10"}, {"item": "it's"}],
    "return": [{"qty": "-2", "value": "-6.00"}],
    "void_note": [{"note": "void"}],
    "outlier_quantity": [{"qty": "700000"}],
    "outlier_unit_price": [{"price": "99999"}, {"price": "0.0001"}],
    "outlier_revenue": [{"value": "8000000.5"}],
}
# A product that is none is measured as a product of its own with few rows, a missing one not at all.
NEVER_TOGETHER = {"not_a_product", "missing_product", "missing_store"}
CSV_BROKEN = ["1,2", "2024-01-05,s1,p1,1,2,3,4,5,6,7,8,9", "2024-01-05,s1,p1,1,2,3,4,5,6,7,8,9"]
JSON_BROKEN = ['{"line": "x", "day":', "no json at all", "no json at all"]


@dataclass
class Delivery:
    """Rows as a source would deliver them.

    Attributes:
        rows: All rows in order; equal `line` means a duplicate.
        reasons: Per line of a bad row, every rule that it breaks.
        duplicated: Lines that are delivered twice.
    """

    rows: list[dict[str, Any]]
    reasons: dict[str, set[str]] = field(default_factory=dict)
    duplicated: set[str] = field(default_factory=set)


def delivery(seed: int, good: int = 360, bad_of_each: int = 4) -> Delivery:
    """Makes a delivery with each defect several times, alone and two together."""
    draw = random.Random(seed)
    rows = [_good(draw, number) for number in range(good)]
    rows += _unusual_but_good(good)
    made = Delivery(rows)
    plans = [[kind] for kind in MUTATIONS for _ in range(bad_of_each)]
    for _ in range(12):
        pair = draw.sample(sorted(MUTATIONS), 2)
        if _independent(pair):
            plans.append(pair)
    for kinds in plans:
        row = _good(draw, len(rows))
        for kind in kinds:
            row |= draw.choice(MUTATIONS[kind])
        rows.append(row)
        made.reasons[row["line"]] = set(kinds)
    # Duplicates of good rows and of bad ones.
    bad = [row for row in rows if row["line"] in made.reasons]
    for row in draw.sample(rows[:good], 5) + draw.sample(bad, 3):
        rows.append(dict(row))
        made.duplicated.add(row["line"])
    draw.shuffle(rows)
    return made


def write_parquet(made: Delivery, folder: Path) -> None:
    """Two files; the second has a column more (empty, so that copies of a row are equal in either file)."""
    folder.mkdir()
    half = len(made.rows) // 2
    for number, rows in enumerate((made.rows[:half], made.rows[half:])):
        columns: dict[str, Any] = {name: pa.array([row[name] for row in rows], pa.string()) for name in NAMES}
        if number:
            columns["added"] = pa.nulls(len(rows), pa.int64())
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")


def write_csv(made: Delivery, folder: Path) -> None:
    """Two files; the second has its columns in another order; broken lines in the first."""
    folder.mkdir()
    half = len(made.rows) // 2
    for number, rows in enumerate((made.rows[:half], made.rows[half:])):
        names = NAMES[::-1] if number else NAMES
        with (folder / f"part-{number}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
            if not number:
                file.write("".join(f"{line}\r\n" for line in CSV_BROKEN))


def write_json(made: Delivery, folder: Path) -> None:
    """JSON lines: numbers as numbers where they are some; broken lines among them."""
    folder.mkdir()
    lines = [json.dumps({name: value for name, value in row.items() if value is not None}) for row in made.rows]
    lines[5:5] = JSON_BROKEN
    (folder / "sales.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _good(draw: random.Random, number: int) -> dict[str, Any]:
    quantity, price = draw.randint(1, 9), draw.choice(["2.50", "3.00", "3.20"])
    day = FIRST + dt.timedelta(draw.randrange((TODAY - FIRST).days))
    return {
        "line": f"L{number}",
        "day": draw.choice([f"{day}", f"{day} 08:26:00", f"{day}T23:59:59-03:00", f"{day:%Y%m%d}"]),
        "shop": draw.choice(["s1", "s2"]),
        "item": draw.choice(["p1", "p2", "p3"]),
        "qty": str(quantity),
        "price": price,
        "value": f"{quantity * float(price):.2f}",
        "note": draw.choice([None, "ok", 'said "hello", twice', "two\nlines", 'ünïcode 12"']),
    }


def _unusual_but_good(first: int) -> list[dict[str, Any]]:
    usual = _good(random.Random(0), 0)
    changes: list[dict[str, Any]] = [
        {"day": f"{TODAY}"},
        {"day": f"{FIRST}"},
        {"qty": "0", "price": "0", "value": "0"},  # a day without a sale in a table of totals
        {"qty": " 4 ", "price": None, "value": None},
        {"qty": "1e0", "price": "+2.5"},
        {"item": "post"},
        {"item": "A GIFT"},
        {"item": "POSTER"},
    ]
    return [usual | {"line": f"L{first + number}"} | change for number, change in enumerate(changes)]


def _independent(pair: list[str]) -> bool:
    fields = [set().union(*[change.keys() for change in MUTATIONS[kind]]) for kind in pair]
    # A price of zero with another quantity, or an amount of a product of its own, would break other rules, too.
    return not fields[0] & fields[1] and not NEVER_TOGETHER & set(pair)
