"""Errors common to mailer and Slack, and the test for loopback hosts."""

from __future__ import annotations

import ipaddress


class DeliveryError(Exception):
    """The channel is down or rejects us, so every message would fail; the text contains no secret."""


class MessageRefused(DeliveryError):
    """The channel works, but rejects this message."""


def is_loopback(host: str) -> bool:
    """Whether traffic to this host stays on this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("mail.example.com")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
