"""The queue of messages: each is delivered once per channel, retried while the channel is down, and finally dropped.

A delivery is recorded at once in Dagster's key-value store, not only in the sensor's cursor at the end of the
evaluation: a daemon that is killed in between does not send the message again. A duplicate is possible only if the
process is killed between the relay's answer and that record; both mails then have the same Message-ID.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from salesml_assets.notifications.delivery import DeliveryError, MessageRefused
from salesml_assets.notifications.messages import Message

if TYPE_CHECKING:
    from salesml_assets.runs.dagster_internals import DaemonCursorStorage

# Seconds to wait after each failed attempt; if the attempt after the last wait (about a day) fails, too, it is dropped.
RETRY_WAIT_SECONDS = (0, 0, 0, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
ATTEMPTS = len(RETRY_WAIT_SECONDS) + 1
MAX_WAITING, MAX_REMEMBERED = 300, 1000
# Dagster ends a sensor's evaluation after 60 seconds and discards its cursor.
DELIVERY_SECONDS, MIN_SECONDS = 40.0, 3.0

SendMessage = Callable[[Message, float], list[str]]
"""Sends a message within a number of seconds; returns the problems of single recipients."""


class Delivery(BaseModel):
    """A message waiting for one channel; `due` is the time of the next attempt in seconds since the epoch."""

    message: Message
    channel: str
    attempts: int = 0
    due: float = 0.0


class DeliveryLog:
    """The latest `MAX_REMEMBERED` deliveries, message by channel, written through to the store.

    Args:
        store: Dagster's key-value store.
        name: Name of the sensor, part of the key.
    """

    def __init__(self, store: DaemonCursorStorage, name: str) -> None:
        self._store, self._key = store, f"salesml/{name}/delivered"
        self._known: list[str] = json.loads(store.get_cursor_values({self._key}).get(self._key, "[]"))

    def __contains__(self, delivery: Delivery) -> bool:
        return _delivery_name(delivery) in self._known

    def add(self, delivery: Delivery) -> None:
        """Records a delivery durably."""
        self._known = [*self._known, _delivery_name(delivery)][-MAX_REMEMBERED:]
        self._store.set_cursor_values({self._key: json.dumps(self._known)})


@dataclass
class Outbox:
    """The messages of one sensor.

    Attributes:
        waiting: Messages not delivered yet, oldest first.
        channels: Send function of each channel.
        delivered: The log of deliveries.
        log: Logger for failures.
        now: Current time in seconds since the epoch.
        sent: Number of messages sent.
    """

    waiting: list[Delivery]
    channels: Mapping[str, SendMessage]
    delivered: DeliveryLog
    log: logging.Logger
    now: float = field(default_factory=time.time)
    sent: int = 0

    def add(self, message: Message) -> None:
        """Queues a message for all channels, unless it was delivered or is queued already."""
        known = {_delivery_name(delivery) for delivery in self.waiting}
        for channel in self.channels:
            delivery = Delivery(message=message, channel=channel)
            if delivery not in self.delivered and _delivery_name(delivery) not in known:
                self.waiting.append(delivery)

    def deliver(self) -> None:
        """Sends messages that are due, as far as time allows; failed ones stay queued."""
        end = time.monotonic() + DELIVERY_SECONDS
        for channel in {delivery.channel: None for delivery in self.waiting}:
            queue = [delivery for delivery in self.waiting if delivery.channel == channel]
            if channel in self.channels:
                self._send_due(queue, self.channels[channel], end)
            else:
                for delivery in queue:
                    self._drop(delivery, "is no longer configured")
        for delivery in self.waiting[:-MAX_WAITING]:
            self._drop(delivery, f"has more than {MAX_WAITING} messages waiting")

    def _send_due(self, queue: list[Delivery], send: SendMessage, end: float) -> None:
        up = False
        for delivery in sorted(queue, key=lambda delivery: delivery.due):
            left = end - time.monotonic()
            # A channel that works again gets all queued messages, due or not.
            if left < MIN_SECONDS or not (up or delivery.due <= self.now):
                return
            try:
                problems = send(delivery.message, left)
            except MessageRefused as refusal:
                up = True
                self._failed(delivery, refusal)
            except DeliveryError as failure:
                # The other messages would fail, too, and might each take as long.
                for other in [other for other in queue if other in self.waiting]:
                    if other is delivery or other.due <= self.now:
                        self._failed(other, failure)
                return
            else:
                up = True
                self.delivered.add(delivery)
                self.waiting.remove(delivery)
                self.sent += 1
                for problem in problems:
                    self.log.error(
                        f"{delivery.channel}: some recipients did not get '{delivery.message.title}': {problem}"
                    )

    def _failed(self, delivery: Delivery, error: DeliveryError) -> None:
        delivery.attempts += 1
        if delivery.attempts >= ATTEMPTS:
            self._drop(delivery, f"failed {delivery.attempts} times: {error}")
            return
        delivery.due = self.now + RETRY_WAIT_SECONDS[delivery.attempts - 1]
        self.log.warning(
            f"{delivery.channel}: attempt {delivery.attempts} of {ATTEMPTS} for '{delivery.message.title}': {error}"
        )

    def _drop(self, delivery: Delivery, why: str) -> None:
        self.waiting.remove(delivery)
        self.log.error(f"'{delivery.message.title}' is dropped: {delivery.channel} {why}")


def _delivery_name(delivery: Delivery) -> str:
    return f"{delivery.channel}:{delivery.message.key}"
