"""Planned defects of every kind in three formats: each lands in quarantine with its reasons, and no good row does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.quality.mapping import with_month
from salesml_assets.quality.rules import DEFAULT_NAMES
from salesml_assets.quality.source import read_source
from salesml_assets.quality.split import accepted_rows, judge, quarantined_rows
from salesml_assets_tests.quality import defects
from salesml_assets_tests.quality.defects import SETTINGS, TODAY
from salesml_assets_tests.quality.summary import split, summarize

WRITERS = {"parquet": defects.write_parquet, "csv": defects.write_csv, "json": defects.write_json}
BROKEN = {"parquet": [], "csv": defects.CSV_BROKEN, "json": defects.JSON_BROKEN}


def rows_of(frame: DataFrame) -> list[dict[str, Any]]:
    """All rows as dictionaries."""
    return [row.asDict(recursive=True) for row in frame.collect()]


def counted(rows: list[dict[str, Any]], *without: str) -> Counter[str]:
    """Rows as a multiset."""
    return Counter(repr(sorted((name, value) for name, value in row.items() if name not in without)) for row in rows)


class Judged:
    """A delivery in one format, read, split and collected."""

    def __init__(self, spark: SparkSession, kind: str, seed: int, folder: Path, **size: int) -> None:
        """Reads and splits; the tests look at the collected rows."""
        self.made = defects.delivery(seed, **size)
        self.broken = BROKEN[kind]
        WRITERS[kind](self.made, folder)
        sales = SETTINGS["sales"] | {"path": str(folder), "format": kind}
        self.settings = Settings(**SETTINGS | {"sales": sales})
        self.source = with_month(read_source(spark, self.settings), self.settings, TODAY)
        judged = judge(self.source, self.settings, TODAY).cache()
        accepted, quarantined = accepted_rows(judged), quarantined_rows(judged)
        self.delivered, self.accepted, self.quarantined = map(rows_of, (self.source, accepted, quarantined))
        self.summary = summarize(accepted, quarantined)
        judged.unpersist()

    @property
    def good(self) -> set[str]:
        """The lines that break no rule."""
        return {row["line"] for row in self.made.rows} - self.made.reasons.keys()


@pytest.fixture(scope="module", params=sorted(WRITERS))
def judged(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The same delivery, written in each format."""
    return Judged(spark, request.param, 7, tmp_path_factory.mktemp("defects") / request.param)


def check_reasons(judged: Judged) -> None:
    """Each bad row is there with all its reasons, each second copy of a good row as a duplicate, and nothing else."""
    found: dict[str, list[list[str]]] = {}
    for row in judged.quarantined:
        if "unreadable_row" not in row["_reasons"]:
            found.setdefault(row["line"], []).append(sorted(row["_reasons"]))
    expected = {line: [sorted(reasons)] for line, reasons in judged.made.reasons.items()}
    for line in judged.made.duplicated:
        copy = sorted(judged.made.reasons.get(line, set()) | {"exact_duplicate"})
        expected[line] = sorted([*expected.get(line, []), copy])
    assert {line: sorted(reasons) for line, reasons in found.items()} == expected


def test_every_bad_row_is_in_quarantine_with_all_its_reasons(judged: Judged) -> None:
    check_reasons(judged)


def test_every_good_row_is_accepted_once(judged: Judged) -> None:
    assert len(judged.accepted) == len(judged.good)
    assert not any(row["flags"] or row["is_return"] for row in judged.accepted)


def test_unreadable_lines_keep_their_text(judged: Judged) -> None:
    rows = [row for row in judged.quarantined if "unreadable_row" in row["_reasons"]]
    assert sorted(row["_corrupt_record"] for row in rows) == sorted(judged.broken)
    # Two of them are equal: one is the other's duplicate.
    assert sum("exact_duplicate" in row["_reasons"] for row in rows) == (1 if judged.broken else 0)


def test_accepted_and_quarantined_are_what_was_delivered(judged: Judged) -> None:
    assert len(judged.delivered) == len(judged.made.rows) + len(judged.broken)
    assert len(judged.accepted) + len(judged.quarantined) == len(judged.delivered)
    # Quarantined rows have the delivered columns and values, and what is not among them is a good line.
    left = counted(judged.delivered)
    original = counted(judged.quarantined, "_reasons")
    assert original <= left
    lines = Counter(row["line"] for row in judged.delivered) - Counter(row["line"] for row in judged.quarantined)
    assert lines == Counter(judged.good)


def test_the_summary_counts_every_kind(judged: Judged) -> None:
    expected = Counter(reason for row in judged.quarantined for reason in row["_reasons"])
    assert judged.summary.reasons == expected
    assert (judged.summary.accepted, judged.summary.quarantined) == (len(judged.accepted), len(judged.quarantined))
    assert set(DEFAULT_NAMES) - {"unreadable_row", "missing_category", "invalid_stock_out"} <= expected.keys()


def test_values_are_the_delivered_ones_under_canonical_names(judged: Judged) -> None:
    lines = {row["line"]: row for row in judged.made.rows}
    totals = Counter(float(lines[line]["qty"]) for line in judged.good)
    assert Counter(row["quantity"] for row in judged.accepted) == totals
    assert Counter(row["product"] for row in judged.accepted) == Counter(lines[line]["item"] for line in judged.good)
    days = Counter(lines[line]["day"][:10].replace("-", "")[:8] for line in judged.good)
    assert Counter(f"{row['date']:%Y%m%d}" for row in judged.accepted) == days


@pytest.mark.parametrize("judged", ["json"], indirect=True)  # the rows come from the same code in each format
def test_another_run_and_months_apart_give_the_same(judged: Judged) -> None:
    accepted, quarantined = split(judged.source.repartition(3), judged.settings, TODAY)
    assert counted(rows_of(accepted)) == counted(judged.accepted)
    assert counted(rows_of(quarantined)) == counted(judged.quarantined)
    assert {row["_month"] for row in judged.delivered} == {"2024-01", "2024-02", "2024-03", "undated"}
    for month in ("2024-02", "undated"):
        part = judged.source.where(F.col("_month") == month)
        accepted, quarantined = split(part, judged.settings, TODAY, reference=judged.source)
        assert counted(rows_of(accepted)) == counted([row for row in judged.accepted if row["month"] == month])
        assert counted(rows_of(quarantined)) == counted([row for row in judged.quarantined if row["_month"] == month])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_deliveries(seed: int, spark: SparkSession, tmp_path: Path) -> None:
    judged = Judged(spark, sorted(WRITERS)[seed % 3], seed, tmp_path / "sales", good=250, bad_of_each=2)
    check_reasons(judged)
    assert len(judged.accepted) == len(judged.good)
