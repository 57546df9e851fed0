"""Mails, against real relays on loopback."""

from __future__ import annotations

import datetime as dt
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.config.settings import SMTP_PASSWORD, SMTP_USER, ConfigurationError, NotificationSettings
from salesml_assets.notifications.delivery import DeliveryError, MessageRefused
from salesml_assets.notifications.mailer import Mail, Mailer
from salesml_assets_tests.notifications.relay import PASSWORD, USER, free_port, hanging, relay, slow_relay

pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]
NOON = dt.datetime(2011, 12, 9, 12, tzinfo=dt.UTC)
MAIL = Mail("run 1", NOON, "Umsätze → fertig", "Zeile äöü\n€ 5", "<p>Zeile äöü</p>")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, trusted by this machine."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return authority


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SMTP_USER, USER)
    monkeypatch.setenv(SMTP_PASSWORD, PASSWORD)


def settings(port: int, security: str = "none", **values: object) -> NotificationSettings:
    defaults: dict[str, object] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_security": security,
        "smtp_timeout_seconds": 5,
        "sender": "Sales ML <salesml@example.com>",
        "recipients": ["ann@example.com", "bob@example.com"],
    }
    return NotificationSettings.model_validate(defaults | values)


def mailer(port: int, security: str = "none", **values: object) -> Mailer:
    made = Mailer.from_settings(settings(port, security, **values))
    assert made is not None
    return made


def test_a_plain_relay_gets_a_whole_mail() -> None:
    with relay() as (inbox, port):
        assert mailer(port).send(MAIL) == []
    (got,) = inbox.mails
    assert (got.sender, got.recipients, got.encrypted) == (
        "salesml@example.com", ["ann@example.com", "bob@example.com"], False,
    )  # fmt: skip
    assert got.greeting == "[127.0.0.1]"
    message = got.message
    assert message["Subject"] == MAIL.subject
    assert message["To"] == "ann@example.com, bob@example.com"
    assert parsedate_to_datetime(message["Date"]) == NOON
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert got.body("plain").splitlines() == MAIL.text.splitlines()
    assert got.body("html").strip() == MAIL.html
    assert got.raw.isascii()
    assert max(map(len, got.raw.split(b"\r\n"))) <= 998


def test_the_same_event_has_the_same_message_id() -> None:
    with relay() as (inbox, port):
        for key in ("run 1", "run 1", "run 2"):
            mailer(port).send(Mail(key, NOON, "s", "t", "h"))
    first, again, other = (mail.message["Message-ID"] for mail in inbox.mails)
    assert first == again != other


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_with_a_login(security: str, trusted: trustme.CA, login: None) -> None:
    with relay(security=security, certificate=trusted.issue_cert("127.0.0.1"), login=True) as (inbox, port):
        mailer(port, security).send(MAIL)
    (got,) = inbox.mails
    assert (got.encrypted, got.user) == (True, USER)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_certificate_that_cannot_be_trusted_is_refused(
    security: str, wrong: str, authority: trustme.CA, request: pytest.FixtureRequest, login: None
) -> None:
    if wrong == "name":
        request.getfixturevalue("trusted")
    certificate = authority.issue_cert("127.0.0.1" if wrong == "authority" else "mail.example.org")
    with relay(security=security, certificate=certificate, login=True) as (inbox, port):
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
            mailer(port, security).send(MAIL)
        assert inbox.mails == []


def test_without_starttls_nothing_is_sent(login: None) -> None:
    with relay(login=True) as (inbox, port), pytest.raises(DeliveryError, match="STARTTLS"):
        mailer(port, "starttls").send(MAIL)
    assert inbox.mails == []


def test_a_login_on_this_machine_needs_no_encryption(login: None) -> None:
    with relay(login=True) as (inbox, port):
        mailer(port).send(MAIL)
    assert [mail.user for mail in inbox.mails] == [USER]


def test_a_wrong_password_is_a_failed_delivery_that_does_not_show_it(
    trusted: trustme.CA, login: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SMTP_PASSWORD, "something-else")
    with (
        relay(security="starttls", certificate=trusted.issue_cert("127.0.0.1"), login=True) as (inbox, port),
        pytest.raises(DeliveryError, match=r"535 5\.7\.8") as caught,
    ):
        mailer(port, "starttls").send(MAIL)
    assert inbox.mails == []
    assert not isinstance(caught.value, MessageRefused)
    assert "something-else" not in str(caught.value)


