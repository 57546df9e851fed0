"""Export of forecasts from the lake, without Java."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from salesml_assets.config.settings import KEYS, ConfigurationError, Settings
from salesml_assets.lake.store import LakeError, Lakehouse
from salesml_assets.names import HIERARCHY_FORECASTS
from salesml_assets.text import masked

if TYPE_CHECKING:
    import pyarrow as pa

FORECAST_COLUMNS = ["ds", "yhat", "lo80", "hi80", "lo95", "hi95", "order_quantity", "model", "model_version", "cutoff"]
ENDINGS = (".parquet", ".csv")


def lake_of(settings: Settings) -> Lakehouse:
    """The tables of the lake that the settings name."""
    return Lakehouse(settings.lake.root, settings.s3)


def export_forecasts(settings: Settings, file: Path, level: str | None = None) -> int:
    """Writes all forecasts to a file: unique_id, the series keys, ds, yhat, intervals, model, version and cutoff.

    Where costs are set (`orders`), `order_quantity` follows the intervals.

    Args:
        settings: The settings; the order of the keys is that of `forecast.series`.
        file: A .parquet or .csv file; written completely or not at all.
        level: A level of totals instead, such as `category`, `store/category` or `total`.

    Returns:
        Number of rows.

    Raises:
        ConfigurationError: The file extension is neither .parquet nor .csv.
        LakeError: There are no forecasts yet, or none of that level.
    """
    if file.suffix.lower() not in ENDINGS:
        raise ConfigurationError(f"{file.name}: the file extension must be one of {', '.join(ENDINGS)}")
    table = _forecasts(settings) if level is None else _totals(settings, level)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        _write(table, fresh, file.suffix.lower())
        os.replace(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
    return int(table.num_rows)


def _forecasts(settings: Settings) -> pa.Table:
    lake = lake_of(settings)
    if not lake.exists("forecasts"):
        raise LakeError(f"There are no forecasts in {masked(lake.root)} yet: run `salesml run` first.")
    there = list(lake.columns("forecasts"))
    series: list[str] = [*settings.forecast.series, *KEYS]
    keys = [key for key in dict.fromkeys(series) if key in there]
    wanted = ["unique_id", *keys, *[name for name in FORECAST_COLUMNS if name in there or name != "order_quantity"]]
    table = lake.read_arrow("forecasts", wanted).select(wanted)
    return table.sort_by([("unique_id", "ascending"), ("ds", "ascending")])


def _totals(settings: Settings, level: str) -> pa.Table:
    import pyarrow.compute as pc

    lake = lake_of(settings)
    if not lake.exists(HIERARCHY_FORECASTS):
        raise LakeError(f"There are no forecasts of totals in {masked(lake.root)} yet: run `salesml run` first.")
    table = lake.read_arrow(HIERARCHY_FORECASTS, filters=pc.field("level") == level)
    if table.num_rows:
        return table.sort_by([("node", "ascending"), ("ds", "ascending")])
    levels = pc.unique(lake.read_arrow(HIERARCHY_FORECASTS, ["level"])["level"]).to_pylist()
    raise LakeError(f"There is no level {level!r} among the totals; there are: {', '.join(sorted(levels))}.")


def _write(table: pa.Table, file: Path, ending: str) -> None:
    if ending == ".csv":
        from pyarrow import csv

        csv.write_csv(table, file)
    else:
        from pyarrow import parquet

        parquet.write_table(table, file, compression="zstd")
