"""Planned defects of every kind in three formats: each lands in quarantine with its reasons, and no good row does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from salesml_assets.config import Settings
from salesml_assets.quality.mapping import with_month
from salesml_assets.quality.rules import DEFAULT_NAMES
from salesml_assets.quality.source import read_source
from salesml_assets.quality.split import split
from salesml_assets.quality.summary import summarize
from salesml_assets_tests.quality import defects
from salesml_assets_tests.quality.defects import SETTINGS, TODAY, Delivery

WRITERS = {"parquet": defects.write_parquet, "csv": defects.write_csv, "json": defects.write_json}
BROKEN = {"parquet": [], "csv": defects.CSV_BROKEN, "json": defects.JSON_BROKEN}


class Judged:
    """A delivery in one format, read and split."""

    def __init__(self, spark: SparkSession, settings: Settings, kind: str, made: Delivery) -> None:
        """Reads and splits once; the tests look at the rows."""
        self.kind, self.made, self.settings = kind, made, settings
        self.delivered = with_month(read_source(spark, settings), settings, TODAY).cache()
        accepted, quarantined = split(self.delivered, settings, TODAY)
        self.accepted, self.quarantined = accepted.cache(), quarantined.cache()


@pytest.fixture(scope="module", params=sorted(WRITERS))
def judged(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The same delivery, written in each format."""
    path = tmp_path_factory.mktemp("defects") / request.param
    made = defects.delivery(seed=7)
    WRITERS[request.param](made, path)
    sales = SETTINGS["sales"] | {"path": str(path), "format": request.param}
    return Judged(spark, Settings(**SETTINGS | {"sales": sales}), request.param, made)


def lines(rows: DataFrame) -> Counter[str]:
    """How often each readable line occurs."""
    if "_corrupt_record" in rows.columns:
        rows = rows.where("_corrupt_record is null")
    return Counter(row["line"] for row in rows.select("line", "item").collect())


def test_every_bad_row_is_in_quarantine_with_all_its_reasons(judged: Judged) -> None:
    found: dict[str, list[set[str]]] = {}
    for row in judged.quarantined.collect():
        if "unreadable_row" not in row["_reasons"]:
            assert len(set(row["_reasons"])) == len(row["_reasons"])
            found.setdefault(row["line"], []).append(set(row["_reasons"]))
    for line, reasons in judged.made.reasons.items():
        copies = [reasons, reasons | {"exact_duplicate"}] if line in judged.made.duplicated else [reasons]
        assert sorted(map(sorted, found.pop(line))) == sorted(map(sorted, copies)), line
    # What is left are the second copies of good rows.
    assert found == {line: [{"exact_duplicate"}] for line in judged.made.duplicated - judged.made.reasons.keys()}


def test_no_good_row_is_in_quarantine(judged: Judged) -> None:
    good = {row["line"] for row in judged.made.rows} - judged.made.reasons.keys()
    kept = judged.accepted.count()
    assert kept == len(good)


def test_unreadable_lines_keep_their_text(judged: Judged) -> None:
    if judged.kind == "parquet":
        assert "_corrupt_record" not in judged.quarantined.columns
        return
    rows = judged.quarantined.where(F.array_contains("_reasons", "unreadable_row")).collect()
    assert sorted(row["_corrupt_record"] for row in rows) == sorted(BROKEN[judged.kind])
    # Two of them are equal: one is the other's duplicate.
    assert sum("exact_duplicate" in row["_reasons"] for row in rows) == 1


def test_accepted_and_quarantined_are_what_was_delivered(judged: Judged) -> None:
    delivered = len(judged.made.rows) + len(BROKEN[judged.kind])
    assert judged.delivered.count() == delivered
    assert judged.accepted.count() + judged.quarantined.count() == delivered
    original = judged.quarantined.drop("_reasons")
    assert original.schema.names == judged.delivered.schema.names
    assert original.exceptAll(judged.delivered).count() == 0


def test_every_kind_of_defect_was_planned_and_counted(judged: Judged) -> None:
    summary = summarize(judged.accepted, judged.quarantined)
    expected = Counter(reason for reasons in judged.made.reasons.values() for reason in reasons)
    for line in judged.made.duplicated:
        expected.update(judged.made.reasons.get(line, set()) | {"exact_duplicate"})
    reasons = dict(summary.reasons)
    if BROKEN[judged.kind]:
        assert reasons.pop("unreadable_row") == len(BROKEN[judged.kind])
        planned = {reason: count for reason, count in reasons.items() if reason in ("void_note", "return")}
        assert planned == {reason: expected[reason] for reason in planned}
    else:
        assert reasons == expected
    assert set(DEFAULT_NAMES) - {"unreadable_row", "missing_category"} <= expected.keys()
    assert summary.delivered == judged.delivered.count()


def test_a_second_run_changes_nothing(judged: Judged, spark: SparkSession) -> None:
    again = with_month(read_source(spark, judged.settings), judged.settings, TODAY).repartition(3)
    accepted, quarantined = split(again, judged.settings, TODAY)
    assert accepted.exceptAll(judged.accepted).count() == 0
    assert judged.accepted.exceptAll(accepted).count() == 0
    assert quarantined.exceptAll(judged.quarantined).count() == 0


def test_months_apart_give_the_same_as_all_at_once(judged: Judged) -> None:
    months = [row["_month"] for row in judged.delivered.select("_month").distinct().collect()]
    assert {"2024-01", "2024-02", "2024-03", "undated"} == set(months)
    for month in ("2024-02", "undated"):
        part = judged.delivered.where(F.col("_month") == month)
        accepted, quarantined = split(part, judged.settings, TODAY, reference=judged.delivered)
        assert accepted.exceptAll(judged.accepted).count() == 0
        assert accepted.count() == judged.accepted.where(F.col("month") == month).count()
        assert quarantined.exceptAll(judged.quarantined).count() == 0
        assert quarantined.count() == judged.quarantined.where(F.col("_month") == month).count()


@pytest.mark.parametrize("seed", [1, 2])
def test_other_deliveries(
    seed: int, spark: SparkSession, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    made = defects.delivery(seed, good=200, bad_of_each=2)
    defects.write_json(made, tmp_path / "sales")
    settings = settings_for(**SETTINGS | {"sales": SETTINGS["sales"] | {"path": str(tmp_path / "sales"), "format": "json"}})
    accepted, quarantined = split(read_source(spark, settings), settings, TODAY)
    good = {row["line"] for row in made.rows} - made.reasons.keys()
    assert accepted.count() == len(good)
    assert made.reasons.keys() <= lines(quarantined).keys()
