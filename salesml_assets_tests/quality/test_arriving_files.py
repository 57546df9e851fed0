"""Files as they arrive: folders with strangers, other encodings, odd names, other columns."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.quality.source import preflight
from salesml_assets_tests.quality.intake import Made, days, take_in, write_rows

ITEMS = {"A": 10, "B": 20}
COLUMNS = {"date": "date", "product": "item", "quantity": "units"}
EXPECTED = {item: 182.0 * units for item, units in ITEMS.items()}


def monthly_files(folder: Path, suffix: str = "csv") -> list[Path]:
    """Half a year of sales, a file a month."""
    made = []
    for month in range(1, 7):
        rows = [(day, item, units) for day in days(182) if day.month == month for item, units in ITEMS.items()]
        made.append(write_rows(folder / f"sales-2024-{month:02d}.{suffix}", ["date", "item", "units"], rows))
    return made


def test_what_windows_and_excel_leave_is_no_data(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    files = monthly_files(inbox)
    (inbox / "desktop.ini").write_text("[.ShellClassInfo]\r\nIconResource=C:\\WINDOWS\\SHELL32.dll,4\r\n")
    (inbox / "readme.txt").write_text("Monthly files, delivered on the 2nd. Questions: ext. 123\n")
    (inbox / "~$sales-2024-05.csv").write_bytes(b"\x05Maria")
    (inbox / "sales-2024-06.csv.part").write_text("date,item\n2024-0")
    # One copy of a month, and one compressed.
    (inbox / "sales-2024-05 - Copy.csv").write_bytes(files[4].read_bytes())
    files[0].with_suffix(".csv.gz").write_bytes(gzip.compress(files[0].read_bytes()))
    files[0].unlink()
    taken = take_in(spark, source_settings(sales={"path": str(inbox), "format": "csv", "columns": COLUMNS}))
    assert taken.totals() == EXPECTED
    assert set(taken.table("quarantined_sales")["_reasons"].explode()) == {"exact_duplicate"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"Monthly files, delivered on the 2nd.\n", r"'inbox/notes.txt' has none of the mapped columns"),
        ("sales-2024-07.csv", b"Datum;Artikel;Menge\n2024-07-01;A;1\n", r"separated by ';'.*options: \{sep: \";\"\}"),
        (
            "sales-2024-07.csv",
            b"date,item,qty\n2024-07-01,A,1\n",
            r"2024-07.csv' has no column for .*quantity \('units'\)",
        ),
        ("sales-2024-07.csv", b"sep=;\r\ndate;item;units\r\n", r"begins with Excel's line 'sep=;'"),
        ("sales.xlsx", b"PK\x03\x04\x14\x00\x06\x00", r"sales.xlsx' is not CSV but an Excel workbook"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(
    name: str, content: bytes, message: str, spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    monthly_files(tmp_path / "inbox")
    (tmp_path / "inbox" / name).write_bytes(content)
    settings = source_settings(sales={"path": str(tmp_path / "inbox"), "format": "csv", "columns": COLUMNS})
    with pytest.raises(ConfigurationError, match=message):
        preflight(spark, settings)


def test_names_of_folders_stay_text(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    levels = {"001": 20.0, "1E3": 200.0, "0010": 90.0, "010": 50.0}
    for store, level in levels.items():
        folder = tmp_path / "sales" / f"store={store}"
        folder.mkdir(parents=True)
        pd.DataFrame({"date": days(182), "sku": "00007", "amount": level}).to_parquet(folder / "part-0.parquet")
    columns = {"date": "date", "store": "store", "product": "sku", "revenue": "amount"}
    settings = source_settings(
        sales={"path": str(tmp_path / "sales"), "columns": columns}, forecast={"target": "revenue", "series": ["store"]}
    )
    assert take_in(spark, settings).totals() == {store: 182 * level for store, level in levels.items()}


def test_names_of_folders_as_arrow_writes_them(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    stores = ["Pão", "PÃ£o", "a/b", "100%", "ü"]
    frame = pd.DataFrame(
        [(day, store, 1.0) for day in days(182) for store in stores], columns=["date", "shop", "units"]
    )
    frame.to_parquet(tmp_path / "sales", partition_cols=["shop"])
    settings = source_settings(
        sales={"path": str(tmp_path / "sales"), "columns": {"date": "date", "store": "shop", "quantity": "units"}},
        forecast={"series": ["store"]},
    )
    assert take_in(spark, settings).totals() == dict.fromkeys(stores, 182.0)


@pytest.mark.parametrize("written", ["iso-8859-1", "windows-1252", "cp850", "utf-16", "utf-16-le"])
def test_an_encoding_that_is_not_named(
    written: str, spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    products = {"CAFE": 60, "BISCOITO VOVÓ": 30, "BISCOITO VOVÔ": 300, "MAÇÃ’FUJI" if "12" in written else "MAÇÃ": 45}
    rows = [(day, item, units) for day in days(182) for item, units in products.items()]
    file = write_rows(tmp_path / "vendas.csv", ["data", "produto", "qtde"], rows, encoding=written)
    columns = {"date": "data", "product": "produto", "quantity": "qtde"}

    def sales(**options: str) -> dict[str, object]:
        return {"path": str(file), "format": "csv", "columns": columns, "options": options}

    with pytest.raises(
        ConfigurationError, match=r"line \d of '.*/vendas.csv' is not UTF-8.*set sales.options.encoding: "
    ):
        preflight(spark, source_settings(sales=sales()))
    name = {"cp850": "IBM850", "utf-16-le": "UTF-16LE"}.get(written, written.upper())
    taken = take_in(spark, source_settings(sales=sales(encoding=name)))
    assert taken.totals() == {item: 182.0 * units for item, units in products.items()}


def test_a_wrong_encoding_is_seen(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    rows = [(day, "PÃO", 3) for day in days(182)]
    file = write_rows(tmp_path / "vendas.csv", ["date", "item", "units"], rows)
    settings = source_settings(
        sales={"path": str(file), "format": "csv", "columns": COLUMNS, "options": {"encoding": "ISO-8859-1"}}
    )
    with pytest.raises(ConfigurationError, match=r"line 2 of .* is not ISO-8859-1: '2024-01-01,PÃO,3' if .* UTF-8"):
        preflight(spark, settings)


def test_bytes_beyond_the_first_megabyte_are_looked_at(
    spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    rows = [(day, f"{'x' * 60}{number}", 3) for number in range(100) for day in days(182)]
    file = write_rows(tmp_path / "vendas.csv", ["date", "item", "units"], rows)
    with file.open("ab") as stream:
        stream.write("2024-01-05,PÃO,3\n".encode("iso-8859-1"))
    assert file.stat().st_size > 2**20
    settings = source_settings(sales={"path": str(file), "format": "csv", "columns": COLUMNS})
    with pytest.raises(ConfigurationError, match=r"^sales.options.encoding: line 18202 of .*PÃO"):
        preflight(spark, settings)


ODD = [
    "Order Date",
    "Cód. Produto",
    "Valor Total (R$)",
    "a{b};c=d",
    "Menge",
    "menge",
    "note\ttab",
    "x" * 300,
    "a.b `c`",
]


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_any_column_name_passes(kind: str, spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    rows = [(str(day), item, units, "v", 1, 2, "t", "l", "d") for day in days(182) for item, units in ITEMS.items()]
    bad = [("never", "A", 5, "v", 1, 2, "t", "l", "d")]
    file = tmp_path / f"sales.{kind}"
    if kind == "csv":
        write_rows(file, ODD, [*rows, *bad])
    elif kind == "json":
        file.write_text("\n".join(json.dumps(dict(zip(ODD, row, strict=True))) for row in [*rows, *bad]))
    else:
        columns = [pa.array(list(values)) for values in zip(*rows, *bad, strict=True)]
        pq.write_table(pa.Table.from_arrays(columns, ODD), file)
    settings = source_settings(
        sales={
            "path": str(file),
            "format": kind,
            "columns": {"date": "`Order Date`" if kind == "csv" else "Order Date", "product": "cód. produto",
                        "quantity": "cast(`Valor Total (R$)` as double)"},
        }
    )  # fmt: skip
    taken = take_in(spark, settings)
    assert taken.totals() == EXPECTED
    assert set(ODD) == set(taken.summary.columns)
    assert taken.table("quarantined_sales")["_reasons"].tolist() == [["invalid_date"]]
    stored = taken.lake.columns("raw_sales")
    assert {"Order_Date", "Valor_Total_R$", "Cód._Produto", "Menge_1"} <= set(stored)
    assert len(stored) == len(ODD) + 1 + (kind == "csv")


def test_names_that_differ_in_case_alone_have_to_be_told_apart(
    spark: SparkSession, source_settings: Made, tmp_path: Path
) -> None:
    rows = [(day, "A", 3, 5) for day in days(182)]
    file = write_rows(tmp_path / "sales.csv", ["date", "item", "Menge", "menge"], rows)

    def settings(entry: str) -> object:
        return source_settings(sales={"path": str(file), "format": "csv", "columns": COLUMNS | {"quantity": entry}})

    assert take_in(spark, settings("Menge")).totals() == {"A": 182 * 3.0}  # type: ignore[arg-type]
    assert take_in(spark, settings("menge")).totals() == {"A": 182 * 5.0}  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"^sales.columns.quantity: .*'Menge \(1\)' or 'menge \(2\)'"):
        preflight(spark, settings("MENGE"))  # type: ignore[arg-type]


def test_times_of_day_and_nested_columns_pass(spark: SparkSession, source_settings: Made, tmp_path: Path) -> None:
    table = pa.table(
        {
            "date": pa.array(days(182)),
            "item": ["A"] * 182,
            "units": [3] * 182,
            "at": pa.array([dt.time(12, 30)] * 182),
            "ship to": pa.array([{"post code": "1", "street": "s"}] * 182),
        }
    )
    pq.write_table(table, tmp_path / "sales.parquet")
    columns = COLUMNS | {"store": "`ship to`.`post code`"}
    settings = source_settings(
        sales={"path": str(tmp_path / "sales.parquet"), "columns": columns}, forecast={"series": ["store", "product"]}
    )
    taken = take_in(spark, settings)
    assert taken.totals() == {"1/A": 182 * 3.0}
    assert taken.table("raw_sales")["at"].str.startswith("12:30").all()
