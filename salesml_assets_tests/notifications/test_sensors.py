"""The sensors, on a real instance with real runs, against real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.freshness import FreshnessDaemon

from salesml_assets.config.settings import SLACK_WEBHOOK, SMTP_PASSWORD, SMTP_USER, ConfigurationError, Settings
from salesml_assets.notifications.outbox import ATTEMPTS
from salesml_assets.notifications.sensors import Cursor, notification_sensors
from salesml_assets_tests.notifications import shop
from salesml_assets_tests.notifications.conftest import UI, Ticks
from salesml_assets_tests.notifications.relay import free_port, hanging, relay, webhook

pytestmark = pytest.mark.stack
Make = Callable[..., Ticks]
RUNS, CHECKS, FRESHNESS = "run_notifications", "check_notifications", "freshness_notifications"


def check_result(passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey("raw_sales"), check_name="volume", passed=passed, metadata={})


def test_sensors_run_from_the_start() -> None:
    sensors = notification_sensors(Settings())
    assert [sensor.name for sensor in sensors] == [RUNS, CHECKS, FRESHNESS]
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
    assert dg.Definitions(sensors=sensors).get_repository_def().sensor_defs


def test_a_retrain_that_succeeded(instance: dg.DagsterInstance, ticks: Make) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        run = shop.run(instance, tags={"salesml/started_by": "drift of <prices>", "other": "tag"})
        shop.run(instance, "other")
        for _ in range(4):
            sensors.all()
    (mail,) = inbox.mails
    assert mail.message["Subject"] == "[salesml] retrain succeeded"
    text = mail.body("plain")
    assert [line.split() for line in text.splitlines()[2:5]] == [
        ["algorithm", "WAPE", "RMSE", "MAE", "R²", "bias", "in", "80", "%", "seconds"],
        ["xgboost", "10.7%", "1,234.6", "100.0", "0.912", "+1.2%", "79.0%", "12.5"],
        ["<b>naive</b>", "19.3%", "-", "200.0", "0.500", "−2.0%", "80.0%", "-"],
    ]
    for fact in (
        f"Decision: {shop.DECISION}", "In production: version 4, xgboost", "Rows delivered: 12,000",
        "Rows quarantined: 300 (2.5%)", "Report: s3a://***@lake/report.html", "Started by: drift of <prices>",
        f"Run: {UI}/runs/{run}",
    ):  # fmt: skip
        assert fact in text
    page = mail.body("html")
    assert "&lt;b&gt;naive&lt;/b&gt;" in page
    assert "<b>naive" not in page
    assert f'href="{UI}/runs/{run}"' in page
    assert sensors.seconds < 2


def test_a_retrain_of_few_assets_tells_of_those_only(instance: dg.DagsterInstance, ticks: Make) -> None:
    shop.run(instance)
    with relay() as (inbox, port):
        sensors = ticks(port)
        shop.run(instance, only="raw_sales")
        sensors.tick(RUNS)
    (mail,) = inbox.mails
    text = mail.body("plain")
    assert "Rows delivered: 12,000" in text
    assert [word for word in ("WAPE", "Decision", "In production", "quarantined", "Report") if word in text] == []


def test_a_run_that_failed(instance: dg.DagsterInstance, ticks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    error = (
        "cannot read s3a://key:secret@lake/sales\r\nBcc: eve@example.com\r\n\r\n<script>"
        "\n\tat org.apache.spark.Sql.read(Sql.java:1)\n\tat java.lang.Thread.run(Thread.java:2)"
    )
    monkeypatch.setenv(shop.TROUBLE, error)
    with relay() as (inbox, port):
        sensors = ticks(port)
        run = shop.run(instance)
        for _ in range(3):
            sensors.all()
    (mail,) = inbox.mails
    assert mail.message["Subject"] == "[salesml] retrain failed in model_comparison"
    assert mail.message["Bcc"] is None
    text = mail.body("plain")
    assert "Step model_comparison: RuntimeError: cannot read s3a://***@lake/sales" in text
    assert f"Run: {UI}/runs/{run}" in text
    for part in ("secret", "org.apache", "Traceback"):
        assert part not in text
    assert "&lt;script&gt;" in mail.body("html")


def test_a_run_that_was_ended_from_outside(instance: dg.DagsterInstance, ticks: Make) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        run = instance.create_run_for_job(shop.defs.resolve_job_def("other"), status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run, "Exceeded maximum runtime of 5 seconds.")
        sensors.all()
    (mail,) = inbox.mails
    assert mail.message["Subject"] == "[salesml] other failed"
    assert "Reason: Exceeded maximum runtime of 5 seconds." in mail.body("plain")


def test_a_check_that_failed(instance: dg.DagsterInstance, ticks: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        shop.run(instance, "other")
        sensors.tick(CHECKS)
        assert inbox.mails == []  # passed, and one that warns
        monkeypatch.setenv(shop.TROUBLE, "check")
        first, second = shop.run(instance, "other"), shop.run(instance, "other")
        for _ in range(4):
            sensors.tick(CHECKS)
    assert [mail.message["Subject"] for mail in inbox.mails] == ["[salesml] check volume of raw_sales failed"] * 2
    for mail, run in zip(inbox.mails, (first, second), strict=True):
        assert "Problem: the month is <empty>" in mail.body("plain")
        assert f"{UI}/assets/raw_sales?view=checks&checkDetail=volume" in mail.body("plain")
        assert f"{UI}/runs/{run}" in mail.body("plain")


def test_a_check_that_fails_again_when_its_step_is_tried_again(instance: dg.DagsterInstance, ticks: Make) -> None:
    def evaluate(run_id: str) -> None:
        evaluation = check_result(passed=False)
        event = DagsterEvent("ASSET_CHECK_EVALUATION", "other", event_specific_data=evaluation)
        instance.report_dagster_event(event, run_id)

    with relay() as (inbox, port):
        sensors = ticks(port)
        for _ in range(2):
            evaluate("a-run")
        sensors.tick(CHECKS)
        evaluate("a-run")
        sensors.tick(CHECKS)
        assert len(inbox.mails) == 1
        evaluate("another-run")
        evaluate("")  # reported from outside
        sensors.tick(CHECKS)
    assert len(inbox.mails) == 3


def freshness_daemon(instance: dg.DagsterInstance) -> None:
    """One evaluation by Dagster's own daemon."""
    target = LoadableTargetOrigin(python_file=shop.__file__, attribute="defs")
    with WorkspaceProcessContext(
        instance, InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(target))
    ) as workspace:
        asyncio.run(FreshnessDaemon()._evaluate_assets(workspace))


