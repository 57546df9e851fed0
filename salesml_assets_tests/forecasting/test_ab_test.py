"""A/B tests on lakes with past forecasts: losses, verdicts, promotions, and what is tested next."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.ab_test import evaluate, paired_losses, report_table
from salesml_assets.forecasting.arms import SERVED_SCHEMA
from salesml_assets.forecasting.challenger import (
    DAYS_BETWEEN_TESTS,
    ABTest,
    Plan,
    all_tests,
    listing,
    plan_challenger,
    running_test,
    with_challenger,
)
from salesml_assets.forecasting.model.bundle import write_bundle
from salesml_assets.forecasting.production import version_row
from salesml_assets.forecasting.promotion import Decision
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.sequential import Verdict
from salesml_assets.forecasting.versions import all_versions, promote, roll_back
from salesml_assets.names import (
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    FORECASTS,
    PRODUCTION_MODEL,
    SALES_SERIES,
    SERVED_PREDICTIONS,
)
from salesml_assets_tests.forecasting.small_models import HORIZON, Shop, bundle

SETTINGS = Settings(forecast={"horizon": HORIZON}, promotion={"mode": "ab_test"})
NOW = dt.datetime(2024, 6, 1, 6, tzinfo=dt.UTC)
START = dt.date(2024, 3, 3)
NAMES = ("a", "b", "c")


class ABShop(Shop):
    """A shop whose production model and challenger forecast by turns of a week."""

    def begin(self, settings: Settings = SETTINGS) -> ABTest:
        """Version 1 in production, and its first challenger."""
        self.train(bundle(1))
        self.challenge(1, settings)
        (test,) = all_tests(self.lake)
        return test

    def challenge(self, test: int, settings: Settings = SETTINGS, **changes: object) -> None:
        number = self.lake.read_polars(CHALLENGER_MODEL).height + 1 if self.lake.exists(CHALLENGER_MODEL) else 1
        made = replace(bundle(2, settings, **changes), version=number, cutoff=START)
        folder = f"challenger-{number}-run"
        write_bundle(made, lambda content, name: self.files.write(content, PRODUCTION_MODEL, folder, name))
        serving = all_versions(self.lake)[-1].recipe
        plan = Plan(reason="", recipe=BOOSTED, test=test, started=START, champion=serving)
        row = version_row(made, self.files.path(PRODUCTION_MODEL, folder))
        self.lake.write_polars(with_challenger(self.lake, row, plan), CHALLENGER_MODEL)

    def forecast(self, weeks: int, errors: tuple[float, float], every: int = 7, seed: int = 1) -> None:
        """Sales of some weeks, and the forecasts of both models with errors of these sizes."""
        random = np.random.default_rng(seed)
        days = [START + dt.timedelta(day) for day in range(7 * weeks + 1)]
        sold = pl.DataFrame({"unique_id": NAMES}).join(pl.DataFrame({"ds": days}), how="cross")
        sold = sold.with_columns(y=pl.Series(random.gamma(20, 5, sold.height)), closed=pl.col("ds").dt.weekday() == 7)
        self.lake.write_polars(sold, SALES_SERIES)
        for offset in range(0, 7 * weeks, every):
            origin = START + dt.timedelta(offset)
            ahead = sold.filter(pl.col("ds") > origin, pl.col("ds") <= origin + dt.timedelta(HORIZON))
            for name, size in zip((FORECASTS, CHALLENGER_FORECASTS), errors, strict=True):
                noise = pl.Series(random.normal(0, size, ahead.height))
                made = ahead.select("unique_id", "ds", yhat=pl.col("y") + noise, model_version=pl.lit(1, pl.Int32))
                self.lake.write_polars(made.with_columns(cutoff=pl.lit(origin)), name)

    def judge(self, settings: Settings = SETTINGS, run_id: str = "run") -> dict[str, object]:
        """Judges and keeps the table, as the asset does; its last row."""
        table, _ = report_table(self.lake, self.files, settings, NOW, run_id)
        self.lake.write_polars(table, AB_TEST_REPORT, run_id=run_id)
        return table.row(-1, named=True)


@pytest.fixture
def shop(tmp_path: Path) -> ABShop:
    return ABShop(tmp_path / "lake")


def test_losses_are_sums_over_series_of_forecasts_made_on_the_same_day(shop: ABShop) -> None:
    test = shop.begin()
    shop.forecast(3, (10.0, 8.0))
    # A week in which one of the models made no forecasts does not count.
    lonely = shop.lake.read_polars(FORECASTS).with_columns(cutoff=pl.lit(START + dt.timedelta(21)))
    shop.lake.write_polars(lonely.with_columns(pl.col("ds") + pl.duration(days=7)), FORECASTS)
    found = paired_losses(shop.lake, SETTINGS, test)
    sold = shop.lake.read_polars(SALES_SERIES).filter(~pl.col("closed"), pl.col("ds") > START)
    assert found["ds"].to_list() == sorted(set(sold["ds"]))
    assert found["volume"].to_list() == pytest.approx(
        sold.group_by("ds").agg(pl.col("y").sum()).sort("ds")["y"].to_list()
    )
    expected = {"champion": 0.0, "challenger": 0.0}
    for arm, name in zip(expected, (FORECASTS, CHALLENGER_FORECASTS), strict=True):
        for version in range(3):
            rows = shop.lake.read_polars(name, version=version).join(sold, on=["unique_id", "ds"])
            expected[arm] += float((rows["y"] - rows["yhat"]).abs().sum())
    assert found.select(pl.col("champion", "challenger").sum()).row(0, named=True) == pytest.approx(expected)


def test_of_daily_forecasts_those_of_one_day_a_week_count(shop: ABShop) -> None:
    test = shop.begin()
    shop.forecast(3, (10.0, 8.0), every=1)
    daily = paired_losses(shop.lake, SETTINGS, test)
    weekly = [(START + dt.timedelta(7 * week + day)) for week in range(3) for day in range(1, 7)]
    assert daily["ds"].to_list() == weekly
    versions = [shop.lake.read_polars(FORECASTS, version=7 * week) for week in range(3)]
    sold = shop.lake.read_polars(SALES_SERIES).filter(~pl.col("closed"))
    rows = pl.concat(versions).join(sold, on=["unique_id", "ds"])
    assert daily["champion"].sum() == pytest.approx(float((rows["y"] - rows["yhat"]).abs().sum()))


def test_days_that_several_origins_forecast_count_once(shop: ABShop) -> None:
    test = shop.begin()
    shop.forecast(2, (10.0, 8.0))
    once = paired_losses(shop.lake, SETTINGS, test)
    later = shop.lake.read_polars(FORECASTS, version=0), shop.lake.read_polars(CHALLENGER_FORECASTS, version=0)
    for name, rows in zip((FORECASTS, CHALLENGER_FORECASTS), later, strict=True):
        again = pl.concat([rows, shop.lake.read_polars(name)]).with_columns(cutoff=pl.lit(START + dt.timedelta(14)))
        shop.lake.write_polars(again, name)
    assert paired_losses(shop.lake, SETTINGS, test).select("ds", "volume").equals(once.select("ds", "volume"))


@pytest.mark.parametrize(
    ("errors", "verdict", "outcome", "versions"),
    [
        ((30.0, 15.0), Verdict.CHALLENGER_BETTER, "promoted", 2),
        ((15.0, 30.0), Verdict.CHAMPION_BETTER, "dropped", 1),
        ((15.0, 15.0), Verdict.NOT_YET_KNOWN, "running", 1),
    ],
)
def test_a_verdict_ends_the_test(
    shop: ABShop, errors: tuple[float, float], verdict: Verdict, outcome: str, versions: int
) -> None:
    test = shop.begin()
    shop.forecast(8, errors)
    row = shop.judge()
    assert (row["verdict"], row["outcome"]) == (verdict.value, outcome)
    assert str(verdict.value) in str(row["reason"]).replace("is better than champion", "challenger better").replace(
        "is better than challenger", "champion better"
    )
    assert row["champion_wape"] == pytest.approx(row["challenger_wape"] + row["difference"])  # type: ignore[operator]
    served = all_versions(shop.lake)
    assert len(served) == versions
    assert (running_test(shop.lake) is None) == (outcome != "running")
    if outcome == "promoted":
        assert (served[-1].recipe, served[-1].folder) == (test.challenger.recipe, test.challenger.folder)
        assert served[-1].decision["evidence"]["decided_on"] == str(row["decided_on"])
        assert served[-1].origin.startswith("A/B test 1: challenger xgboost is better")
    # Judged again, nothing changes.
    before = shop.lake.read_polars(AB_TEST_REPORT)
    again = shop.judge()
    assert {**again, "run_id": ""} == {**row, "run_id": ""}
    assert len(all_versions(shop.lake)) == versions
    assert shop.lake.read_polars(AB_TEST_REPORT).height == before.height == 1


def test_equivalent_models_leave_the_champion(shop: ABShop) -> None:
    shop.begin()
    shop.forecast(20, (15.0, 15.0))
    wide = SETTINGS.model_copy(update={"ab_test": SETTINGS.ab_test.model_copy(update={"margin": 0.3})})
    row = shop.judge(wide)
    assert (row["verdict"], row["outcome"]) == ("equivalent", "dropped")
    assert len(all_versions(shop.lake)) == 1


def test_without_actuals_nothing_is_known(shop: ABShop) -> None:
    test = shop.begin()
    shop.sell()
    found = evaluate(shop.lake, SETTINGS, test)
    assert found.verdict == Verdict.NOT_YET_KNOWN
    assert found.sentence() == "challenger xgboost against champion seasonal naive: no day with actuals yet."
    assert shop.judge()["outcome"] == "running"


def test_a_promotion_whose_run_died_is_not_made_twice(shop: ABShop) -> None:
    shop.begin()
    shop.forecast(8, (30.0, 15.0))
    report_table(shop.lake, shop.files, SETTINGS, NOW, "died before it wrote the table")
    assert len(all_versions(shop.lake)) == 2
    row = shop.judge()
    assert (row["outcome"], row["promoted_version"]) == ("promoted", 2)
    assert len(all_versions(shop.lake)) == 2


def test_a_champion_chosen_by_hand_ends_the_test(shop: ABShop) -> None:
    shop.train(bundle(1))
    shop.train(replace(bundle(2), parameters={"max_depth": 9}))
    shop.challenge(1)
    shop.forecast(2, (15.0, 15.0))
    assert running_test(shop.lake) is not None
    roll_back(shop.lake, shop.files, SETTINGS, by="me", reason="", now=NOW)
    assert running_test(shop.lake) is None
    row = shop.judge()
    assert (row["outcome"], row["reason"]) == ("abandoned", "Another recipe was put into production.")
    # Whoever brings the old champion back does not bring the test back.
    promote(shop.lake, shop.files, SETTINGS, version=2, by="me", reason="", now=NOW)
    assert running_test(shop.lake) is None


def test_the_challengers_are_listed_with_the_outcome_of_their_test(shop: ABShop) -> None:
    assert listing(shop.lake) == ""
    test = shop.begin()
    shop.challenge(1)
    header, *lines = listing(shop.lake).splitlines()
    assert header.split() == ["challenger", "algorithm", "cutoff", "trained_at", "test", "outcome", "path"]
    assert [line.split()[:3] for line in lines] == [[number, "xgboost", str(START)] for number in "21"]
    assert all(" A/B test 1  running " in line for line in lines)
    assert lines[1].endswith(test.challenger.path)
    shop.forecast(8, (30.0, 15.0))
    report_table(shop.lake, shop.files, SETTINGS, NOW, "died before it wrote the table")
    assert all(" champion replaced " in line for line in listing(shop.lake).splitlines()[1:])
    shop.judge()
    assert all(" promoted " in line for line in listing(shop.lake).splitlines()[1:])


def test_a_challenger_that_cannot_serve_is_abandoned(shop: ABShop) -> None:
    shop.begin()
    shop.forecast(8, (30.0, 15.0))
    longer = SETTINGS.model_copy(update={"forecast": SETTINGS.forecast.model_copy(update={"horizon": 14})})
    row = shop.judge(longer)
    assert row["outcome"] == "abandoned"
    assert "challenger 1 forecasts 7 steps, forecast.horizon is 14" in str(row["reason"])
    assert len(all_versions(shop.lake)) == 1


def test_the_arms_of_the_service_are_counted(shop: ABShop) -> None:
    shop.begin()
    shop.forecast(2, (15.0, 10.0))
    rows = [
        # Twice the first origin's forecasts of a, once both of b; one answer failed; another test's does not count.
        *[("r1", "champion", "a", 0, START, True, 200, 2.0), ("r2", "champion", "a", 0, START, True, 200, 4.0)],
        ("r3", "challenger", "b", 0, START + dt.timedelta(7), True, 200, 3.0),
        ("r3", "challenger", "c", 1, START + dt.timedelta(7), True, 200, 3.0),
        ("r4", "challenger", "b", 0, None, False, 503, 9.0),
        ("r5", "challenger", "b", 0, START, False, 200, 5.0),
    ]
    keys = ("request_id", "arm", "series", "place", "cutoff", "stored", "status", "latency_ms")
    frame = pl.DataFrame(
        [dict(zip(keys, row, strict=True)) for row in rows], schema={k: SERVED_SCHEMA[k] for k in keys}
    )
    frame = frame.with_columns(
        at=pl.lit(NOW).cast(SERVED_SCHEMA["at"]), route=pl.lit("/forecasts"), test=pl.lit(1, pl.Int64),
        model_version=pl.lit(1, pl.Int32),
    ).select(SERVED_SCHEMA.names())  # fmt: skip
    shop.lake.append_arrow(frame.to_arrow(), SERVED_PREDICTIONS)
    shop.lake.append_arrow(frame.with_columns(test=pl.lit(2, pl.Int64)).to_arrow(), SERVED_PREDICTIONS)
    row = shop.judge()
    assert (row["champion_requests"], row["champion_failed"]) == (2, 0)
    assert (row["challenger_requests"], row["challenger_failed"]) == (3, 1)
    assert (row["champion_p50_ms"], row["champion_p99_ms"], row["challenger_p50_ms"]) == (4.0, 4.0, 5.0)
    sold = shop.lake.read_polars(SALES_SERIES).filter(~pl.col("closed"))
    made = shop.lake.read_polars(CHALLENGER_FORECASTS, version=1).filter(pl.col("unique_id").is_in(["b", "c"]))
    both = made.join(sold, on=["unique_id", "ds"])
    assert row["challenger_served_wape"] == pytest.approx((both["y"] - both["yhat"]).abs().sum() / both["y"].sum())


def decided(candidate: str | None, champion: str = "seasonal_naive") -> Decision:
    return Decision(
        champion=champion, winner=champion, promoted=False, candidate=candidate, challengers=[], confidence_level=0.95,
        method="", days=84, reason="xgboost is tested against seasonal naive.",
    )  # fmt: skip


NAIVE, BOOSTED = Recipe(algorithm="seasonal_naive"), Recipe(algorithm="xgboost", parameters=bundle(2).parameters)
RECIPES = {"seasonal_naive": NAIVE, "xgboost": BOOSTED}


def test_the_candidate_of_the_comparison_is_tested(shop: ABShop) -> None:
    shop.train(bundle(1))
    assert plan_challenger(shop.lake, decided(None), RECIPES, START).recipe is None
    plan = plan_challenger(shop.lake, decided("xgboost"), RECIPES, START)
    assert (plan.recipe, plan.name, plan.test, plan.started, plan.champion) == (BOOSTED, "xgboost", 1, START, NAIVE)
    assert plan.reason == "A/B test 1 begins: xgboost is tested against seasonal naive."
    # A comparison with a champion that serves no more decides nothing.
    shop.train(bundle(2))
    assert "the next one decides" in plan_challenger(shop.lake, decided("xgboost"), RECIPES, START).reason


def test_a_running_test_keeps_its_recipe_and_its_beginning(shop: ABShop) -> None:
    shop.begin()
    later = START + dt.timedelta(7)
    tuned = Recipe(algorithm="xgboost", parameters={"max_depth": 9})
    plan = plan_challenger(shop.lake, decided("xgboost"), RECIPES | {"xgboost": tuned}, later)
    assert (plan.recipe, plan.name, plan.test, plan.started) == (BOOSTED, None, 1, START)
    assert plan_challenger(shop.lake, decided(None), RECIPES, later).name == "xgboost"
    shop.challenge(1)
    (test,) = all_tests(shop.lake)
    assert [one.name for one in test.challengers] == ["challenger 1", "challenger 2"]


def test_a_loser_waits_before_it_is_tested_again(shop: ABShop) -> None:
    shop.begin()
    shop.forecast(8, (15.0, 30.0))
    row = shop.judge()
    assert row["outcome"] == "dropped"
    ended = row["decided_on"]
    assert isinstance(ended, dt.date)
    soon, late = ended + dt.timedelta(DAYS_BETWEEN_TESTS - 1), ended + dt.timedelta(DAYS_BETWEEN_TESTS)
    refused = plan_challenger(shop.lake, decided("xgboost"), RECIPES, soon)
    assert refused.recipe is None
    assert f"lost a test that ended on {ended}" in refused.reason
    assert plan_challenger(shop.lake, decided("xgboost"), RECIPES, late).test == 2
    tuned = RECIPES | {"xgboost": Recipe(algorithm="xgboost", parameters={"max_depth": 9})}
    assert plan_challenger(shop.lake, decided("xgboost"), tuned, soon).test == 2
