"""Sensors that tell people what happened: runs, failed checks, stale assets.

All three read Dagster's event log by a cursor of their own. Dagster's run status sensors would do for runs, but they
move on whether their function worked or not (`RunStatusSensorDefinition`: the error goes to the tick, the cursor past
the event), so a mail that a relay did not take would be lost; and failed checks and stale assets start none of them.
One way for all of it also means one way to try again (`outbox`).

The first evaluation begins at the end of the log. After a time without a daemon, what was missed is told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial

import dagster as dg
from pydantic import BaseModel

from salesml_assets.config.settings import NotificationSettings, Settings
from salesml_assets.notifications.event_feed import Position, first_position, read_feed
from salesml_assets.notifications.event_messages import about_check, about_failure, about_freshness, about_success
from salesml_assets.notifications.mailer import Mail, Mailer
from salesml_assets.notifications.messages import Message, html, plain_text, slack_text, subject
from salesml_assets.notifications.outbox import Delivered, Delivery, Outbox, Send
from salesml_assets.notifications.slack import SlackWebhook

INTERVAL_SECONDS = 30
About = Callable[[dg.DagsterInstance, dg.EventLogEntry, str], Message | None]
Kinds = Mapping[dg.DagsterEventType, About]


class Cursor(BaseModel):
    """What a sensor remembers: how far it read each kind of event, and which messages are not delivered yet."""

    positions: dict[str, Position]
    waiting: list[Delivery] = []


def notification_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors, by settings; they run from the start."""
    make = partial(_sensor, settings=settings.notifications)
    runs: Kinds = {
        dg.DagsterEventType.RUN_SUCCESS: about_success,
        dg.DagsterEventType.RUN_FAILURE: about_failure,
    }
    return [
        make("run_notifications", "Tells of each retrain that succeeded and each run that failed.", runs),
        make(
            "check_notifications",
            "Tells of each asset check that failed with severity ERROR.",
            {dg.DagsterEventType.ASSET_CHECK_EVALUATION: about_check},
        ),
        make(
            "freshness_notifications",
            "Tells of each asset that began to fail its freshness policy.",
            {dg.DagsterEventType.FRESHNESS_STATE_CHANGE: about_freshness},
        ),
    ]


def _sensor(name: str, description: str, kinds: Kinds, settings: NotificationSettings) -> dg.SensorDefinition:
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
            return dg.SkipReason("From now on.")
        cursor = Cursor.model_validate_json(context.cursor)
        outbox = Outbox(
            cursor.waiting, _channels(settings, context), Delivered(instance.daemon_cursor_storage, name), context.log
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


def _names(kinds: Kinds) -> list[str]:
    return [kind.value for kind in kinds]


def _channels(settings: NotificationSettings, context: dg.SensorEvaluationContext) -> dict[str, Send]:
    """How messages go out: by what is set up, else to the log.

    Raises:
        ConfigurationError: What is set up cannot work; nothing is read then, so nothing is lost.
    """
    channels: dict[str, Send] = {}
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
    context.log.info(f"No relay and no webhook is set up. {subject(message)}\n{plain_text(message)}")
    return []