def materialize(instance: dg.DagsterInstance, seconds_ago: float) -> None:
    """The asset with a freshness policy is made, then."""
    data = StepMaterializationData(dg.AssetMaterialization("prices"))
    event = DagsterEvent("ASSET_MATERIALIZATION", "other", event_specific_data=data)
    instance.store_event(EventLogEntry(None, 20, "", "a-run", time.time() - seconds_ago, None, "other", event))


def test_a_stale_asset_is_told_once_for_each_time(instance: dg.DagsterInstance, ticks: Make) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        for age, mails in ((60, 0), (7200, 1), (7100, 1), (30, 1), (7000, 2)):
            materialize(instance, age)
            freshness_daemon(instance)
            for _ in range(2):
                sensors.tick(FRESHNESS)
            assert len(inbox.mails) == mails
    assert inbox.mails[0].message["Subject"] == "[salesml] prices is stale"
    assert f"Asset: {UI}/assets/prices" in inbox.mails[0].body("plain")


def test_history_is_not_told_but_what_was_missed_is(instance: dg.DagsterInstance, ticks: Make) -> None:
    shop.run(instance)
    with relay() as (inbox, port):
        sensors = ticks(port)
        sensors.all()
        assert inbox.mails == []
        run = shop.run(instance)  # no daemon runs now; later, one comes with the cursors of the first
        again = Ticks.__new__(Ticks)
        again.__dict__ |= sensors.__dict__
        again.all()
        again.all()
    assert [run in mail.body("plain") for mail in inbox.mails] == [True]


def test_a_daemon_that_dies_before_its_cursor_is_kept_tells_nothing_twice(
    instance: dg.DagsterInstance, ticks: Make
) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        shop.run(instance)
        before = dict(sensors.cursors)
        sensors.all()
        sensors.cursors = before
        sensors.all()
    assert len(inbox.mails) == 1


