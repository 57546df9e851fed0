"""What mailer and Slack have in common: how they fail, and which hosts are this machine."""

from __future__ import annotations

import ipaddress


class DeliveryError(Exception):
    """The channel is down or turns us away, so any other message would fail, too; the text holds no secret."""


class MessageRefused(DeliveryError):
    """The channel works, but does not take this message."""


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("mail.example.com")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
