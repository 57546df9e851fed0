"""Sends mails by SMTP.

Certificates are verified against the machine's trust store (further authorities by SSL_CERT_FILE). A password leaves
this machine encrypted or not at all. The time limit applies to the whole conversation with the relay.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import smtplib
import ssl
import time
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from salesml_assets.config.settings import SMTP_PASSWORD, SMTP_USER, ConfigurationError, NotificationSettings
from salesml_assets.notifications.delivery import DeliveryError, MessageRefused, is_loopback
from salesml_assets.text import clean, masked

SUBJECT_WIDTH = 150


@dataclass(frozen=True)
class Mail:
    """A mail without its envelope.

    Attributes:
        key: Identity of the mail. The Message-ID is derived from it, so that a mail sent twice (the connection broke
            before the relay's final answer) is recognised as one by the recipient.
        time: Time of the reported event.
        subject: One line.
        text: The body as plain text.
        html: The body as HTML.
    """

    key: str
    time: dt.datetime
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Mailer:
    """Sends mails through the relay of the settings.

    Attributes:
        settings: Host, port, security, sender and recipients.
        user: User at the relay; None to send without a login.
        password: The user's password.
    """

    settings: NotificationSettings
    user: str | None = None
    password: str | None = None

    @classmethod
    def from_settings(cls, settings: NotificationSettings) -> Mailer | None:
        """The mailer, with user and password from the environment; None without a relay or without recipients.

        Raises:
            ConfigurationError: An address is invalid, or a password would be sent unencrypted.
        """
        if not settings.smtp_host or not settings.recipients:
            return None
        _address(settings.sender, "notifications.sender")
        for recipient in settings.recipients:
            _address(recipient, "notifications.recipients")
        user, password = (os.environ.get(variable) or None for variable in (SMTP_USER, SMTP_PASSWORD))
        if (user is None) != (password is None):
            raise ConfigurationError(f"{SMTP_PASSWORD if user else SMTP_USER} is missing: a login needs both")
        if not f"{user}{password}".isascii():
            raise ConfigurationError(f"{SMTP_USER}, {SMTP_PASSWORD}: a login can have ASCII characters only")
        if password and settings.smtp_security == "none" and not is_loopback(settings.smtp_host):
            raise ConfigurationError(
                f"notifications.smtp_security: with 'none' the password ({SMTP_PASSWORD}) would go to "
                f"{clean(settings.smtp_host)} in the clear; set it to 'starttls' or 'tls', or send without a login"
            )
        return cls(settings, user, password)

    def send(self, mail: Mail, seconds: float | None = None) -> list[str]:
        """Sends the mail to all recipients.

        Args:
            mail: The mail.
            seconds: Time limit of the whole conversation, if less than the settings'.

        Returns:
            Recipients that the relay refused, with its reasons, if it accepted the mail for others.

        Raises:
            MessageRefused: The relay works, but rejects this mail.
            DeliveryError: The relay is down, times out, has no valid certificate, or refuses the login.
        """
        limit = self.settings.smtp_timeout_seconds
        deadline = time.monotonic() + (limit if seconds is None else min(limit, seconds))
        try:
            with contextlib.closing(self._connect(deadline)) as session:
                refused = self._hand_over(session, mail)
                # The relay has accepted the mail: an error in QUIT must not cause a second mail.
                with contextlib.suppress(OSError):
                    session.quit()
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise MessageRefused(f"{self._relay} refused the mail: {_reason(error)}") from error
        except (OSError, UnicodeError) as error:
            raise DeliveryError(f"{self._relay}: {_reason(error)}") from error
        return [f"{clean(recipient)}: {_answer(*answer)}" for recipient, answer in refused.items()]

    @property
    def _relay(self) -> str:
        return f"{clean(self.settings.smtp_host)}:{self.settings.smtp_port}"

    def _connect(self, deadline: float) -> smtplib.SMTP:
        assert self.settings.smtp_host is not None
        trust = ssl.create_default_context()
        address = self.settings.smtp_host, self.settings.smtp_port
        if self.settings.smtp_security == "tls":
            return _TlsSession(deadline, *address, context=trust)
        session = _PlainSession(deadline, *address)
        try:
            if self.settings.smtp_security == "starttls":
                session.starttls(context=trust)
        except BaseException:
            session.close()
            raise
        return session

    def _hand_over(self, session: smtplib.SMTP, mail: Mail) -> dict[str, tuple[int, bytes]]:
        if self.user and self.password:
            session.login(self.user, self.password)
        return session.send_message(self._message(mail))

    def _message(self, mail: Mail) -> EmailMessage:
        domain = _address(self.settings.sender, "notifications.sender")
        identity = f"{hashlib.sha256(mail.key.encode()).hexdigest()[:32]}@{domain if domain.isascii() else 'localhost'}"
        message = EmailMessage(policy.SMTP)
        message["Subject"] = clean(mail.subject, SUBJECT_WIDTH)
        message["From"] = self.settings.sender
        message["To"] = ", ".join(self.settings.recipients)
        message["Date"] = format_datetime(mail.time)
        message["Message-ID"] = f"<{identity}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        # Quoted-printable keeps lines short and the transport at seven bits, whatever the texts contain.
        message.set_content(_encodable(mail.text), cte="quoted-printable")
        message.add_alternative(_encodable(mail.html), subtype="html", cte="quoted-printable")
        return message


class _DeadlineSession(smtplib.SMTP):
    """An SMTP session with a deadline for the whole conversation.

    smtplib's own timeout applies to each answer separately, so a slow relay could take minutes.
    """

    def __init__(self, deadline: float, host: str, port: int, **options: Any) -> None:
        self._deadline = deadline
        # Without a name, smtplib resolves this machine's host name, which may take long.
        super().__init__(host, port, local_hostname="[127.0.0.1]", timeout=max(0.1, self._left()), **options)
        if self.sock is not None:
            own = self.sock.getsockname()[0]
            self.local_hostname = f"[IPv6:{own}]" if ":" in own else f"[{own}]"

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def getreply(self) -> tuple[int, bytes]:
        if self._left() <= 0:
            self.close()
            raise TimeoutError("the relay takes too long")
        if self.sock is not None:
            self.sock.settimeout(self._left())
        return super().getreply()


class _PlainSession(_DeadlineSession):
    """Unencrypted until STARTTLS."""


class _TlsSession(_DeadlineSession, smtplib.SMTP_SSL):
    """Encrypted from the start."""


def _address(text: str, key: str) -> str:
    """The domain of a mail address.

    Raises:
        ConfigurationError: The text is not one address.
    """
    try:
        parsed = policy.SMTP.header_factory("to", text)
        addresses = parsed.addresses
    except (ValueError, IndexError):
        addresses = ()
    if len(addresses) != 1 or not addresses[0].domain or parsed.defects or not text.isprintable():
        raise ConfigurationError(f"{key}: {clean(text)!r} is not a mail address")
    return str(addresses[0].domain)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{clean(recipient)}: {_answer(*answer)}" for recipient, answer in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    return clean(masked(str(error) or type(error).__name__))


def _answer(code: int, text: bytes | str) -> str:
    """The relay's answer as text."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {clean(masked(words))}"
