"""What surrounds every request: its id, the key, limits of size and time, the log and the metrics."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from salesml_assets.serving.metrics import OTHER
from salesml_assets.serving.problems import ProblemError, problem_response, unavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from salesml_assets.serving.metrics import Metrics
    from salesml_assets.serving.served_log import ServedLog
    from salesml_assets.serving.state import State

LOG = logging.getLogger("salesml.serving.requests")
KEY_HEADER = "X-API-Key"
# Addresses without sales: probes, metrics and the description of the API.
OPEN = ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/oauth2-redirect")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TooLargeError(HTTPException):
    """Raised while the framework reads a body: it hands on nothing else."""

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem


class Guard:
    """The outermost part of the app, in ASGI itself.

    Args:
        app: The app.
        state: Whether the process is to stop.
        metrics: Where requests are counted.
        key: The API key; None: everybody may ask.
        max_body_bytes: Maximum size of a body.
        timeout: Seconds after which a request is given up.
        served_log: Where the answers of an A/B test are noted.
    """

    def __init__(
        self,
        app: ASGIApp,
        state: State,
        metrics: Metrics,
        key: str | None,
        max_body_bytes: int,
        timeout: float,
        served_log: ServedLog,
    ) -> None:
        self._app, self._state, self._metrics, self._served_log = app, state, metrics, served_log
        self._key = key.encode() if key else None
        self._max_bytes, self._timeout = max_body_bytes, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        scope["request_id"] = request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if self._state.draining:
                    # The caller's next request goes to a process that stays.
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def refuse(error: ProblemError) -> None:
            scope["problem"] = error.kind
            await problem_response(error, request_id)(scope, receive, answer)

        try:
            error = self._refusal(scope, headers)
            if error is not None:
                await refuse(error)
                return
            try:
                async with asyncio.timeout(self._timeout):
                    await self._app(scope, self._limited(receive), answer)
            except TimeoutError:
                if status:
                    raise  # half an answer is out: the connection ends
                await refuse(unavailable(f"No answer within {self._timeout:g} seconds."))
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path_format", OTHER)
            self._metrics.count(route, status, seconds)
            fields: dict[str, Any] = {
                "request_id": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * seconds, 2),
            }
            if "problem" in scope:
                fields["problem"] = scope["problem"]
                self._metrics.count_error(scope["problem"])
            if "served" in scope:
                test, served = scope["served"]
                arms = sorted({one.arm for one in served})
                fields |= {"ab_test": test, "arms": arms}
                self._metrics.count_arms(arms)
                self._served_log.add(
                    test, served, request_id=request_id, route=route, status=status, milliseconds=1000 * seconds
                )
            if self._state.model:
                fields["model_version"] = self._state.model.version.version
            LOG.info("request", extra={"fields": fields})

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> ProblemError | None:
        """Why a request is refused before its body is read; None if it is not."""
        if self._key is not None and scope["path"] not in OPEN:
            given = headers.get(KEY_HEADER.lower().encode(), b"")
            if not hmac.compare_digest(given, self._key):
                detail = f"The header {KEY_HEADER} has to contain the API key."
                return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": "ApiKey"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            return self._too_large()
        return None

    def _limited(self, receive: Receive) -> Receive:
        """The body up to the limit, whatever its head said."""
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise TooLargeError(self._too_large())
            return message

        return limited

    def _too_large(self) -> ProblemError:
        return ProblemError(413, "body-too-large", f"Bodies of up to {self._max_bytes:,} bytes are allowed.")
