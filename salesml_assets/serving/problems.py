"""Errors as RFC 9457 describes them: application/problem+json that names the field and shows no stack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from salesml_assets.serving.schemas import FieldError, Problem
from salesml_assets.text import clean

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # a body may be wrong in a hundred thousand places


class ProblemError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: HTTP status.
        kind: Kind of the error, a word.
        detail: A sentence for the caller.
        errors: Field and reason of each fault.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.errors, self.headers = status, kind, detail, errors, headers


def invalid(field: str, reason: str) -> ProblemError:
    """A field of the request is wrong."""
    return ProblemError(422, "invalid-request", f"{field}: {reason}", [(field, reason)])


def unavailable(detail: str) -> ProblemError:
    """The service cannot answer now."""
    return ProblemError(503, "unavailable", detail, headers={"Retry-After": "5"})


def problem_response(error: ProblemError, request_id: str) -> Response:
    """The answer to a failed request."""
    body = Problem(
        type=f"urn:salesml:problem:{error.kind}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=clean(error.detail, 500),
        request_id=request_id,
        errors=[FieldError(field=clean(field), reason=clean(reason)) for field, reason in error.errors],
    )
    return Response(json.dumps(body.model_dump()), error.status, dict(error.headers or {}), MEDIA_TYPE)


def from_validation(problems: Sequence[Any]) -> ProblemError:
    """A body or parameters that are not what the service takes.

    Args:
        problems: Pydantic's errors, with the place inside the body or among the parameters.
    """
    if any(problem["type"] == "json_invalid" for problem in problems):
        reason = str(problems[0].get("ctx", {}).get("error", "it is not JSON"))
        return ProblemError(400, "invalid-json", f"The body is not JSON: {reason}", [("body", reason)])
    faults = {(_path(problem["loc"]), problem["msg"].removeprefix("Value error, ")): None for problem in problems}
    listed = list(faults)[:MAX_ERRORS]
    more = f" (and {len(faults) - len(listed)} more)" if len(faults) > len(listed) else ""
    return ProblemError(422, "invalid-request", f"{listed[0][0]}: {listed[0][1]}{more}", listed)


def from_http(error: HTTPException) -> ProblemError:
    """An error of the framework: unknown address, wrong method, unreadable body."""
    if error.status_code == 400:
        reason = "it cannot be read as JSON: not UTF-8, nested too deeply, or a number of too many digits"
        return ProblemError(400, "invalid-json", f"The body is refused: {reason}", [("body", reason)])
    kinds = {404: "not-found", 405: "method-not-allowed"}
    return ProblemError(error.status_code, kinds.get(error.status_code, "error"), str(error.detail), (), error.headers)


def request_id_of(request: Request) -> str:
    """The id under which the request is logged."""
    return str(request.scope.get("request_id", ""))


def _path(place: Sequence[int | str]) -> str:
    """A field's path as the caller wrote it, without which type was tried."""
    parts = [str(part) for part in place]
    if "planned" in parts:
        parts = parts[: parts.index("planned") + 2]
    return ".".join(parts) or "body"
