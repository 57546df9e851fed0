"""What is gathered from the lake's tables."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from salesml_assets.reporting.gather import SHOWN_VERSIONS, realised_error

SCHEMA = {
    "model_version": pl.Int32, "week": pl.Date, "horizon_bucket": pl.String, "wape": pl.Float64, "bias": pl.Float64,
    "rows": pl.Int64, "volume": pl.Float64, "baseline_wape": pl.Float64,
}  # fmt: skip


def test_realised_errors_are_weighted_by_volume() -> None:
    monday = dt.date(2024, 1, 1)
    rows = [
        (2, monday, "1-7", 0.2, -0.1, 10, 100.0, 0.4),
        (2, monday + dt.timedelta(7), "8-14", 0.4, 0.1, 10, 300.0, 0.8),
        (2, monday + dt.timedelta(14), "8-14", None, None, 10, 0.0, None),
        *[(number, monday, "1-7", 0.1, 0.0, 1, 1.0, 0.2) for number in range(3, 3 + SHOWN_VERSIONS - 1)],
        (1, monday, "1-7", 0.9, 0.0, 1, 1.0, 0.9),
    ]
    found = realised_error(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert found["model_version"].tolist() == list(range(2, 2 + SHOWN_VERSIONS))
    second = found.iloc[0]
    assert (second["first"], second["last"], second["volume"]) == (monday, monday + dt.timedelta(7), 400.0)
    assert [second["wape"], second["bias"], second["baseline_wape"]] == pytest.approx([0.35, 0.05, 0.7])


def test_right_after_the_first_run_there_are_none() -> None:
    assert realised_error(pl.DataFrame(schema=SCHEMA)).empty
