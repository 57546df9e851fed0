"""Servers on loopback for the tests of mails and of Slack: real ones, and some that misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "sales", "p4ss-w0rd-of-the-relay"


@dataclass
class Received:
    """A mail as the relay got it."""

    raw: bytes
    sender: str
    recipients: list[str]
    encrypted: bool
    user: str | None
    greeting: str

    @property
    def message(self) -> EmailMessage:
        return cast(EmailMessage, message_from_bytes(self.raw, policy=policy.default))

    def body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


@dataclass
class Inbox:
    """What a relay received, and whom it refuses."""

    mails: list[Received] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    refuse_subjects: set[str] = field(default_factory=set)
    rude: bool = False

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refuse:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        mail = Received(
            envelope.content or b"", envelope.mail_from or "", list(envelope.rcpt_tos), encrypted,
            session.auth_data.login.decode() if session.auth_data else None, str(session.host_name),
        )  # fmt: skip
        if mail.message["Subject"] in self.refuse_subjects:
            return "554 5.7.1 this looks like spam"
        self.mails.append(mail)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return "500 no" if self.rude else "221 Bye"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False, auth_data=data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def relay(
    port: int | None = None,
    security: str = "none",
    certificate: trustme.LeafCert | None = None,
    login: bool = False,
) -> Iterator[tuple[Inbox, int]]:
    """An SMTP server: what it received, and its port."""
    inbox, port = Inbox(), port or free_port()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
    options: dict[str, Any] = {"auth_required": True, "authenticator": authenticate} if login else {}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    elif login:
        options["auth_require_tls"] = False  # without STARTTLS, aiosmtpd does not see that TLS is there
    server = Controller(
        inbox, "127.0.0.1", port, ssl_context=context if security == "tls" else None, server_hostname="relay", **options
    )
    server.start()
    try:
        yield inbox, port
    finally:
        server.stop()


@contextmanager
def hanging() -> Iterator[int]:
    """A server that takes connections and never says a word: its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def slow_relay(pause: float) -> Iterator[tuple[list[bytes], int]]:
    """A relay that thinks before each answer: the commands it got, and its port."""
    commands: list[bytes] = []

    def serve(server: socket.socket) -> None:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # the test is over
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(b"220 slow\r\n")
                for line in lines:
                    commands.append(line)
                    time.sleep(pause)
                    connection.sendall(b"354 go on\r\n" if line.startswith(b"data") else b"250 OK\r\n")
            except OSError:
                return  # the client had enough

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield commands, int(server.getsockname()[1])


@dataclass
class Webhook:
    """A Slack webhook: what it received and what it answers."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)


@contextmanager
def webhook(status: int = 200) -> Iterator[Webhook]:
    """A web server that takes what Slack's webhook takes."""
    hook = Webhook(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status == 200:
                hook.texts.append(json.loads(body)["text"])
            answer = b"ok" if hook.status == 200 else b"sorry"
            self.send_response(hook.status)
            self.send_header("Content-Length", str(len(answer)))
            if 300 <= hook.status < 400:
                self.send_header("Location", hook.url)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/secret-of-the-webhook"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
