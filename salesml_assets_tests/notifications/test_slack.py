"""Slack's webhook, against a real web server on loopback."""

from __future__ import annotations

import time

import pytest

from salesml_assets.config.settings import SLACK_WEBHOOK, ConfigurationError
from salesml_assets.notifications.delivery import DeliveryError, MessageRefused
from salesml_assets.notifications.slack import SlackWebhook, escaped
from salesml_assets_tests.notifications.relay import free_port, hanging, webhook

SECRET = "secret-of-the-webhook"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.stack
def test_the_text_arrives() -> None:
    with webhook() as hook:
        SlackWebhook(hook.url).post(f"*bold* {escaped('<!channel> & ü')}")
    assert hook.texts == ["*bold* &lt;!channel&gt; &amp; ü"]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, DeliveryError), (404, DeliveryError), (429, DeliveryError), (302, DeliveryError), (400, MessageRefused)],
)
def test_any_other_answer_is_a_failure(status: int, kind: type[DeliveryError]) -> None:
    with webhook(status) as hook, pytest.raises(DeliveryError, match=f"{status} sorry") as caught:
        SlackWebhook(hook.url).post("text")
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value)
    assert hook.texts == []


@pytest.mark.stack
def test_slack_hangs() -> None:
    begun = time.monotonic()
    with hanging() as port, pytest.raises(DeliveryError, match="ReadTimeout") as caught:
        SlackWebhook(f"http://127.0.0.1:{port}/{SECRET}").post("text", 0.5)
    assert time.monotonic() - begun < 2
    assert SECRET not in str(caught.value)


def test_nobody_listens() -> None:
    with pytest.raises(DeliveryError, match="ConnectionError") as caught:
        SlackWebhook(f"http://127.0.0.1:{free_port()}/{SECRET}").post("text")
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_environment_names_the_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SlackWebhook.from_environment() is None
    monkeypatch.setenv(SLACK_WEBHOOK, "")
    assert SlackWebhook.from_environment() is None
    monkeypatch.setenv(SLACK_WEBHOOK, f"https://hooks.slack.com/services/{SECRET}")
    found = SlackWebhook.from_environment()
    assert found is not None
    assert found.url.endswith(SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize("url", [f"http://hooks.slack.com/{SECRET}", f"hooks.slack.com/{SECRET}", f"https://[{SECRET}"])
def test_a_webhook_is_encrypted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SLACK_WEBHOOK, url)
    with pytest.raises(ConfigurationError, match=SLACK_WEBHOOK) as caught:
        SlackWebhook.from_environment()
    assert SECRET not in str(caught.value)
