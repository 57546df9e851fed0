"""Messages that wait for their channel: delivered once to each, tried again while it is down, given up in the end.

That a channel took a message is noted at once, in Dagster's own key-value store, and not only with the sensor's cursor
at the end of its evaluation: a daemon that dies in between does not send it again. What is left is the moment between
a relay's "accepted" and that note; both mails then carry the same Message-ID.
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

# Seconds to wait after each failed attempt; after one more than these, about a day later, the message is given up.
WAITS = (0, 0, 0, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
ATTEMPTS = len(WAITS) + 1
MOST_WAITING, MOST_REMEMBERED = 300, 1000
# Dagster ends a sensor's evaluation after 60 seconds, and would then forget its cursor.
DELIVERY_SECONDS, LEAST_SECONDS = 40.0, 3.0

Send = Callable[[Message, float], list[str]]
"""Sends a message within so many seconds; returns what went wrong for a part of its recipients."""


class Delivery(BaseModel):
    """A message on its way to one channel; `due` is when it is tried next, in seconds since the epoch."""

    message: Message
    channel: str
    attempts: int = 0
    due: float = 0.0


class Delivered:
    """Which messages were delivered to which channel, the latest `MOST_REMEMBERED` of them, written through.

    Args:
        store: Where it is kept.
        name: Its key there.
    """

    def __init__(self, store: DaemonCursorStorage, name: str) -> None:
        self._store, self._key = store, f"salesml/{name}/delivered"
        self._known: list[str] = json.loads(store.get_cursor_values({self._key}).get(self._key, "[]"))

    def __contains__(self, delivery: Delivery) -> bool:
        return _name(delivery) in self._known

    def add(self, delivery: Delivery) -> None:
        """Notes a delivery, durably."""
        self._known = [*self._known, _name(delivery)][-MOST_REMEMBERED:]
        self._store.set_cursor_values({self._key: json.dumps(self._known)})


@dataclass
class Outbox:
    """The messages of one sensor.

    Attributes:
        waiting: Messages on their way, the oldest first.
        channels: How each channel sends.
        delivered: What was delivered.
        log: Says what went wrong.
        now: The time, in seconds since the epoch.
        sent: How many messages went out.
    """

    waiting: list[Delivery]
    channels: Mapping[str, Send]
    delivered: Delivered
    log: logging.Logger
    now: float = field(default_factory=time.time)
    sent: int = 0

    def add(self, message: Message) -> None:
        """Takes a message for all channels, unless it was delivered or waits already."""
        known = {_name(delivery) for delivery in self.waiting}
        for channel in self.channels:
            delivery = Delivery(message=message, channel=channel)
            if delivery not in self.delivered and _name(delivery) not in known:
                self.waiting.append(delivery)

    def deliver(self) -> None:
        """Sends what is due, as far as time allows; what fails waits for a later call."""
        end = time.monotonic() + DELIVERY_SECONDS
        for channel in {delivery.channel: None for delivery in self.waiting}:
            queue = [delivery for delivery in self.waiting if delivery.channel == channel]
            if channel in self.channels:
                self._work_off(queue, self.channels[channel], end)
            else:
                for delivery in queue:
                    self._give_up(delivery, "is no longer set up")
        for delivery in self.waiting[:-MOST_WAITING]:
            self._give_up(delivery, f"has more than {MOST_WAITING} messages waiting")

    def _work_off(self, queue: list[Delivery], send: Send, end: float) -> None:
        up = False
        for delivery in sorted(queue, key=lambda delivery: delivery.due):
            left = end - time.monotonic()
            # A channel that works again gets all that waited for it.
            if left < LEAST_SECONDS or not (up or delivery.due <= self.now):
                return
            try:
                problems = send(delivery.message, left)
            except MessageRefused as refusal:
                up = True
                self._failed(delivery, refusal)
            except DeliveryError as failure:
                # The others would fare no better, and might each take as long.
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
                    self.log.error(f"{delivery.channel}: not everybody got '{delivery.message.title}': {problem}")

    def _failed(self, delivery: Delivery, error: DeliveryError) -> None:
        delivery.attempts += 1
        if delivery.attempts >= ATTEMPTS:
            self._give_up(delivery, f"failed {delivery.attempts} times: {error}")
            return
        delivery.due = self.now + WAITS[delivery.attempts - 1]
        self.log.warning(
            f"{delivery.channel}: attempt {delivery.attempts} of {ATTEMPTS} for '{delivery.message.title}': {error}"
        )

    def _give_up(self, delivery: Delivery, why: str) -> None:
        self.waiting.remove(delivery)
        self.log.error(f"'{delivery.message.title}' is given up: {delivery.channel} {why}")


def _name(delivery: Delivery) -> str:
    return f"{delivery.channel}:{delivery.message.key}"
