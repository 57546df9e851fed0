"""Column names as a source has them, and as a table of the lake can have them.

Spark takes two names that differ in case alone for one, and Delta refuses spaces and brackets. A renamed column keeps
the delivered name in its field's metadata, which the lake stores with its schema.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HEADER = "salesml.header"  # of a column renamed for reading: the name in the file
DELIVERED = "salesml.delivered"  # of a column renamed for the lake: the name while it is read
KIND = "salesml.type"  # of a nested column stored as JSON: its type
ZONE = "salesml.timezone"  # of a column of instants: the time zone that the file names
_REFUSED = re.compile(r"[ ,;{}()\n\t=]+")
_REFUSED_INSIDE = re.compile(r'"name":"(?:[^"\\]|\\[^nt])*(?:[ ,;{}()=]|\\[nt])')


def quoted(name: str) -> str:
    """A column's name as Spark SQL reads it whatever it holds.

    >>> quoted("unit price")
    '`unit price`'
    """
    return "`" + name.replace("`", "``") + "`"


def readable_names(names: Sequence[str]) -> list[str]:
    """Names that differ in more than case: those that do not get a number, in order.

    >>> readable_names(["Menge", "day", "menge", ""])
    ['Menge (1)', 'day', 'menge (2)', '_c3']
    """
    filled = [name or f"_c{place}" for place, name in enumerate(names)]
    counts = Counter(name.casefold() for name in filled)
    taken = {name.casefold() for name in filled if counts[name.casefold()] == 1}
    made: list[str] = []
    for name in filled:
        number, unique = 1, name
        while unique.casefold() in taken or (counts[name.casefold()] > 1 and unique == name):
            if counts[name.casefold()] == 1:
                break
            unique, number = f"{name} ({number})", number + 1
        taken.add(unique.casefold())
        made.append(unique)
    return made


def header(field: T.StructField) -> str:
    """The name that a column has in the file."""
    return str((field.metadata or {}).get(HEADER, field.name))


def lake_names(names: Sequence[str]) -> list[str]:
    """Names that a table of the lake can have, different in more than case; most stay as they are.

    >>> lake_names(["Valor Total (R$)", "Qtde.", "valor_total_r$"])
    ['Valor_Total_R$_2', 'Qtde.', 'valor_total_r$']
    """
    taken = {name.casefold() for name in names if name and not _REFUSED.search(name)}
    made = []
    for name in names:
        if name and not _REFUSED.search(name):
            made.append(name)
            continue
        plain = _REFUSED.sub("_", name).strip("_") or "column"
        unique, number = plain, 2
        while unique.casefold() in taken:
            unique, number = f"{plain}_{number}", number + 1
        taken.add(unique.casefold())
        made.append(unique)
    return made


def for_lake(frame: DataFrame) -> DataFrame:
    """The frame under names that the lake takes; see `as_delivered` for the way back."""
    columns = []
    for field, name in zip(frame.schema, lake_names(frame.columns), strict=True):
        column, metadata = F.col(quoted(field.name)), dict(field.metadata or {})
        if _REFUSED_INSIDE.search(field.dataType.json()):
            column, metadata[KIND] = F.to_json(column), field.dataType.json()
        if name != field.name:
            metadata[DELIVERED] = field.name
        columns.append(column.alias(name, metadata=metadata) if metadata else column)
    return frame.select(*columns)


def as_delivered(frame: DataFrame) -> DataFrame:
    """A table that `for_lake` renamed under the names that its columns had."""
    if not any({DELIVERED, KIND} & set(field.metadata or {}) for field in frame.schema):
        return frame
    columns: list[Column] = []
    for field in frame.schema:
        column, metadata = F.col(quoted(field.name)), dict(field.metadata or {})
        name, kind = metadata.pop(DELIVERED, field.name), metadata.pop(KIND, None)
        if kind is not None:
            column = F.from_json(column, kind)
        columns.append(column.alias(name, metadata=metadata))
    return frame.select(*columns)


def delivered_names(frame: DataFrame) -> dict[str, str]:
    """The columns of a table of the lake that have other names in the source: stored name to the file's name."""
    found = {}
    for field in frame.schema:
        metadata = field.metadata or {}
        name = metadata.get(HEADER) or metadata.get(DELIVERED)
        if name is not None and name != field.name:
            found[field.name] = str(name)
    return found
