"""What surrounds every request: its id, the last net under unexpected errors, and answers that reach their reader."""

from __future__ import annotations

import logging
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import unexpected

logger = logging.getLogger(__name__)

MAX_DRAINED_BYTES = 2_000_000_000


class RequestFrame:
    """ASGI middleware, the outermost of ours.

    Every answer carries ``x-request-id``. A trailing slash of a path means nothing. An exception that nobody foresaw
    is logged under the request's id and answered without detail. An answer given while the body still arrives (a wrong
    key, a file that is too large) waits until the body was read: otherwise the connection breaks under the client's
    hands before it reads why.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other protocols pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        request_id = f"req_{secrets.token_hex(12)}"
        exchange = _Exchange(scope, receive, send, request_id)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            logger.info("%s: the client went away.", request_id)
        except Exception:
            logger.exception("%s: unexpected error in %s %s", request_id, scope["method"], scope["path"])
            if not exchange.is_answered:
                await unexpected(request_id)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._receive, self._send = receive, send
        self._request_id = request_id
        headers = Headers(scope=scope)
        self._has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._waits_for_permission = headers.get("expect", "").lower() == "100-continue"
        self.is_answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._waits_for_permission = False
        if not message.get("more_body"):
            self._has_body = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_answered = True
            MutableHeaders(scope=message)["x-request-id"] = self._request_id
            await self._drain()
        await self._send(message)

    async def _drain(self) -> None:
        drained_bytes = 0
        while self._has_body and not self._waits_for_permission and drained_bytes < MAX_DRAINED_BYTES:
            drained_bytes += len((await self.receive()).get("body", b""))
