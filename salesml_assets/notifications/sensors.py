"""Sensors that notify people of runs, failed checks and stale assets.

All three read Dagster's event log with a cursor of their own. Dagster's run status sensors advance their cursor even
if their function fails (`RunStatusSensorDefinition`), so a mail that a relay rejects would be lost; and failed checks
and stale assets trigger no such sensor. One mechanism for all events also means one retry policy (`outbox`).

The first evaluation starts at the current end of the log. After a time without a daemon, missed events are reported.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial

import dagster as dg
from pydantic import BaseModel

from salesml_assets.config.settings import NotificationSettings, Settings
from salesml_assets.notifications.event_feed import Position, first_position, read_feed
from salesml_assets.notifications.event_messages import (
    message_about_check,
    message_about_failure,
    message_about_freshness,
    message_about_success,
)
from salesml_assets.notifications.mailer import Mail, Mailer
from salesml_assets.notifications.messages import Message, html, plain_text, slack_text, subject
from salesml_assets.notifications.outbox import Delivery, DeliveryLog, Outbox, SendMessage
from salesml_assets.notifications.slack import SlackWebhook

INTERVAL_SECONDS = 30
BuildMessage = Callable[[dg.DagsterInstance, dg.EventLogEntry, str], Message | None]
MessageBuilders = Mapping[dg.DagsterEventType, BuildMessage]


class Cursor(BaseModel):
    """State of a sensor: the position in each kind of event, and the messages not delivered yet."""

    positions: dict[str, Position]
    waiting: list[Delivery] = []


def notification_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The three sensors; they are running by default."""
    make = partial(_sensor, settings=settings.notifications)
    runs: MessageBuilders = {
        dg.DagsterEventType.RUN_SUCCESS: message_about_success,
        dg.DagsterEventType.RUN_FAILURE: message_about_failure,
    }
    return [
        make("run_notifications", "Notifies of each successful retrain and each failed run.", runs),
        make(
            "check_notifications",
            "Notifies of each asset check that failed with severity ERROR.",
            {dg.DagsterEventType.ASSET_CHECK_EVALUATION: message_about_check},
        ),
        make(
            "freshness_notifications",
            "Notifies of each asset that started to fail its freshness policy.",
            {dg.DagsterEventType.FRESHNESS_STATE_CHANGE: message_about_freshness},
        ),
    ]


def _sensor(name: str, description: str, kinds: MessageBuilders, settings: NotificationSettings) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def notify(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        instance = context.instance
        if context.cursor is None:
            begin = first_position(instance)
            context.update_cursor(Cursor(positions=dict.fromkeys(_names(kinds), begin)).model_dump_json())
            return dg.SkipReason("First evaluation: starting at the current end of the event log.")
        cursor = Cursor.model_validate_json(context.cursor)
        outbox = Outbox(
            cursor.waiting, _channels(settings, context), DeliveryLog(instance.daemon_cursor_storage, name), context.log
        )
        for kind, about in kinds.items():
            entries, cursor.positions[kind.value] = read_feed(instance, kind, cursor.positions[kind.value], context.log)
            for message in (about(instance, entry, settings.ui_url) for entry in entries):
                if message is not None:
                    outbox.add(message)
        outbox.deliver()
        cursor.waiting = outbox.waiting
        context.update_cursor(cursor.model_dump_json())
        return dg.SkipReason(f"{outbox.sent} sent, {len(outbox.waiting)} waiting.")

    return notify


def _names(kinds: MessageBuilders) -> list[str]:
    return [kind.value for kind in kinds]


def _channels(settings: NotificationSettings, context: dg.SensorEvaluationContext) -> dict[str, SendMessage]:
    """The configured channels; without any, the sensor's log.

    Raises:
        ConfigurationError: A channel is configured wrongly; no event is read then, so none is lost.
    """
    channels: dict[str, SendMessage] = {}
    if mailer := Mailer.from_settings(settings):
        channels["mail"] = partial(_mail, mailer)
    if webhook := SlackWebhook.from_environment():
        channels["Slack"] = partial(_post, webhook)
    return channels or {"log": partial(_log, context)}


def _mail(mailer: Mailer, message: Message, seconds: float) -> list[str]:
    time = dt.datetime.fromtimestamp(message.time, dt.UTC)
    return mailer.send(Mail(message.key, time, subject(message), plain_text(message), html(message)), seconds)


def _post(webhook: SlackWebhook, message: Message, seconds: float) -> list[str]:
    webhook.post(slack_text(message), seconds)
    return []


def _log(context: dg.SensorEvaluationContext, message: Message, _: float) -> list[str]:
    context.log.info(f"Neither a relay nor a webhook is configured. {subject(message)}\n{plain_text(message)}")
    return []
