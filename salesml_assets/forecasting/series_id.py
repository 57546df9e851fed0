r"""The name of a series, `unique_id`: its keys joined by `/`, unique for every tuple of keys.

A key that holds a slash or a backslash itself gets a backslash before it, so `Porto` × `Norte/Bebidas` is
`Porto/Norte\/Bebidas` and `Porto/Norte` × `Bebidas` is `Porto\/Norte/Bebidas`. A missing key is empty, which no
key is. A single key needs no separator and stays as it is. `unique_id` in `training/series.py` does the same in Spark.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

SEPARATOR, ESCAPE = "/", "\\"


def series_id(keys: Sequence[str]) -> pl.Expr:
    """The `unique_id` as an expression over key columns of type text.

    Args:
        keys: Names of the columns, in the configured order.
    """
    columns = [pl.col(key).fill_null("") for key in keys]
    if len(columns) == 1:
        return columns[0].alias("unique_id")
    return pl.concat_str([_escaped(column) for column in columns], separator=SEPARATOR).alias("unique_id")


def series_name(keys: Sequence[str]) -> str:
    r"""The same for the keys of one series.

    >>> series_name(["Porto", "Norte/Bebidas"])
    'Porto/Norte\\/Bebidas'
    """
    if len(keys) == 1:
        return keys[0]
    return SEPARATOR.join(key.replace(ESCAPE, ESCAPE * 2).replace(SEPARATOR, ESCAPE + SEPARATOR) for key in keys)


def _escaped(column: pl.Expr) -> pl.Expr:
    doubled = column.str.replace_all(ESCAPE, ESCAPE * 2, literal=True)
    return doubled.str.replace_all(SEPARATOR, ESCAPE + SEPARATOR, literal=True)
