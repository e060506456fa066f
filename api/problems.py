"""Every error as OpenAI's envelope: ``{"error": {"message", "type", "param", "code"}}``, all four keys always there.

The HTTP status of each deliberate error is decided here, in one table, and nowhere else.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from afinador.errors import (
    AfinadorError,
    AuthenticationError,
    CheckpointDamagedError,
    DataError,
    InsufficientStorageError,
    InvalidRequestError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    RequestTooLargeError,
    ServiceUnavailableError,
    StorageError,
    nearest,
)
from afinador.wording import demand, shown

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 4000
RETRY_AFTER_SECONDS = 2

STATUS_AND_TYPE: dict[type[AfinadorError], tuple[int, str]] = {
    RequestTooLargeError: (413, "invalid_request_error"),
    InvalidRequestError: (400, "invalid_request_error"),
    DataError: (400, "invalid_request_error"),
    ModelError: (400, "invalid_request_error"),
    CheckpointDamagedError: (400, "invalid_request_error"),
    AuthenticationError: (401, "authentication_error"),
    PermissionDeniedError: (403, "permission_error"),
    NotFoundError: (404, "invalid_request_error"),
    InsufficientStorageError: (507, "server_error"),
    StorageError: (503, "server_error"),
    ServiceUnavailableError: (503, "server_error"),
    AfinadorError: (500, "server_error"),
}
"""Status and ``type`` of each class of errors; the nearest base class in this table counts."""


def envelope(
    status: int, message: str, type: str, *, param: str | None = None, code: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Build an error's answer."""
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
    error = {"message": message, "type": type, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers)


def answer_to(error: AfinadorError) -> JSONResponse:
    """Build the answer to a deliberate error.

    503 says that trying again helps, 507 that it does not; without these headers the ``openai`` client would guess.
    """
    status, type_ = next(STATUS_AND_TYPE[base] for base in type(error).__mro__ if base in STATUS_AND_TYPE)
    headers = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status >= 500:
        headers["x-should-retry"] = "true" if status == 503 else "false"
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return envelope(status, error.message, type_, param=error.param, code=error.code, headers=headers)


def unexpected(request_id: str) -> JSONResponse:
    """Build the answer to a fault of ours; what happened stands in the log under the request's id."""
    return envelope(
        500,
        f"The service made an error. Its log holds the details under {request_id}; tell the operator this id.",
        "server_error",
        code="internal_error",
        headers={"x-should-retry": "false"},
    )


def install(app: FastAPI) -> None:
    """Make the application answer all its errors with the envelope."""
    app.add_exception_handler(AfinadorError, _on_deliberate)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OperationalError, _on_silent_ledger)


def _on_deliberate(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AfinadorError)
    answer = answer_to(error)
    if answer.status_code >= 500:
        logger.warning("%s %s: %s", request.method, request.url.path, error.message)
    return answer


def _on_silent_ledger(request: Request, error: Exception) -> JSONResponse:
    """Answer when the database does not; what it says may hold addresses and values, so only the log has it."""
    logger.error("%s %s: the ledger does not answer", request.method, request.url.path, exc_info=error)
    return answer_to(ServiceUnavailableError("The ledger's database does not answer; try again in some seconds."))


def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer a bad query or path parameter: 400 as OpenAI does, not FastAPI's 422."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    field = str(first["loc"][-1])
    said = "is required" if first["type"] == "missing" else f"is {shown(first['input'])}; {demand(first)}"
    return answer_to(InvalidRequestError(f"The parameter {field!r} {said}.", param=field))


def _on_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what the router itself refuses: unknown routes and methods."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        message = f"There is no route {path!r}.{nearest(path, _known_paths(request.app, path))} See /docs for all."
        return envelope(404, message, "invalid_request_error", code="unknown_route")
    if error.status_code == 405:
        allowed = _allowed_methods(request.app, path)
        message = f"{request.method} is not possible on {path!r}; allowed: {', '.join(allowed)}."
        headers = {"allow": ", ".join(allowed)}
        return envelope(405, message, "invalid_request_error", code="method_not_allowed", headers=headers)
    kind = "server_error" if error.status_code >= 500 else "invalid_request_error"
    return envelope(error.status_code, str(error.detail), kind, code="http_error", headers=dict(error.headers or {}))


def _known_paths(app: FastAPI, like: str) -> list[str]:
    """Return all described paths, with or without the prefix as the asked one has it."""
    paths = [*app.openapi()["paths"]]
    return paths if like.startswith("/v1") else [path.removeprefix("/v1") for path in paths]


def _allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of the described paths that fit, those that fit most narrowly first asked."""
    described = app.openapi()["paths"]
    for placeholder in ("[^/]+", ".+"):
        fitting = [
            methods
            for template, methods in described.items()
            if re.fullmatch(re.sub(r"\{[^}]+\}", placeholder, template), f"/v1/{path.lstrip('/').removeprefix('v1/')}")
        ]
        if fitting:
            return sorted({method.upper() for methods in fitting for method in methods})
    return ["GET"]
