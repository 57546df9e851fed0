"""What a file of sales seems to be: format, separator, encoding, columns, dates, amounts; without Spark.

Guesses are for `salesml init`, which writes them into a settings file that somebody reads: nothing else relies on them.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.quality.amounts import COMMA3, COMMA_DECIMAL, FALSE, OTHER, POINT3, STYLES, TRUE, amount_problem
from salesml_assets.quality.encoding import SAMPLE_BYTES, encoding_problem, read_bytes
from salesml_assets.quality.files import hidden, no_data
from salesml_assets.quality.rhythm import rhythm_of

LINES = 5_000
# Names of columns in several languages, without accents, spaces and case; the likeliest first.
WORDS: dict[str, str] = {
    "date": "data_venda datavenda datadavenda date datum data fecha orderdate invoicedate saledate salesdate solddate "
    "soldat day dia tag createdat created timestamp belegdatum rechnungsdatum verkaufsdatum buchungsdatum dtvenda "
    "dataemissao emissao transactiondate soldon orderedat bookedat datetime ts week woche month monat mes",
    "product": "sku stockcode product produto produkt producto artikel artikelnummer artikelnr articulo item itemcode "
    "productid productcode itemid codproduto codigoproduto codigo lineitemsku variantsku ean gtin material "
    "materialnummer plu itemno itemnumber article articleno referencia ref lineitemname productname "
    "artikelbezeichnung",
    "category": "categoria_valor categoriavalor category categoria kategorie warengruppe productgroup productcategory "
    "group grupo department departamento family familia producttype",
    "store": "store storeid shop filiale loja branch tienda outlet markt standort location sucursal filial storename",
    "order_id": "orderid ordernumber order invoiceno invoice invoicenumber ticket ticketid receipt receiptid basketid "
    "basket bon bonnummer belegnummer belegnr beleg rechnungsnummer pedido notafiscal cupom transactionid",
    "quantity": "quantity qty quantidade qtde qtd menge anzahl units unitssold cantidad stueck stuck stk pieces "
    "lineitemquantity volume",
    "unit_price": "unitprice price einzelpreis stueckpreis preis precounitario preco valorunitario precio "
    "preciounitario lineitemprice",
    "stock_out": "stockout outofstock isoutofstock oos isoos ruptura semestoque ausverkauft fehlbestand agotado "
    "rupture",
    "revenue": "revenue umsatz umsatznetto nettoumsatz netsales sales valortotal valortotalr$ receita amount total "
    "linetotal totalprice value valor betrag netto nettobetrag importe ventas turnover",
}
# States of orders that were undone, among at most so many states.
UNDONE, MAX_STATES = re.compile(r"cancel|storn|annul|anulad|refund|void|devol|returned|failed", re.IGNORECASE), 12
# Forms of dates in text: Python's, and Spark's.
DATES = (
    ("%d.%m.%Y", "dd.MM.yyyy"), ("%d.%m.%y", "dd.MM.yy"), ("%d/%m/%Y", "dd/MM/yyyy"), ("%m/%d/%Y", "MM/dd/yyyy"),
    ("%d-%m-%Y", "dd-MM-yyyy"), ("%Y/%m/%d", "yyyy/MM/dd"), ("%Y.%m.%d", "yyyy.MM.dd"), ("%d/%m/%y", "dd/MM/yy"),
    ("%m/%d/%y", "MM/dd/yy"), ("%d %b %Y", "dd MMM yyyy"),
)  # fmt: skip
TIMES = (("", ""), (" %H:%M", " HH:mm"), (" %H:%M:%S", " HH:mm:ss"))


@dataclass
class Guess:
    """What a file seems to be.

    Attributes:
        format: `parquet`, `csv`, `json` or `delta`.
        options: Options of the reader.
        names: Its columns.
        columns: Canonical column to source column or SQL expression.
        frequency: `D` or `W`.
        timezone: The time zone of its instants, where its metadata name one.
        first, last: First and last day among the rows looked at.
        doubts: What was not clear.
    """

    format: str
    options: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    frequency: str = "D"
    timezone: str | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    doubts: list[str] = field(default_factory=list)


def guess_source(path: Path) -> Guess:
    """Looks at a file, or at the first file of a folder.

    Raises:
        ConfigurationError: There is nothing, or nothing that can be read.
    """
    if (path / "_delta_log").is_dir():
        import pyarrow.dataset as ds
        from deltalake import DeltaTable

        table = ds.Scanner.from_dataset(DeltaTable(str(path)).to_pyarrow_dataset()).head(LINES)
        return _of_table(Guess("delta"), table)
    file = _first_file(path)
    folders = dict(part.split("=", 1) for part in file.relative_to(path).parts[:-1] if "=" in part)
    sample = read_bytes(str(file.absolute()), limit=SAMPLE_BYTES)
    if sample is None:
        raise ConfigurationError(f"{file} cannot be read")
    content, complete = sample
    if content.startswith(b"PAR1"):
        from pyarrow import parquet as pq

        return _of_table(Guess("parquet"), next(pq.ParquetFile(file).iter_batches(LINES)), folders)
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ConfigurationError(f"{file} is an Excel workbook or an archive: save its sheet as CSV, one file a sheet")
    problem = encoding_problem(content, "UTF-8", complete)
    encoding = problem.guess if problem else "UTF-8"
    text = content.decode(encoding, "replace").removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        import polars as pl

        rows = text.splitlines()[: LINES if complete else -1]
        return _of_table(Guess("json"), pl.read_ndjson(io.StringIO("\n".join(rows))).to_arrow(), folders)
    return _of_csv(text, encoding, complete, folders)


def _first_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not no_data(file.name) and not any(hidden(part) for part in file.relative_to(path).parts)
    )
    if not files:
        raise ConfigurationError(f"there are no data files at {str(path)!r}")
    return files[0]


def _of_csv(text: str, encoding: str, complete: bool, folders: Mapping[str, str]) -> Guess:
    lines = text.splitlines()[: LINES + 1]
    if not complete and len(lines) > 1:
        lines = lines[:-1]
    counts = {sign: lines[0].count(sign) for sign in ",;\t|"}
    separator = max(counts, key=lambda sign: counts[sign])
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator))
    names = rows[0]
    guess = Guess("csv", names=names)
    if separator != ",":
        guess.options["sep"] = separator
    if encoding != "UTF-8":
        guess.options["encoding"] = encoding
    full = [row for row in rows[1:] if len(row) == len(names)]
    values = {name: [row[place].strip() for row in full] for place, name in enumerate(names)}
    _map(guess, values | _of_folders(guess, folders, len(full)))
    return guess


def _of_folders(guess: Guess, folders: Mapping[str, str], rows: int) -> dict[str, list[str]]:
    """The columns that the names of folders make (`store=001`)."""
    guess.names += folders
    return {name: [value] * rows for name, value in folders.items()}


def _of_table(guess: Guess, table: object, folders: Mapping[str, str] | None = None) -> Guess:
    import pyarrow as pa

    assert isinstance(table, pa.Table | pa.RecordBatch)
    guess.names = list(table.schema.names)
    values: dict[str, list[str]] = {}
    for one in table.schema:
        column = table.column(one.name)
        if pa.types.is_timestamp(one.type) and one.type.tz not in (None, "UTC"):
            guess.timezone = one.type.tz
        values[one.name] = [_text(value) for value in column.to_pylist()]
    _map(guess, values | _of_folders(guess, folders or {}, table.num_rows))
    return guess


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    return str(value)


def _map(guess: Guess, values: Mapping[str, Sequence[str]]) -> None:
    taken: set[str] = set()
    # Amounts last: what is a date or a code may also look like a number.
    for role in ("date", "order_id", "store", "category", "product", "stock_out", "quantity", "unit_price", "revenue"):
        ranked = sorted(
            (rank, name) for name in values if name not in taken and (rank := _rank(role, name)) is not None
        )
        for _, name in ranked:
            expression = _expression(guess, role, name, [value for value in values[name] if value])
            if expression is not None:
                guess.columns[role] = expression
                taken.add(name)
                break
    if "date" not in guess.columns:
        dates = {name: _date(name, [one for one in values[name] if one]) for name in values if name not in taken}
        # Numbers may be anything; a column without values is no date.
        found = {name: entry for name, entry in dates.items() if entry and any(map(_has_date, values[name]))}
        if len(found) == 1:
            ((name, guess.columns["date"]),) = found.items()
            guess.doubts.append(f"{name}: taken as the date, as the only column of dates")
    for name in [name for name in values if name not in taken]:
        states = sorted({value for value in values[name] if value})
        undone = [state for state in states if UNDONE.search(state)]
        if undone and len(states) <= MAX_STATES:
            named = ", ".join(f"'{state}'" for state in undone)
            condition = f"{_quoted(name)} not in ({named})"
            guess.doubts.append(f"{name}: {named} may be no sales; to leave them out, set sales.filter: {condition}")
    _frequency(guess, values)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name}`"


def _has_date(value: str) -> bool:
    return len(value) >= len("1.1.24") and bool(re.match(r"\d+[-./ ]\w+[-./ ]\d+", value))


def _rank(role: str, name: str) -> int | None:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    compact = re.sub(r"[^a-z0-9$]", "", plain)
    words = WORDS[role].split()
    if compact in words:
        return words.index(compact)
    parts = [part for part in re.split(r"[^a-z0-9]+", plain) if part]
    found = [words.index(part) for part in parts if part in words]
    return 100 + min(found) if found else None


def _expression(guess: Guess, role: str, name: str, values: Sequence[str]) -> str | None:
    """The entry of `sales.columns` for a column; None where its values are of another kind."""
    if role == "date":
        return _date(name, values)
    if role == "stock_out":
        return name if all(value.strip().lower() in (*TRUE, *FALSE) for value in values) else None
    if role not in ("quantity", "unit_price", "revenue"):
        return name
    quoted = _quoted(name)
    styles = Counter(_style(value) for value in values)
    if styles[OTHER] > 0.1 * max(len(values), 1):
        return None
    samples: dict[str, list[str]] = {}
    for value in values:
        if len(found := samples.setdefault(_style(value), [])) < 3 and value not in found:
            found.append(value)
    problem = amount_problem(quoted, styles, samples)
    if problem is None or not problem.wrong:
        return name
    if len(problem.expressions) > 1:
        guess.doubts.append(f"{name}: {problem.text}; taken as {next(iter(problem.expressions))}")
        if styles[COMMA3] and not styles[COMMA_DECIMAL] and "sep" in guess.options:
            return list(problem.expressions.values())[-1]
    elif styles[POINT3]:
        guess.doubts.append(f"{name}: {problem.text}")
    return next(iter(problem.expressions.values()))


def _style(value: str) -> str:
    return next((style for style, pattern in STYLES.items() if re.match(pattern, value)), OTHER)


def _date(name: str, values: Sequence[str]) -> str | None:
    quoted = _quoted(name)
    if not values:
        return name
    enough = 0.9 * len(values)
    if sum(_iso(value) is not None for value in values) >= enough:
        return name
    if all(re.fullmatch(r"[34]\d{4}(\.\d+)?", value) for value in values):
        return f"date_add(date'1899-12-30', cast({quoted} as int))"
    if all(re.fullmatch(r"1\d{9}", value) for value in values):
        return f"timestamp_seconds(cast({quoted} as bigint))"
    if all(re.fullmatch(r"1\d{12}", value) for value in values):
        return f"timestamp_millis(cast({quoted} as bigint))"
    forms = [(f"{day}{time}", f"{spark}{clock}") for day, spark in DATES for time, clock in TIMES]
    fitting = [(sum(_parsed(value, form) is not None for value in values), form, spark) for form, spark in forms]
    count, _, spark = max(fitting, key=lambda item: item[0])
    return f"to_date({quoted}, '{spark}')" if count >= enough else None


def _iso(value: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(value[:10] if "-" in value else value[:8])
    except ValueError:
        return None


def _parsed(value: str, form: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(value, form).date()
    except ValueError:
        return None


def _frequency(guess: Guess, values: Mapping[str, Sequence[str]]) -> None:
    entry = guess.columns.get("date")
    if entry is None:
        return
    if entry in values:
        dates = [_iso(value) for value in values[entry]]
    else:
        form = re.fullmatch(r"to_date\(`?(.+?)`?, '(.+)'\)", entry)
        if form is None:
            return
        python = {f"{spark}{clock}": f"{day}{time}" for day, spark in DATES for time, clock in TIMES}[form[2]]
        dates = [_parsed(value, python) for value in values[form[1]]]
    counts = Counter(date for date in dates if date is not None)
    if not counts:
        return
    guess.first, guess.last = min(counts), max(counts)
    # The number of series on each date is not known here: that of rows has to do.
    days = pd.DataFrame({"date": sorted(counts), "rows": [counts[day] for day in sorted(counts)]})
    rhythm = rhythm_of(days.assign(series=1))
    if rhythm.name == "weekly":
        guess.frequency = "W"
    elif rhythm.name != "daily":
        guess.doubts.append(f"the dates are {rhythm.name}: daily or weekly sales are needed")