def test_a_relay_that_wants_a_login_and_gets_none() -> None:
    with relay(login=True) as (_, port), pytest.raises(DeliveryError, match="530"):
        mailer(port).send(MAIL)


def test_nobody_listens() -> None:
    with pytest.raises(DeliveryError, match="refused"):
        mailer(free_port()).send(MAIL)


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_a_relay_that_hangs_is_given_up_in_time(security: str) -> None:
    with hanging() as port:
        begun = time.monotonic()
        with pytest.raises(DeliveryError, match="timed out"):
            mailer(port, security).send(MAIL, 0.5)
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(("pause", "reached"), [(0.3, b"mail"), (0.8, b"ehlo")])
def test_a_slow_relay_is_given_up_in_time_and_gets_no_mail_later(pause: float, reached: bytes) -> None:
    with slow_relay(pause) as (commands, port):
        begun = time.monotonic()
        with pytest.raises(DeliveryError):
            mailer(port, smtp_timeout_seconds=1.0).send(MAIL)
        assert time.monotonic() - begun < 1.4
    assert any(command.startswith(reached) for command in commands)
    assert not any(b"Subject" in command for command in commands)


def test_a_bad_farewell_is_no_failure() -> None:
    with relay() as (inbox, port):
        inbox.rude = True
        assert mailer(port).send(MAIL) == []
    assert len(inbox.mails) == 1


def test_a_refused_mail_is_told_from_a_relay_that_is_down() -> None:
    with relay() as (inbox, port):
        inbox.refuse_subjects = {MAIL.subject}
        with pytest.raises(MessageRefused, match=r"554 5\.7\.1 this looks like spam"):
            mailer(port).send(MAIL)
        inbox.refuse = {"ann@example.com"}
        assert mailer(port).send(Mail("k", NOON, "s", "t", "h")) == ["ann@example.com: 550 5.1.1 nobody of that name"]
        inbox.refuse |= {"bob@example.com"}
        with pytest.raises(MessageRefused, match="nobody of that name"):
            mailer(port).send(Mail("k", NOON, "s", "t", "h"))
    assert [mail.recipients for mail in inbox.mails] == [["bob@example.com"]]


@given(text=st.text())
def test_no_text_can_add_a_header(text: str) -> None:
    mail = Mail(text, NOON, f"a{text}\r\nBcc: eve@example.com\r\n\r\nbody{text}", text, text)
    message = mailer(25)._message(mail)
    raw = message.as_bytes()
    head, _, _ = raw.partition(b"\r\n\r\n")
    names = {line.partition(b":")[0] for line in head.split(b"\r\n") if not line[:1].isspace()}
    assert names == {
        b"Subject", b"From", b"To", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version", b"Content-Type",
    }  # fmt: skip
    assert raw.isascii()


def test_nobody_to_tell() -> None:
    assert Mailer.from_settings(NotificationSettings(smtp_host="mail.example.com")) is None
    assert Mailer.from_settings(NotificationSettings(recipients=["ann@example.com"])) is None


@pytest.mark.parametrize("host", ["mail.example.com", "10.0.0.1", "localhost.example.com"])
def test_a_password_never_goes_out_in_the_clear(host: str, login: None) -> None:
    with pytest.raises(ConfigurationError, match=r"notifications\.smtp_security") as caught:
        mailer(25, smtp_host=host)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"sender": "salesml"},
        {"sender": "a@example.com\r\nBcc: eve@example.com"},
        {"sender": ""},
        {"recipients": ["ann@example.com, bob@example.com"]},
        {"recipients": ["ann@example.com", "<>"]},
        {"recipients": ["ann@exam\nple.com"]},
    ],
)
def test_bad_addresses_name_their_key(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=f"notifications.{next(iter(values))}"):
        mailer(25, **values)


def test_half_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SMTP_USER, USER)
    with pytest.raises(ConfigurationError, match=SMTP_PASSWORD):
        mailer(25)
    monkeypatch.setenv(SMTP_PASSWORD, "pässwort")
    with pytest.raises(ConfigurationError, match="ASCII") as caught:
        mailer(25)
    assert "pässwort" not in str(caught.value)
