"""Challengers and their A/B tests: rows of a table in the lake. No Spark, no Dagster.

A test compares two recipes: what serves, and what the backtest preferred to it. It begins with the training of its
first challenger. A training during the test fits both recipes again, so that they always know the same days. The test
ends with a row of its own in the table `ab_test_report`, or as soon as another recipe serves.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.versions import Version, latest_version, version_of
from salesml_assets.names import AB_TEST_REPORT, CHALLENGER_MODEL
from salesml_assets.text import aligned

if TYPE_CHECKING:
    from salesml_assets.forecasting.promotion import Decision
    from salesml_assets.lake.store import Lakehouse

RUNNING, PROMOTED, DROPPED, ABANDONED = "running", "promoted", "dropped", "abandoned"
# A recipe that lost is tested again against the same champion after half a year at the earliest: each test may err.
DAYS_BETWEEN_TESTS = 182
_COLUMNS: dict[str, Any] = {
        "version": pl.Int64, "algorithm": pl.String, "parameters": pl.String, "path": pl.String, "cutoff": pl.Date,
        "trained_at": pl.Datetime("us", "UTC"), "decision": pl.String, "lake_versions": pl.String,
        "settings": pl.String, "test": pl.Int64, "started": pl.Date, "champion": pl.String,
}  # fmt: skip
CHALLENGER_SCHEMA = pl.Schema(_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class ABTest:
    """An A/B test.

    Attributes:
        number: Its number, from 1.
        challengers: Its challengers, oldest first: one recipe, fitted again by each training during the test.
        champion: The recipe that the challenger is compared with.
        started: The last day that its first challenger learned from; the first forecasts compared are made there.
    """

    number: int
    challengers: tuple[Version, ...]
    champion: Recipe
    started: dt.date

    @property
    def challenger(self) -> Version:
        """The challenger that forecasts now."""
        return self.challengers[-1]

    @property
    def salt(self) -> str:
        """What draws the series that the challenger answers: the name of the first challenger's folder, with its run.

        It stays for the whole test, is the same on each replica, and is another one in the next test.
        """
        return self.challengers[0].folder


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training has to do about challengers.

    Attributes:
        name: Name in the comparison of the recipe to fit; None where its backtest has to be made again.
        recipe: The recipe to fit; None where there is nothing to test.
        test: Number of the test that it belongs to.
        started: When that test began.
        champion: The recipe that it is compared with.
        reason: Why, in one sentence.
    """

    reason: str
    recipe: Recipe | None = None
    name: str | None = None
    test: int = 0
    started: dt.date = dt.date.min
    champion: Recipe | None = None


def all_tests(lake: Lakehouse) -> list[ABTest]:
    """All A/B tests, oldest first."""
    rows = challengers_table(lake).sort("version")
    return [
        ABTest(
            number=number,
            challengers=tuple(version_of(row, challenger=True) for row in part.iter_rows(named=True)),
            champion=Recipe(**json.loads(part["champion"][0])),
            started=part["started"][0],
        )
        for (number,), part in rows.group_by("test", maintain_order=True)
        if isinstance(number, int)
    ]


def running_test(lake: Lakehouse) -> ABTest | None:
    """The test without a verdict whose champion still serves; None without one."""
    tests, serving = all_tests(lake), latest_version(lake)
    if not tests or serving is None or serving.recipe != tests[-1].champion:
        return None
    return tests[-1] if tests[-1].number not in outcomes(lake) else None


def outcomes(lake: Lakehouse) -> dict[int, str]:
    """Outcome of each test that has ended."""
    if not lake.exists(AB_TEST_REPORT):
        return {}
    rows = lake.read_polars(AB_TEST_REPORT, ["test", "outcome"])
    return {int(test): outcome for test, outcome in rows.iter_rows() if outcome != RUNNING}


def challengers_table(lake: Lakehouse) -> pl.DataFrame:
    """The rows of the table `challenger_model`: none where there is no such table."""
    if not lake.exists(CHALLENGER_MODEL):
        return pl.DataFrame(schema=CHALLENGER_SCHEMA)
    return lake.read_polars(CHALLENGER_MODEL).cast(CHALLENGER_SCHEMA)