def test_down_then_up(instance: dg.DagsterInstance, ticks: Make) -> None:
    port = free_port()
    sensors = ticks(port)
    shop.run(instance)
    shop.run(instance)
    assert sensors.tick(RUNS) == "0 sent, 2 waiting."
    assert sensors.tick(RUNS) == "0 sent, 2 waiting."
    with relay(port) as (inbox, _):
        assert sensors.tick(RUNS) == "2 sent, 0 waiting."
        assert sensors.tick(RUNS) == "0 sent, 0 waiting."
    assert len(inbox.mails) == 2


def test_a_relay_that_hangs_costs_one_timeout(instance: dg.DagsterInstance, ticks: Make) -> None:
    with hanging() as port:
        sensors = ticks(port)
        for _ in range(3):
            shop.run(instance)
        assert sensors.tick(RUNS) == "0 sent, 3 waiting."
    assert 0.9 < sensors.seconds < 2
    cursor = Cursor.model_validate_json(sensors.cursors[RUNS] or "")
    assert [delivery.attempts for delivery in cursor.waiting] == [1, 1, 1]


def test_in_the_end_a_message_is_given_up(
    instance: dg.DagsterInstance, ticks: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    sensors = ticks(free_port())
    shop.run(instance)
    for _ in range(ATTEMPTS):
        assert "1 waiting" in sensors.tick(RUNS)
        cursor = Cursor.model_validate_json(sensors.cursors[RUNS] or "")
        cursor.waiting[0].due = 0  # the wait is over
        sensors.cursors[RUNS] = cursor.model_dump_json()
        if cursor.waiting[0].attempts == ATTEMPTS - 1:
            break
    assert sensors.tick(RUNS) == "0 sent, 0 waiting."
    assert "'retrain succeeded' is dropped: mail failed 12 times" in capfd.readouterr().err


def test_slack_and_mail_are_independent(
    instance: dg.DagsterInstance, ticks: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook(500) as hook, relay() as (inbox, port):
        monkeypatch.setenv(SLACK_WEBHOOK, hook.url)
        sensors = ticks(port)
        run = shop.run(instance)
        assert sensors.tick(RUNS) == "1 sent, 1 waiting."
        hook.status = 200
        assert sensors.tick(RUNS) == "1 sent, 0 waiting."
    assert len(inbox.mails) == 1
    assert hook.texts == [f"[salesml] retrain succeeded: {shop.DECISION.replace('<', '&lt;')} <{UI}/runs/{run}|Run>"]


def test_nothing_set_up_is_logged(
    instance: dg.DagsterInstance, ticks: Make, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = ticks()
    monkeypatch.setenv(shop.TROUBLE, "boom")
    shop.run(instance)
    capfd.readouterr()
    assert sensors.tick(RUNS) == "1 sent, 0 waiting."
    logged = capfd.readouterr().err
    assert "Neither a relay nor a webhook is configured. [salesml] retrain failed in model_comparison" in logged
    assert "RuntimeError: boom" in logged


def test_what_cannot_work_fails_the_tick_and_loses_nothing(
    instance: dg.DagsterInstance, ticks: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay() as (inbox, port):
        sensors = ticks(port)
        shop.run(instance)
        monkeypatch.setenv(SMTP_USER, "sales")
        monkeypatch.setenv(SMTP_PASSWORD, "secret")
        sensors.relay_at(port, smtp_host="mail.example.com")
        with pytest.raises(ConfigurationError, match=r"notifications\.smtp_security"):
            sensors.tick(RUNS)
        monkeypatch.delenv(SMTP_USER)
        monkeypatch.delenv(SMTP_PASSWORD)
        sensors.relay_at(port)
        sensors.tick(RUNS)
    assert len(inbox.mails) == 1


def test_with_a_long_log_a_tick_is_quick(instance: dg.DagsterInstance, ticks: Make) -> None:
    sensors = ticks()
    for _ in range(120):
        instance.report_runless_asset_event(check_result(passed=True))
    for _ in range(5):
        sensors.tick(CHECKS)
    position = Cursor.model_validate_json(sensors.cursors[CHECKS] or "").positions["ASSET_CHECK_EVALUATION"]
    assert (position.after, position.recent) == (instance.event_log_storage.get_maximum_record_id(), [])
    assert sensors.seconds < 1
