"""An A/B test from the first training to the promotion, by real runs that the sensors start."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.challenger import all_tests, running_test
from salesml_assets.forecasting.sequential import compare
from salesml_assets.forecasting.versions import all_versions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import AB_TEST_REPORT, CHALLENGER_FORECASTS, CHALLENGER_MODEL, FORECASTS
from salesml_assets.registry.connection import tracking_uri
from salesml_assets.simulation.platform import NEW_SALES, REFRESH, Platform
from salesml_assets.simulation.state import RunRecord
from salesml_assets_tests.forecasting.ab_losses import expected_losses
from salesml_assets_tests.forecasting.small import DAYS, START, small_sales

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
HORIZON, FORTNIGHTS = 14, 5
SALES = small_sales(days=DAYS + 14 * FORTNIGHTS).query("product != 'p7'")  # sold in the last week only
SALES = SALES.assign(line=range(len(SALES)))  # no row is a copy of another
NAIVE, MEAN = "seasonal_naive", "moving_average"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]


@dataclass
class Shop:
    """A shop whose sales come by fortnights."""

    folder: Path
    settings_for: Callable[..., Settings]
    instance: dg.DagsterInstance

    @property
    def lake(self) -> Lakehouse:
        return Lakehouse(str(self.folder / "lake"))

    def on(self, days: int, *algorithms: str, cursors: dict[str, str]) -> Platform:
        """The platform on a day, after the sales up to then were delivered."""
        today = START + dt.timedelta(days)
        SALES[SALES["date"] < today].to_parquet(self.folder / "sales.parquet", index=False)
        os.utime(self.folder / "sales.parquet", (days, days))  # a file that was just written may still be copied
        (location,) = WorkspaceFileTarget([str(WORKSPACE)]).create_origins()
        return Platform(self.settings(today, *algorithms), self.instance, location, cursors, lambda step: None)

    def settings(self, today: dt.date, *algorithms: str) -> Settings:
        return self.settings_for(
            sales={
                "path": str(self.folder / "sales.parquet"), "first_month": f"{START:%Y-%m}",
                "columns": {"date": "date", "product": "product", "category": "category", "quantity": "quantity",
                            "revenue": "revenue"},
            },
            forecast={"horizon": HORIZON},
            training={"algorithms": list(algorithms), "max_rows": 2_000, "folds": 6},
            promotion={"mode": "ab_test"},
            registry={"folder": str(self.folder / "mlflow")},
            clock={"today": today},
        )  # fmt: skip

    def aliases(self) -> dict[str, int]:
        uri = tracking_uri(self.settings(START, NAIVE).registry)
        found = MlflowClient(uri, uri).get_registered_model("salesml").aliases
        return {name: int(version) for name, version in found.items()}


@pytest.fixture
def shop(settings_for: Callable[..., Settings], spark: SparkSession, tmp_path: Path) -> Iterator[Shop]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance:
        yield Shop(tmp_path, settings_for, instance)


def succeeded(*runs: RunRecord) -> None:
    assert [run.failure for run in runs] == [None] * len(runs)


@pytest.mark.timeout(900)
def test_a_better_challenger_is_promoted_by_what_came_true(shop: Shop) -> None:
    cursors: dict[str, str] = {}
    platform = shop.on(DAYS, NAIVE, cursors=cursors)
    succeeded(platform.train())
    assert [(one.version, one.algorithm) for one in all_versions(shop.lake)] == [(1, NAIVE)]
    assert shop.lake.size(CHALLENGER_FORECASTS).rows == 0
    assert shop.lake.size(AB_TEST_REPORT).rows == 0
    assert shop.aliases() == {"champion": 1}

    # The next training has a better algorithm: it is tested, and does not serve.
    platform = shop.on(DAYS, NAIVE, MEAN, cursors=cursors)
    succeeded(platform.train())
    assert [(one.version, one.algorithm) for one in all_versions(shop.lake)] == [(1, NAIVE), (2, NAIVE)]
    test = running_test(shop.lake)
    assert test is not None
    assert (test.number, test.challenger.algorithm, test.champion.algorithm) == (1, MEAN, NAIVE)
    assert shop.aliases() == {"champion": 2, "challenger": 3}
    ours, theirs = (shop.lake.read_polars(name) for name in (FORECASTS, CHALLENGER_FORECASTS))
    assert (
        ours.select("unique_id", "ds")
        .sort("unique_id", "ds")
        .equals(theirs.select("unique_id", "ds").sort("unique_id", "ds"))
    )
    assert ours.schema == theirs.schema
    assert (set(ours["model"]), set(theirs["model"])) == ({NAIVE}, {MEAN})
    for name in (NEW_SALES, REFRESH):
        platform.tick(name)

    reports = []
    for fortnight in range(1, FORTNIGHTS + 1):
        platform = shop.on(DAYS + 14 * fortnight, NAIVE, MEAN, cursors=cursors)
        loads, refreshes = [*platform.until_quiet(NEW_SALES)], [*platform.until_quiet(REFRESH)]
        succeeded(*loads, *refreshes)
        assert loads
        assert refreshes
        reports.append(shop.lake.read_polars(AB_TEST_REPORT).to_dicts())
        if reports[-1][0]["outcome"] != "running":
            break
    assert [len(report) for report in reports] == [1] * len(reports)
    (last,) = reports[-1]
    assert (last["outcome"], last["verdict"]) == ("promoted", "challenger better")
    assert all(report[0]["outcome"] == "running" for report in reports[:-1])
    assert "not yet known" in reports[0][0]["reason"]

    # The errors are those of the forecasts that were made before the days were known.
    losses = expected_losses(shop.lake)
    found = compare(losses, 0.05, 0.02)
    assert last["difference"] == pytest.approx(found.difference)
    assert last["low"] == pytest.approx(found.low)
    assert last["decided_on"] == found.decided_on

    # The promotion is a version with its evidence.
    newest = all_versions(shop.lake)[-1]
    assert (newest.version, newest.algorithm, newest.path) == (3, MEAN, test.challenger.path)
    assert newest.decision["evidence"]["test"] == 1
    assert newest.decision["evidence"]["low"] > 0

    # What depends on it follows with the next refresh.
    assert fortnight < FORTNIGHTS
    platform = shop.on(DAYS + 14 * (fortnight + 1), NAIVE, MEAN, cursors=cursors)
    succeeded(*platform.until_quiet(NEW_SALES), *platform.until_quiet(REFRESH))
    assert set(shop.lake.read_polars(FORECASTS, ["model", "model_version"]).unique().rows()) == {(MEAN, 3)}
    assert shop.lake.size(CHALLENGER_FORECASTS).rows == 0
    assert running_test(shop.lake) is None
    assert shop.aliases() == {"champion": 3}
    page = next((shop.folder / "lake" / "_files" / "report").glob("*/report.html")).parent.parent
    assert any("A/B test 1: promoted" in file.read_text("utf-8") for file in page.rglob("report.html"))

    # Another training compares with the new champion, and begins no test.
    succeeded(platform.train())
    assert [one.algorithm for one in all_versions(shop.lake)] == [NAIVE, NAIVE, MEAN, MEAN]
    assert len(all_tests(shop.lake)) == 1
    assert shop.lake.read_polars(CHALLENGER_MODEL).height == 1