def listing(lake: Lakehouse) -> str:
    """The challengers as a table in text, newest first: challenger, algorithm, cutoff, trained_at, test, outcome, path.

    Empty before the first one.
    """
    ended, running = outcomes(lake), running_test(lake)
    rows = [
        (
            str(one.version),
            one.algorithm,
            str(one.cutoff),
            one.trained,
            f"A/B test {test.number}",
            RUNNING if running == test else ended.get(test.number, "champion replaced"),
            one.path,
        )
        for test in all_tests(lake)
        for one in test.challengers
    ]
    if not rows:
        return ""
    return aligned([("challenger", "algorithm", "cutoff", "trained_at", "test", "outcome", "path"), *reversed(rows)])


def with_challenger(lake: Lakehouse, row: Mapping[str, object], plan: Plan) -> pl.DataFrame:
    """The table of challengers with a new row.

    Args:
        lake: The lake.
        row: The model, as `production.version_row` makes it.
        plan: The plan that it was trained by.
    """
    assert plan.champion is not None
    test = {"test": plan.test, "started": plan.started, "champion": plan.champion.model_dump_json()}
    return pl.concat([challengers_table(lake), pl.DataFrame([{**row, **test}], schema=CHALLENGER_SCHEMA)])


def next_number(lake: Lakehouse) -> int:
    """Number of the next challenger."""
    return len(challengers_table(lake)) + 1


def plan_challenger(lake: Lakehouse, decision: Decision, recipes: Mapping[str, Recipe], today: dt.date) -> Plan:
    """Which challenger a training has to fit, if any.

    While a test runs, its own recipe: a test that restarted with each training would never end. Else the candidate of
    the comparison, unless it lost to the same champion less than `DAYS_BETWEEN_TESTS` before.

    Args:
        lake: The lake, with the production model that has just been trained.
        decision: The decision of the latest comparison.
        recipes: The recipe behind each name of the comparison.
        today: Last day of the panel.
    """
    test, serving = running_test(lake), latest_version(lake)
    if test is not None:
        recipe = test.challenger.recipe
        name = next((name for name, found in recipes.items() if found == recipe), None)
        reason = f"A/B test {test.number} goes on: {recipe.algorithm} is fitted again."
        return Plan(
            reason=reason, recipe=recipe, name=name, test=test.number, started=test.started, champion=test.champion
        )
    name = decision.candidate
    if name is None or serving is None:
        return Plan(reason="The comparison has no candidate for a test.")
    recipe = recipes[name]
    if serving.recipe != recipes[decision.winner]:
        return Plan(reason="Another recipe serves since the comparison: the next one decides.")
    tests = all_tests(lake)
    if (ended := _last_loss(lake, tests, recipe, serving.recipe)) and (today - ended).days < DAYS_BETWEEN_TESTS:
        return Plan(
            reason=f"{recipe.algorithm} with these parameters lost a test that ended on {ended}: it is not tested "
            f"again for {DAYS_BETWEEN_TESTS} days."
        )
    number = tests[-1].number + 1 if tests else 1
    return Plan(
        reason=f"A/B test {number} begins: {decision.reason}",
        recipe=recipe,
        name=name,
        test=number,
        started=today,
        champion=serving.recipe,
    )


def _last_loss(lake: Lakehouse, tests: list[ABTest], challenger: Recipe, champion: Recipe) -> dt.date | None:
    """The last day of the latest test of these two that had a verdict; None without one."""
    if not lake.exists(AB_TEST_REPORT):
        return None
    same = [test.number for test in tests if (test.challenger.recipe, test.champion) == (challenger, champion)]
    rows = lake.read_polars(AB_TEST_REPORT, ["test", "decided_on"])
    last = rows.filter(pl.col("test").is_in(same))["decided_on"].max()
    return last if isinstance(last, dt.date) else None
