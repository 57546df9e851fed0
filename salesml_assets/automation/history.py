"""Past evaluations of drift and past trainings, read from the versions of the lake's tables.

Dagster's instance outlives a lake: `make run` on the shipped sales and then on one's own write into the same event log,
and a lake may be deleted and made again. The tables of a lake are about that lake alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel

from salesml_assets.lake.facts import written_versions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT, PRODUCTION_MODEL

REMEMBERED = 60  # evaluations, trainings and runs that are read: more than a year of weeks


@dataclass(frozen=True)
class PastReport:
    """One evaluation of drift.

    Attributes:
        week: First day of the week that was judged.
        learned_until: First day of the last week that the model had learned from.
        drifted: The kinds of drift that were found.
    """

    week: dt.date
    learned_until: dt.date
    drifted: tuple[str, ...]

    @property
    def is_new(self) -> bool:
        """Whether the model has not learned from the judged week: only there can the world have moved since."""
        return self.week > self.learned_until


class ReadReports(BaseModel):
    """Evaluations that were read before: a version of a table never changes.

    Attributes:
        table: The id of the table; what was read of another one is not about this lake.
        reports: The evaluation in each version.
    """

    table: str
    reports: dict[int, PastReport] = {}


def past_reports(lake: Lakehouse, known: dict[int, PastReport]) -> Iterator[PastReport]:
    """The evaluations in the versions of the table `drift_report`, newest first, read one by one as they are asked for.

    Versions of releases before the column `learned_until` are left out, and whatever is older.

    Args:
        lake: The lake.
        known: Evaluations by version of the table that need not be read; those that are read are added.
    """
    for commit in written_versions(lake, DRIFT_REPORT, REMEMBERED):
        if commit.version not in known:
            tests = lake.read_polars(DRIFT_REPORT, version=commit.version)
            if "learned_until" not in tests.columns:
                return
            week, learned_until = tests.select("week", "learned_until").row(0)
            drifted = tests.filter(pl.col("drifted"))["kind"].unique(maintain_order=True)
            known[commit.version] = PastReport(week, learned_until, tuple(drifted))
        yield known[commit.version]


def new_reports(reports: Iterable[PastReport], calm: int) -> list[PastReport]:
    """The newest evaluation of each week that was new to the model, back to where an earlier drift had ended.

    Args:
        reports: Evaluations, newest first; no more of them are read than matter.
        calm: Evaluations without drift, one after the other, that end a drift.
    """
    by_week: dict[dt.date, PastReport] = {}
    quiet = 0
    for report in reports:
        if not report.is_new or report.week in by_week:
            continue
        by_week[report.week] = report
        quiet = 0 if report.drifted else quiet + 1
        if quiet >= calm:
            break
    return list(by_week.values())


def learned_days(lake: Lakehouse) -> dict[str, dt.date]:
    """Per run that made a production model, the last day from which the model learned."""
    commits = written_versions(lake, PRODUCTION_MODEL, REMEMBERED)
    if not commits:
        return {}
    cutoffs = lake.read_polars(PRODUCTION_MODEL, ["version", "cutoff"]).sort("version")["cutoff"]
    # Each commit writes all models so far, so that its own is the last of its rows.
    return {commit.run_id: cutoffs[commit.rows_written - 1] for commit in commits if commit.run_id}
