"""What the sensor of drift reads of a lake's past."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.automation.history import PastReport, learned_days, new_reports, past_reports
from salesml_assets.drift.retrain import Evaluation, drift_began
from salesml_assets.lake.store import Lakehouse

START = dt.date(2024, 1, 7)


def week(number: int) -> dt.date:
    return START + dt.timedelta(weeks=number)


def write_report(lake: Lakehouse, number: int) -> None:
    rows = pl.DataFrame({"kind": ["target", "mix", "mix"], "drifted": [False, True, True]})
    dated = rows.with_columns(week=pl.lit(week(number)), learned_until=pl.lit(START))
    lake.write_arrow(dated.to_arrow(), "drift_report")


def test_each_table_has_a_history_of_its_own(tmp_path: Path) -> None:
    def known(place: str) -> list[dt.date]:
        return [report.week for report in past_reports(Lakehouse(str(tmp_path / place)), {})]

    assert known("here") == []
    for number, place in enumerate(["here", "elsewhere", "here", "elsewhere"]):
        write_report(Lakehouse(str(tmp_path / place)), number)
    assert known("here") == [week(2), week(0)]
    assert known("elsewhere") == [week(3), week(1)]
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    assert known("elsewhere") == []
    assert known("moved") == [week(3), week(1)]
    (report, _) = past_reports(Lakehouse(str(tmp_path / "here")), {})
    assert report == PastReport(week(2), START, ("mix",))


def test_a_version_is_read_once(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    known: dict[int, PastReport] = {}
    write_report(lake, 1)
    first = list(past_reports(lake, known))
    write_report(lake, 2)
    known[0] = PastReport(week(9), START, ())
    assert list(past_reports(lake, known)) == [known[1], known[0]]
    assert known[1].week == week(2)
    assert first == [PastReport(week(1), START, ("mix",))]


def test_each_model_belongs_to_the_run_that_made_it(tmp_path: Path) -> None:
    lake = Lakehouse(str(tmp_path))
    assert learned_days(lake) == {}
    for count in (1, 2, 3):
        rows = pl.DataFrame({"version": range(1, count + 1), "cutoff": [week(number) for number in range(count)]})
        lake.write_arrow(rows.to_arrow(), "production_model", run_id=f"run {count}")
    assert learned_days(lake) == {"run 1": week(0), "run 2": week(1), "run 3": week(2)}


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=20), st.integers(1, 3))
def test_no_more_is_read_than_shows_when_a_drift_began(past: list[tuple[bool, bool, bool]], calm: int) -> None:
    """Weeks in their order; some are judged twice, some by a model that has learned from them."""
    reports: list[PastReport] = []
    for number, (drifted, again, learned) in enumerate(past):
        kinds = ("mix",) if drifted else ()
        if again:
            reports.append(PastReport(week(number), week(-1), () if drifted else ("mix",)))
        reports.append(PastReport(week(number), week(number if learned else -1), kinds))
    reads = []

    def read() -> Iterator[PastReport]:
        for report in reversed(reports):
            reads.append(report)
            yield report

    def began(found: list[PastReport]) -> dt.datetime | None:
        times = [Evaluation(dt.datetime.combine(each.week, dt.time()), bool(each.drifted)) for each in found]
        return drift_began(times, calm)

    newest = {report.week: report for report in reports if report.is_new}
    found = new_reports(read(), calm)
    assert began(found) == began(list(newest.values()))
    assert set(found) <= set(newest.values())
    if not any(any(flags) for flags in past[-calm:]):
        assert len({report.week for report in reads if report.is_new}) <= calm
