"""An A/B test from the first training to the promotion, by real runs of the assets, without Java."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from mlflow import MlflowClient

from salesml_assets.assets.ab_test import announce_promotion
from salesml_assets.checks import all_checks
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.forecasting.challenger import all_tests, running_test
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.sequential import compare
from salesml_assets.forecasting.versions import all_versions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import (
    AB_TEST_REPORT,
    CHALLENGER_FORECASTS,
    CHALLENGER_MODEL,
    EXPLANATIONS,
    FEATURES,
    FORECAST_ACCURACY,
    FORECASTS,
    MODEL_COMPARISON,
    MODEL_REGISTRY,
    PANEL,
    POOLED_CALENDAR,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    RAW_SALES,
    REPORT,
    SALES,
    SALES_SERIES,
)
from salesml_assets.notifications.event_messages import message_about_success
from salesml_assets.notifications.messages import plain_text
from salesml_assets.registry.connection import tracking_uri
from salesml_assets.resources import spark as spark_module
from salesml_assets_tests.forecasting.ab_losses import expected_losses
from salesml_assets_tests.forecasting.small import DAYS, START, small_sales
from salesml_assets_tests.forecasting.small_lake import small_panel, small_pool, small_series
from salesml_assets_tests.forecasting.test_ab_test import ABShop

HORIZON, WEEKS = 7, 12
SOLD = small_sales(days=DAYS + 7 * WEEKS).query("product != 'p7'")  # sold in the last week only
NAIVE, MEAN = "seasonal_naive", "moving_average"
REFRESHED = (FORECASTS, CHALLENGER_FORECASTS, AB_TEST_REPORT)
TRAINED = (MODEL_COMPARISON, PRODUCTION_MODEL, CHALLENGER_MODEL, *REFRESHED, MODEL_REGISTRY)


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(settings: Settings) -> None:
        raise AssertionError("Java was started")

    monkeypatch.setattr(spark_module, "start_session", start)


class Shop:
    """A shop whose sales come by weeks; what Spark makes of them is made by the same functions without it."""

    def __init__(self, folder: Path, settings_for: Callable[..., Settings], instance: dg.DagsterInstance) -> None:
        self.folder, self._settings_for, self.instance = folder, settings_for, instance
        self.lake, self.days = Lakehouse(str(folder / "lake")), DAYS

    def settings(self, *algorithms: str, mode: str = "ab_test") -> Settings:
        return self._settings_for(
            forecast={"horizon": HORIZON},
            training={"algorithms": list(algorithms), "max_rows": 2_000, "folds": 6},
            promotion={"mode": mode},
            registry={"folder": str(self.folder / "mlflow")},
            clock={"today": START + dt.timedelta(self.days)},
        )

    def deliver(self, settings: Settings) -> None:
        rows = SOLD[SOLD["date"] < START + dt.timedelta(self.days)]
        series = small_series(rows)
        features = add_features(series, feature_spec(settings, {}))
        sales = pl.from_pandas(rows).with_columns(pl.col("date").cast(pl.Date), flags=pl.lit([], pl.List(pl.String)))
        tables = {
            RAW_SALES: sales.head(5), SALES: sales, SALES_SERIES: series, FEATURES: features,
            QUARANTINED_SALES: pl.DataFrame(schema={"_reasons": pl.List(pl.String)}),
            PANEL: small_panel(features, settings).with_columns(volume_class=pl.lit("A")),
            POOLED_CALENDAR: small_pool(features, settings),
        }  # fmt: skip
        for name, table in tables.items():
            self.lake.write_polars(table, name, run_id="delivered")

    def run(self, settings: Settings, *names: str) -> dg.ExecuteInProcessResult:
        selection = dg.AssetSelection.assets(*names)
        job = dg.define_asset_job("ab_test", selection, executor_def=dg.in_process_executor)
        merged = dg.Definitions.merge(definitions(settings), dg.Definitions(jobs=[job]))
        result = merged.resolve_job_def("ab_test").execute_in_process(instance=self.instance)
        assert result.success
        bad = [
            found
            for found in result.get_asset_check_evaluations()
            if not found.passed and found.check_name != "beats_baseline"
        ]
        assert [(found.check_name, found.description) for found in bad] == []
        return result

    def aliases(self) -> dict[str, int]:
        uri = tracking_uri(self.settings(NAIVE).registry)
        found = MlflowClient(uri, uri).get_registered_model("salesml").aliases
        return {name: int(version) for name, version in found.items()}

    def report(self) -> dict[str, object]:
        return self.lake.read_polars(AB_TEST_REPORT).row(-1, named=True)

    def message(self, result: dg.ExecuteInProcessResult) -> str | None:
        ended = self.instance.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.RUN_SUCCESS).records
        message = message_about_success(self.instance, ended[0].event_log_entry, "http://ui")
        return plain_text(message) if message else None


def made_elsewhere(instance: dg.DagsterInstance, settings: Settings, *names: str) -> None:
    """Tells Dagster that assets were made, and that their checks passed."""
    for name in names:
        instance.report_runless_asset_event(dg.AssetMaterialization(name))
        for spec in (spec for checks in all_checks(settings) for spec in checks.check_specs):
            if spec.asset_key.to_user_string() == name:
                passed = dg.AssetCheckEvaluation(asset_key=spec.asset_key, check_name=spec.name, passed=True)
                instance.report_runless_asset_event(passed)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_a_promotion_is_followed_by_its_forecasts(
    tmp_path: Path, settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    shop = ABShop(tmp_path / "lake")
    shop.begin()
    shop.forecast(8, (30.0, 15.0))
    settings = settings_for(forecast={"horizon": HORIZON}, promotion={"mode": "ab_test"})
    made_elsewhere(instance, settings, PANEL, PRODUCTION_MODEL, CHALLENGER_MODEL, FORECASTS, CHALLENGER_FORECASTS)
    defs, selection = definitions(settings), dg.AssetSelection.assets(FORECASTS)

    def requested(cursor: Any = None) -> tuple[int, Any]:
        found = dg.evaluate_automation_conditions(defs, instance, selection, cursor=cursor)
        return found.get_num_requested(dg.AssetKey(FORECASTS)), found.cursor

    _, cursor = requested()
    assert requested(cursor)[0] == 0
    row = shop.judge(settings)
    assert row["outcome"] == "promoted"
    announce_promotion(instance, shop.lake, settings, row)
    assert requested(cursor)[0] == 1


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_better_challenger_is_promoted_by_what_came_true(
    tmp_path: Path, settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    shop = Shop(tmp_path, settings_for, instance)
    settings = shop.settings(NAIVE)
    shop.deliver(settings)
    shop.run(settings, NAIVE, *TRAINED)
    assert [(one.version, one.algorithm) for one in all_versions(shop.lake)] == [(1, NAIVE)]
    for name in (CHALLENGER_MODEL, CHALLENGER_FORECASTS, AB_TEST_REPORT):
        assert shop.lake.size(name).rows == 0
    assert shop.aliases() == {"champion": 1}

    # The next training has a better algorithm: it is tested, and does not serve.
    settings = shop.settings(NAIVE, MEAN)
    result = shop.run(settings, NAIVE, MEAN, *TRAINED)
    assert (
        "is tested against seasonal naive"
        in result.asset_materializations_for_node(MODEL_COMPARISON)[0].metadata["decision"].value
    )
    assert [(one.version, one.algorithm) for one in all_versions(shop.lake)] == [(1, NAIVE), (2, NAIVE)]
    test = running_test(shop.lake)
    assert test is not None
    assert (test.number, test.challenger.algorithm, test.champion.algorithm) == (1, MEAN, NAIVE)
    assert shop.aliases() == {"champion": 2, "challenger": 3}
    ours, theirs = (shop.lake.read_polars(name) for name in (FORECASTS, CHALLENGER_FORECASTS))
    keys = ["unique_id", "ds"]
    assert ours.select(keys).sort(keys).equals(theirs.select(keys).sort(keys))
    assert (ours.schema, set(ours["model"]), set(theirs["model"])) == (theirs.schema, {NAIVE}, {MEAN})
    assert shop.message(result) is None

    reports: list[dict[str, object]] = []
    while not reports or reports[-1]["outcome"] == "running":
        shop.days += 7
        assert shop.days <= DAYS + 7 * WEEKS
        shop.deliver(settings)
        result = shop.run(settings, *REFRESHED)
        reports.append(shop.report())
    assert len(reports) >= 4  # weeks, before which nothing is called
    assert all("not yet known" in str(report["reason"]) for report in reports[:-1])
    last = reports[-1]
    assert (last["outcome"], last["verdict"], last["promoted_version"]) == ("promoted", "challenger better", 3)

    # The errors are those of the forecasts that were made before the days were known.
    found = compare(expected_losses(shop.lake), 0.05, 0.02)
    assert (last["difference"], last["low"]) == (pytest.approx(found.difference), pytest.approx(found.low))
    assert last["decided_on"] == found.decided_on

    # The promotion is a version with its evidence, and Dagster knows of it.
    newest = all_versions(shop.lake)[-1]
    assert (newest.version, newest.algorithm, newest.path) == (3, MEAN, test.challenger.path)
    assert (newest.decision["evidence"]["test"], newest.decision["evidence"]["low"]) == (1, last["low"])
    event = instance.get_latest_materialization_event(dg.AssetKey(PRODUCTION_MODEL))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["model version"].value == 3
    message = shop.message(result)
    assert message is not None
    assert "A/B test 1: challenger promoted" in message
    assert "version 3, moving_average" in message

    # What is made from it follows with the next refresh; the test is over.
    shop.run(settings, *REFRESHED, MODEL_REGISTRY, FORECAST_ACCURACY, EXPLANATIONS, REPORT)
    assert set(shop.lake.read_polars(FORECASTS, ["model", "model_version"]).unique().rows()) == {(MEAN, 3)}
    assert shop.lake.size(CHALLENGER_FORECASTS).rows == 0
    assert shop.report() == last
    assert running_test(shop.lake) is None
    assert shop.aliases() == {"champion": 3}
    (page,) = (tmp_path / "lake" / "_files" / REPORT).rglob("report.html")
    assert "A/B test 1: promoted" in page.read_text("utf-8")

    # Another training compares with the new champion, and begins no test.
    shop.run(settings, NAIVE, MEAN, *TRAINED)
    assert [one.algorithm for one in all_versions(shop.lake)] == [NAIVE, NAIVE, MEAN, MEAN]
    assert len(all_tests(shop.lake)) == 1
    assert shop.lake.read_polars(CHALLENGER_MODEL).height == 1
