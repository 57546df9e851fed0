"""The outbox: queueing, retries, dropping."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import dagster as dg
import pytest

from salesml_assets.notifications.delivery import DeliveryError, MessageRefused
from salesml_assets.notifications.messages import Message
from salesml_assets.notifications.outbox import (
    ATTEMPTS,
    MAX_WAITING,
    RETRY_WAIT_SECONDS,
    Delivery,
    DeliveryLog,
    Outbox,
    SendMessage,
)

LOG = logging.getLogger("test_outbox")


@pytest.fixture
def store() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Channel:
    """A channel that is up or down, and refuses some messages."""

    def __init__(self) -> None:
        self.up = True
        self.refused: set[str] = set()
        self.tried: list[str] = []
        self.got: list[str] = []

    def __call__(self, message: Message, seconds: float) -> list[str]:
        assert seconds > 0
        self.tried.append(message.key)
        if not self.up:
            raise DeliveryError("down")
        if message.key in self.refused:
            raise MessageRefused("spam")
        self.got.append(message.key)
        return []


def message(key: str) -> Message:
    return Message(key=key, time=0, title=key)


def outbox(instance: dg.DagsterInstance, waiting: list[Delivery], now: float, **channels: SendMessage) -> Outbox:
    return Outbox(waiting, channels, DeliveryLog(instance.daemon_cursor_storage, "test"), LOG, now)


def test_waits_grow_to_about_a_day() -> None:
    assert list(RETRY_WAIT_SECONDS) == sorted(RETRY_WAIT_SECONDS)
    assert 20 * 3600 < sum(RETRY_WAIT_SECONDS) < 28 * 3600


def test_a_channel_that_is_down_is_tried_at_growing_intervals(store: dg.DagsterInstance) -> None:
    mail, waiting = Channel(), []
    mail.up = False
    box = outbox(store, waiting, 0, mail=mail)
    box.add(message("a"))
    times = []
    for now in range(0, 100_000, 30):
        before = len(mail.tried)
        outbox(store, waiting, now, mail=mail).deliver()
        times += [now] if len(mail.tried) > before else []
    assert len(times) == ATTEMPTS
    assert times[:5] == [0, 30, 60, 90, 150]
    assert waiting == []


def test_a_channel_that_works_again_gets_all_that_waited(store: dg.DagsterInstance) -> None:
    mail = Channel()
    waiting = [Delivery(message=message(key), channel="mail", attempts=8, due=10_000) for key in "abc"]
    box = outbox(store, waiting, 0, mail=mail)
    box.deliver()
    assert mail.tried == []
    box.add(message("new"))
    box.deliver()
    assert mail.got == ["new", "a", "b", "c"]


def test_down_is_found_out_once_and_counts_for_all(store: dg.DagsterInstance) -> None:
    mail, slack, waiting = Channel(), Channel(), []
    mail.up = False
    box = outbox(store, waiting, 0, mail=mail, slack=slack)
    for key in "abc":
        box.add(message(key))
    box.deliver()
    assert (mail.tried, slack.got) == (["a"], ["a", "b", "c"])
    assert [(delivery.channel, delivery.attempts) for delivery in waiting] == [("mail", 1)] * 3


def test_a_refused_message_does_not_hold_up_the_others(
    store: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    mail, waiting = Channel(), []
    mail.refused = {"a"}
    box = outbox(store, waiting, 0, mail=mail)
    for key in "ab":
        box.add(message(key))
    for now in range(0, 200_000, 3600):
        outbox(store, waiting, now, mail=mail).deliver()
    assert mail.got == ["b"]
    assert mail.tried.count("a") == ATTEMPTS
    assert waiting == []
    assert caplog.records[-1].getMessage() == f"'a' is dropped: mail failed {ATTEMPTS} times: spam"


def test_nothing_is_taken_twice(store: dg.DagsterInstance) -> None:
    mail, waiting = Channel(), []
    for _ in range(2):  # the second as after a restart
        box = outbox(store, waiting, 0, mail=mail)
        for _ in range(2):
            box.add(message("a"))
        assert len(waiting) <= 1
        box.deliver()
    assert mail.got == ["a"]


def test_a_channel_that_is_gone_and_a_queue_that_is_too_long(
    store: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    mail = Channel()
    mail.up = False
    waiting = [Delivery(message=message("old"), channel="slack")]
    waiting += [Delivery(message=message(str(number)), channel="mail") for number in range(MAX_WAITING + 2)]
    outbox(store, waiting, 0, mail=mail).deliver()
    assert [delivery.message.key for delivery in waiting] == [str(number) for number in range(2, MAX_WAITING + 2)]
    dropped = [record.getMessage() for record in caplog.records if "is dropped" in record.getMessage()]
    assert dropped[0] == "'old' is dropped: slack is no longer configured"
    assert len(dropped) == 3
