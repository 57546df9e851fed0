"""From a source to accepted rows and series, by the same steps as the assets, for tests of sources as they arrive."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.calendar import BusinessCalendar, business_calendar
from salesml_assets.forecasting.training.planned import read_planned
from salesml_assets.forecasting.training.series import daily_rows, sales_series
from salesml_assets.lake.spark_tables import read_table, write_table
from salesml_assets.lake.store import Lakehouse
from salesml_assets.quality.mapping import MONTH, with_month
from salesml_assets.quality.names import as_delivered, for_lake
from salesml_assets.quality.source import SourceSummary, preflight, read_source
from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows

START = dt.date(2024, 1, 1)
TODAY = dt.date(2024, 7, 1)
Made = Callable[..., Settings]


@dataclass(frozen=True)
class Taken:
    """What became of a source.

    Attributes:
        summary: Of the look before.
        lake: The tables raw_sales, sales, quarantined_sales and sales_series.
        calendar: The business calendar.
    """

    summary: SourceSummary
    lake: Lakehouse
    calendar: BusinessCalendar

    def table(self, name: str) -> pd.DataFrame:
        return self.lake.read_pandas(name)

    def totals(self) -> dict[str, float]:
        """The sum of the target by series."""
        sums = self.table("sales_series").groupby("unique_id")["y"].sum()
        return {str(name): round(float(value), 6) for name, value in sums.items()}


def take_in(spark: SparkSession, settings: Settings) -> Taken:
    """Looks at a source, and takes it in."""
    summary = preflight(spark, settings)
    lake = Lakehouse(settings.lake.root)
    delivered = with_month(read_source(spark, settings), settings, settings.today)
    write_table(for_lake(delivered), lake, "raw_sales", month_column=MONTH)
    judged = judge(as_delivered(read_table(spark, lake, "raw_sales")), settings, settings.today).persist()
    write_table(accepted_rows(judged), lake, "sales", month_column="month")
    write_table(for_lake(quarantined_rows(judged)), lake, "quarantined_sales", month_column=MONTH)
    judged.unpersist()
    sales = read_table(spark, lake, "sales")
    calendar = business_calendar(daily_rows(sales, settings.forecast.target), settings.forecast.frequency)
    planned = read_planned(spark, settings, calendar)
    write_table(sales_series(sales, settings, calendar, planned), lake, "sales_series")
    return Taken(summary, lake, calendar)


def days(count: int, start: dt.date = START) -> list[dt.date]:
    return [start + dt.timedelta(number) for number in range(count)]


def write_rows(
    file: Path, head: Sequence[str], rows: Iterable[Sequence[object]], sep: str = ",", encoding: str = "utf-8"
) -> Path:
    """Writes a CSV file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream, delimiter=sep, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    return file
