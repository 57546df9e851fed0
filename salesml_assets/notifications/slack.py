"""Posts short texts to a Slack channel by its incoming webhook. The webhook's address is a secret and never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from salesml_assets.config.settings import SLACK_WEBHOOK, ConfigurationError
from salesml_assets.notifications.delivery import DeliveryError, MessageRefused, is_loopback
from salesml_assets.text import clean

TIMEOUT_SECONDS = 10.0
BAD_PAYLOAD = {400, 413}


@dataclass(frozen=True)
class SlackWebhook:
    """Posts to a webhook.

    Attributes:
        url: Its address.
    """

    url: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> SlackWebhook | None:
        """The webhook from the environment; None if it is not set.

        Raises:
            ConfigurationError: It is not an https address; http is accepted for this machine only.
        """
        url = os.environ.get(SLACK_WEBHOOK)
        if not url:
            return None
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            host = ""
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
            raise ConfigurationError(f"{SLACK_WEBHOOK}: a webhook address has to start with https://")
        return cls(url)

    def post(self, text: str, seconds: float = TIMEOUT_SECONDS) -> None:
        """Posts a text in Slack's markup; pass text from elsewhere through `escaped`.

        Args:
            text: The text.
            seconds: Time limit for the connection and for the answer, each.

        Raises:
            MessageRefused: Slack works, but rejects this text.
            DeliveryError: Slack is down, times out, or does not know the webhook.
        """
        import requests

        try:
            with requests.post(
                self.url, json={"text": text}, timeout=min(seconds, TIMEOUT_SECONDS), allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
                body = (
                    ""
                    if status == requests.codes.ok
                    else next(answer.iter_content(200), b"").decode("utf-8", "replace")
                )
        except requests.RequestException as error:
            # The text of the error holds the webhook's address.
            raise DeliveryError(f"Slack cannot be reached ({type(error).__name__})") from None
        if status != requests.codes.ok:
            kind = MessageRefused if status in BAD_PAYLOAD else DeliveryError
            raise kind(f"Slack answered {status} {clean(body)}")


def escaped(text: str) -> str:
    """The text escaped for Slack, so that it contains no mentions and links (Slack: "Escaping text").

    >>> escaped("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
