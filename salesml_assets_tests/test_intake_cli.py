"""`salesml init` writes settings for a file that it is shown, and `salesml check` looks at the source by them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import Result
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from salesml_assets.cli import app
from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import ConfigurationError
from salesml_assets.intake_cli import look
from salesml_assets.quality.guess import guess_source
from salesml_assets_tests.conftest import SPARK
from salesml_assets_tests.quality.intake import days, take_in, write_rows

ROOT = Path(__file__).parents[1]
Writer = Callable[[Path], Path]


def accountant(folder: Path) -> Path:
    """An ERP's export in Germany: windows-1252, semicolons, points between thousands, decimal commas."""
    swapped = str.maketrans(",.", ".,")
    rows = [
        (
            f"{day:%d.%m.%Y}",
            item,
            f"Größe {item}",
            f"{units:,}".translate(swapped),
            f"{2 * units:,}.50".translate(swapped),
        )
        for day in days(182)
        for item, units in (("0815", 1200), ("4711", 700))
    ]
    head = ["Datum", "Artikel", "Bezeichnung", "Menge", "Umsatz netto"]
    return write_rows(folder / "umsatz.csv", head, rows, ";", "cp1252")


def till(folder: Path) -> Path:
    """A till's tickets: date and time, no line numbers."""
    rows = [(f"{day} {hour:02d}:15:00", f"T{number}{hour}", "water", 1, "1.50")
            for number, day in enumerate(days(182)) for hour in range(9, 13)]  # fmt: skip
    return write_rows(folder / "tickets.csv", ["sold_at", "ticket", "product", "qty", "total"], rows)


def web_shop(folder: Path) -> Path:
    """A web shop's orders: instants with offsets, names with commas."""
    rows = [(f"#{1000 + number}", f"{day} 21:30:00 -0300", "Mug, large", f"SKU-{number % 3}", 2, "19.90")
            for number, day in enumerate(day for day in days(182) for _ in range(3))]  # fmt: skip
    return write_rows(folder / "orders.csv", ["Name", "Created at", "Lineitem name", "Lineitem sku",
                                              "Lineitem quantity", "Lineitem price"], rows)  # fmt: skip


def excel_user(folder: Path) -> Path:
    """Excel's "CSV (Macintosh)" in the United States: month first, commas between thousands."""
    rows = [(f"{day:%m/%d/%Y}", "North", "Chairs", "$1,250.00") for day in days(182)]
    return write_rows(folder / "book1.csv", ["Order Date", "Store", "Product", "Net Sales ($)"], rows)


def engineer(folder: Path) -> Path:
    """A data engineer's Parquet, with instants in a zone."""
    stamps = pd.to_datetime([f"{day} 22:30:00" for day in days(182)]).tz_localize("America/Sao_Paulo")
    pd.DataFrame({"sold_at": stamps, "sku": "00017", "quantity": 3}).to_parquet(folder / "sales.parquet")
    return folder / "sales.parquet"


TOTALS = {
    "accountant": {"0815": 182 * 2400.5, "4711": 182 * 1400.5},
    "till": {"water": 182 * 4 * 1.5},
    "web_shop": {f"SKU-{number}": 182 * 2.0 for number in range(3)},
    "excel_user": {"Chairs": 182 * 1250.0},
    "engineer": {"00017": 182 * 3.0},
}


