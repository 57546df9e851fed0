"""The columns of the table `explanations`, and its parts."""

from __future__ import annotations

import polars as pl

# Parts of the table.
CONTRIBUTION, PERMUTATION, EFFECT, DEPENDENCE = "contribution", "permutation", "effect", "dependence"
LOCAL, SURROGATE = "local", "surrogate"
PRODUCTION = "production"  # the subject that is the production model; all others are algorithms of the backtest
BASE_GROUP = "Base"

SCHEMA = pl.Schema(
    {
        "subject": pl.String, "kind": pl.String, "unique_id": pl.String, "reason": pl.String, "ds": pl.Date,
        "group": pl.String, "feature": pl.String, "label": pl.String, "at": pl.Float64, "at_label": pl.String,
        "amount": pl.Float64, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    }
)  # fmt: skip


def table_of(rows: pl.DataFrame, **constants: str) -> pl.DataFrame:
    """Rows with the columns of the table: constants as given, columns that are not there null."""
    given = rows.with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    others = [pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in given.columns]
    return given.with_columns(others).select(SCHEMA.names()).cast(SCHEMA)
