"""What both connections share: how httpx is set up, what is sent again and when, what to say when nobody answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

import afinador
from afinador.client.access import Access
from afinador.client.calls import Call
from afinador.errors import (
    AfinadorError,
    AuthenticationError,
    InvalidRequestError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

Progress = Callable[[int, int], None]
"""Told now and then: bytes done, bytes in all."""

CHUNK_BYTES = 1 << 18
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
_AWAY = (502, 503, 504)
_BUSY = 429


def http_options(access: Access, timeout_seconds: float) -> dict[str, Any]:
    """Return what a client of httpx is made with.

    Raises:
        InvalidRequestError: The address is none.
    """
    try:
        base_url = httpx.URL(f"{access.root_url}/v1")
        if base_url.scheme not in ("http", "https") or not base_url.host:
            raise httpx.InvalidURL("it must start with http:// or https://")
    except httpx.InvalidURL as error:
        raise InvalidRequestError(f"AFINADOR_BASE_URL is {access.base_url!r}: {error}.") from error
    return {
        "base_url": base_url,
        "headers": {"user-agent": f"afinador/{afinador.__version__}"},
        "timeout": httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds)),
        # Certificates are read only where they are looked at: it takes 60 ms.
        "verify": base_url.scheme == "https",
        # A proxy of the environment cannot reach this machine's own service.
        "trust_env": not access.is_on_this_machine,
    }


def reading_fields(reading: DatasetReading | None) -> dict[str, str]:
    """Return the form fields that declare how a file is to be read."""
    declared = reading.to_json() if reading else {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in declared.items()}


def request_options(call: Call, access: Access) -> dict[str, Any]:
    """Return what a request of httpx is made with, for a call and the key it is signed with.

    Raises:
        InvalidRequestError: The body holds what JSON cannot say, or the key what no header may hold.
    """
    key = access.key_for(call)
    _require_sendable(call, key)
    own = {} if call.timeout_seconds is None else {"timeout": httpx.Timeout(call.timeout_seconds, connect=5.0)}
    return {
        **own,
        "method": call.method,
        "url": call.path,
        "params": {name: value for name, value in call.params.items() if value is not None},
        "json": call.body,
        "content": call.content,
        "headers": {"authorization": f"Bearer {key}"} if key else None,
    }


def _require_sendable(call: Call, key: str | None) -> None:
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InvalidRequestError("The API key holds characters that no key has. Copy it again.", param="api_key")
    try:
        json.dumps(call.body, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The request cannot be written as JSON ({error}): numbers must be finite, and nothing may hold itself."
        ) from error


def may_be_sent_again(call: Call, error: httpx.TransportError) -> bool:
    """Tell whether a call that got no answer does no harm when it is sent once more."""
    return call.is_repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def is_worth_another_try(call: Call, answer: httpx.Response) -> bool:
    """Tell whether an answer may be another one next time, and asking does no harm."""
    if answer.status_code not in (*_AWAY, _BUSY) or answer.headers.get("x-should-retry") == "false":
        return False
    was_not_taken = answer.status_code == _BUSY or answer.headers.get("x-should-retry") == "true"
    return call.is_repeatable or was_not_taken


def pause_seconds(attempt: int, asked: str | None = None) -> float:
    """Return how long to wait before the next try.

    Args:
        attempt: Tries before this one, from 0.
        asked: The answer's ``retry-after``, if it has one.
    """
    if asked and asked.isdigit():
        return min(float(asked), LONGEST_PAUSE_SECONDS)
    return FIRST_PAUSE_SECONDS * 2.0**attempt


def reason_of(error: httpx.TransportError) -> str:
    """Say in a few words why no answer came."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def away(access: Access, error: httpx.TransportError) -> ServiceUnavailableError:
    """Build the error that nobody answers."""
    return ServiceUnavailableError(
        f"No Afinador service answers at {access.root_url} ({reason_of(error)}). Start one with 'afinador up', "
        "or say with AFINADOR_BASE_URL where it is."
    )


def with_remedy(error: AfinadorError, call: Call, access: Access) -> AfinadorError:
    """Name the variable to set, where the reason is that no key was sent at all."""
    if isinstance(error, AuthenticationError) and not access.key_for(call):
        names = "AFINADOR_OPERATOR_KEY" if call.as_operator else "AFINADOR_API_KEY"
        error.message = f"{error.message} Set {names}."
        error.args = (error.message,)
    return error


class CountedFile:
    """A file that says how much of it was read."""

    def __init__(self, stream: BinaryIO, size: int, on_progress: Progress | None) -> None:
        self._stream, self._size, self._on_progress = stream, size, on_progress

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        chunk = self._stream.read(size)
        if self._on_progress:
            self._on_progress(self._stream.tell(), self._size)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._stream.tell()

    def fileno(self) -> int:
        """Return the descriptor, of which httpx reads the size."""
        return self._stream.fileno()