@pytest.mark.parametrize(
    "writer", [accountant, till, web_shop, excel_user, engineer], ids=lambda writer: writer.__name__
)
def test_from_a_file_to_its_sales(
    writer: Writer, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = writer(tmp_path)
    runner = CliRunner()
    made = runner.invoke(app, ["init", str(source), "--folder", str(tmp_path / "project")])
    assert made.exit_code == 0, made.output
    monkeypatch.chdir(tmp_path / "project")
    written = yaml.safe_load(Path("salesml.yaml").read_text())
    assert {file.name for file in Path().iterdir()} == {"salesml.yaml", "dagster.yaml", "workspace.yaml"}
    written |= {"clock": {"today": dt.date(2024, 7, 1)}, "spark": SPARK}
    written["forecast"]["horizon"] = 14
    Path("salesml.yaml").write_text(yaml.safe_dump(written))
    settings = load_settings()
    wrong = [note for note in look(settings) if note.kind == "wrong"]
    assert wrong == []
    assert take_in(spark, settings).totals() == pytest.approx(TOTALS[writer.__name__])
    shown = runner.invoke(app, ["check"])
    assert shown.exit_code == 0, shown.output
    assert "0 wrong" in shown.output


def checked(folder: Path, **columns: str) -> Result:
    """The outcome of `salesml check` on `lines.csv` in the working folder."""
    settings = {
        "sales": {"path": "lines.csv", "format": "csv", "columns": columns},
        "forecast": {"target": "quantity", "horizon": 14},
        "clock": {"today": dt.date(2024, 7, 1)},
        "spark": SPARK,
    }
    (folder / "salesml.yaml").write_text(yaml.safe_dump(settings))
    return CliRunner().invoke(app, ["check"])


def test_check_says_what_is_wrong_and_what_to_write(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(day, "water", 1) for day in days(182) for _ in range(3)]
    write_rows(tmp_path / "lines.csv", ["day", "product", "qty"], rows)
    monkeypatch.chdir(tmp_path)
    shown = checked(tmp_path, date="day", product="product", quantity="qty")
    assert shown.exit_code == 2
    assert "quality.error_share: 66.7% of the 546 delivered rows are rejected" in shown.output
    assert "364 by exact_duplicate, such as 2024-01-01 water 1" in shown.output
    assert "quality:\n  disable: [exact_duplicate]" in shown.output
    assert "1 wrong" in shown.output


def test_check_names_a_code_that_was_typed_as_a_quantity(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(day, f"T{number}", "water", 5 + number % 3) for number, day in enumerate(days(182))]
    rows.append((days(182)[-1], "T999", "water", 7891000315507))
    write_rows(tmp_path / "lines.csv", ["day", "ticket", "product", "qty"], rows)
    monkeypatch.chdir(tmp_path)
    shown = checked(tmp_path, date="day", product="product", order_id="ticket", quantity="qty")
    assert shown.exit_code == 2
    assert "1 rows flagged by outlier_quantity carry 100.0% of quantity" in shown.output
    assert "T999 water 7891000315507" in shown.output
    assert "quality:\n  outlier_action: reject" in shown.output


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    source = till(tmp_path)
    (tmp_path / "salesml.yaml").write_text("sales: {}\n")
    made = CliRunner().invoke(app, ["init", str(source), "--folder", str(tmp_path)])
    assert isinstance(made.exception, ConfigurationError)
    assert (tmp_path / "salesml.yaml").read_text() == "sales: {}\n"


def test_the_files_of_a_project_are_those_of_this_one() -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        assert (ROOT / "salesml_assets" / "project_files" / name).read_text() == (ROOT / name).read_text()


def test_what_cannot_be_guessed_is_said(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigurationError, match="Excel workbook"):
        guess_source(tmp_path / "book.xlsx")
    monthly = [(f"2020-{month:02d}-01", "A", 5) for month in range(1, 13)]
    guess = guess_source(write_rows(tmp_path / "months.csv", ["date", "item", "units"], monthly))
    assert guess.doubts == ["the dates are monthly: daily or weekly sales are needed"]


def test_names_of_tills_engineers_and_shops_are_known(tmp_path: Path) -> None:
    """What no list of names has is found by its values: the only column of dates, folders, states of orders."""
    rows = [(f"2024-01-{day:02d} 10:00:00", f"{day % 3:04d}", 2, "cancelled" if day % 4 == 0 else "paid")
            for day in range(1, 29)]  # fmt: skip
    for shop in ("007", "012"):
        (tmp_path / "events" / f"store={shop}").mkdir(parents=True)
        write_rows(tmp_path / "events" / f"store={shop}" / "a.csv", ["zeitpunkt", "plu", "qty", "state"], rows)
    guess = guess_source(tmp_path / "events")
    assert guess.columns == {"date": "zeitpunkt", "product": "plu", "quantity": "qty", "store": "store"}
    assert guess.doubts == [
        "zeitpunkt: taken as the date, as the only column of dates",
        "state: 'cancelled' may be no sales; to leave them out, set sales.filter: state not in ('cancelled')",
    ]
    write_rows(tmp_path / "two.csv", ["von", "bis", "plu"], [("2024-01-01", "2024-01-02", "1")])
    assert "date" not in guess_source(tmp_path / "two.csv").columns


def test_a_column_of_stock_outs_is_known_by_name_and_values(tmp_path: Path) -> None:
    rows = [(f"2024-01-{day:02d}", "A", 5, "yes" if day == 3 else "no") for day in range(1, 29)]
    guess = guess_source(write_rows(tmp_path / "flags.csv", ["date", "sku", "qty", "Out of stock"], rows))
    assert guess.columns["stock_out"] == "Out of stock"
    amounts = [(*row[:3], 7) for row in rows]
    guess = guess_source(write_rows(tmp_path / "amounts.csv", ["date", "sku", "qty", "oos"], amounts))
    assert "stock_out" not in guess.columns
