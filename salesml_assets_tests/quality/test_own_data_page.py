"""Each kind of file on the page `docs/own-data.md` is read by the settings beside it, with the right totals."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from salesml_assets.config.loading import load_settings
from salesml_assets_tests.conftest import SPARK
from salesml_assets_tests.quality.intake import days, take_in, write_rows

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"```(?:csv|json)\n(.*?)```\n\n```yaml\n(.*?)```", re.DOTALL)
SECTIONS = {
    part.splitlines()[0]: found.groups()
    for part in PAGE.split("\n## ")[1:]
    if (found := BLOCKS.search(part)) is not None
}
# How each section's values are written, by the place of the sample's date, keys and amount: see `lines`.
Line = Callable[[dt.date, int], tuple[str, dict[str, float]]]


def german(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def erp_germany(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    text = f"{day:%d.%m.%Y};004711;Getränke;{german(1250 + number, 0)};{german(3094 + number)}\n"
    text += f"{day:%d.%m.%Y};000815;Gebäck;980;1.176,50"
    return text, {"004711": 3094.0 + number, "000815": 1176.5}


def erp_brazil(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    text = f"{day:%d/%m/%Y};000123;Parafuso 3/8;3;R$ {german(1234.56 + number)}\n"
    text += f"{day:%d/%m/%Y};A-7;Tinta branca;1;R$ 99,90"
    return text, {"000123": 1234.56 + number, "A-7": 99.9}


def accounting(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    text = f'{day:%m/%d/%Y},North,Chairs,"${1250 + number:,}.00"\n{day:%m/%d/%Y},North,Lamps,($12.50)'
    return text, {"North/Chairs": 1250.0 + number, "North/Lamps": -12.5}


def till(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    return "\n".join([f"{day} 09:15:00,water,1,1.50"] * 2), {"water": 2.0}


def web_shop(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    first = f'#{1001 + 2 * number},{day} 21:30:00 -0300,"Mug, large",SKU-1,2,19.90'
    return f"{first}\n#{1002 + 2 * number},{day} 22:05:00 -0300,T-shirt,SKU-2,1,29.00", {"SKU-1": 39.8, "SKU-2": 29.0}


def events(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    first = f'{{"ts": "{day}T23:30:00Z", "sku": "00017", "units": 3}}'
    # Half past ten in the evening of the same day.
    second = f'{{"ts": "{day + dt.timedelta(1)}T01:30:00Z", "sku": "00450", "units": 1}}'
    return f"{first}\n{second}", {"00017": 3.0, "00450": 1.0}


def excel(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    serial = (day - dt.date(1899, 12, 30)).days
    return f"{serial}\tStuhl\t12\n{serial}\tTisch\t7", {"Stuhl": 12.0, "Tisch": 7.0}


def weekly(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    return f"{day},A,{1200.5 + number:.2f}\n{day},B,800.00", {"A": 1200.5 + number, "B": 800.0}


def promotions(day: dt.date, number: int) -> tuple[str, dict[str, float]]:
    return f"{day},007,00017,12\n{day},007,00450,7", {"007/00017": 12.0, "007/00450": 7.0}


KINDS: dict[str, tuple[Line, str]] = {
    "ERP export, Germany": (erp_germany, "cp1252"),
    "ERP export, Brazil": (erp_brazil, "iso-8859-1"),
    "Accounting export, United States": (accounting, "utf-8"),
    "Till without line numbers": (till, "utf-8"),
    "Web shop, order export": (web_shop, "utf-8"),
    "Events of an API, JSON lines in UTC": (events, "utf-8"),
    'Excel, "Unicode text"': (excel, "utf-16"),
    "Weekly totals": (weekly, "utf-8"),
    "Promotions known in advance": (promotions, "utf-8"),
}


def test_every_section_with_settings_is_read() -> None:
    assert set(SECTIONS) == set(KINDS)


@pytest.mark.parametrize("title", KINDS)
def test_the_settings_of_the_page_read_its_files(title: str, spark: SparkSession, tmp_path: Path) -> None:
    sample, text = SECTIONS[title]
    line, encoding = KINDS[title]
    every = days(52 * 7, dt.date(2023, 1, 2))[::7] if title == "Weekly totals" else days(182, dt.date(2024, 1, 2))
    made = [line(day, number) for number, day in enumerate(every)]
    head = "" if "json" in text else sample.splitlines()[0] + "\n"
    content = head + "\n".join(lines for lines, _ in made) + "\n"
    assert content.startswith(sample)
    values = yaml.safe_load(text)
    (tmp_path / values["sales"]["path"]).write_bytes(content.encode(encoding))
    write_rows(tmp_path / "plan.csv", ["date", "store", "product", "promo"],
               [(day, "007", product, 1) for day in days(200, every[0]) for product in ("00017", "00450")])  # fmt: skip
    today = every[-1] + dt.timedelta(7)
    (tmp_path / "salesml.yaml").write_text(yaml.safe_dump(values | {"clock": {"today": today}, "spark": SPARK}))
    totals: Counter[str] = Counter()
    for _, sums in made:
        totals.update(sums)  # type: ignore[arg-type]
    taken = take_in(spark, load_settings(tmp_path / "salesml.yaml"))
    assert taken.totals() == pytest.approx(dict(totals))
    assert taken.lake.size("quarantined_sales").rows == 0
    assert not [note for note in taken.summary.notes if note.kind == "suspicious"]
