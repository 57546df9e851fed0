"""Writes a table over and over, slowly, until it is killed: `python -m ... ROOT whole|months|memory`."""

import sys

import pyarrow as pa
from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.lake.spark_tables import write_months, write_table
from salesml_assets.lake.store import Lakehouse
from salesml_assets.spark.session import spark_session

ROWS, TASKS, MONTHS = 1000, 4, ["2011-01", "2011-02"]
# Each task waits before its first row, the later ones longer, so that a write has phases.
PAUSE = f"CASE WHEN id % {ROWS // TASKS} = 0 THEN reflect('java.lang.Thread', 'sleep', 200L + id) END"


def main(root: str, kind: str) -> None:
    """Writes generation after generation; all rows of one have its number."""
    lake = Lakehouse(root)
    if kind == "memory":
        write_from_memory(lake)
    else:
        write_by_spark(lake, kind)


def write_from_memory(lake: Lakehouse) -> None:
    """Goes on where a killed writer left the table."""
    generation = lake.version("numbers") + 1 if lake.exists("numbers") else 0
    while True:
        lake.write_arrow(pa.table({"id": range(ROWS), "generation": [generation] * ROWS}), "numbers")
        generation += 1


def write_by_spark(lake: Lakehouse, kind: str) -> None:
    """Writes the whole table, or its months, in tasks that take their time."""
    settings = Settings(lake={"root": lake.root}, spark={"master": "local[2]", "driver_memory": "1g"})
    with spark_session(settings) as spark:
        for generation in range(1_000):
            month = F.when(F.col("id") < ROWS // 2, MONTHS[0]).otherwise(MONTHS[1])
            columns = {"generation": F.lit(generation), "pause": F.expr(PAUSE), "month": month}
            rows = spark.range(0, ROWS, 1, TASKS).withColumns(columns)
            if kind == "whole":
                write_table(rows, lake, "numbers")
            else:
                write_months(rows, lake, "numbers", "month", MONTHS)


if __name__ == "__main__":
    main(*sys.argv[1:])
