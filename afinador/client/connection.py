"""Sends calls to the service and brings back what it answers, as plain dictionaries, text or bytes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import httpx

import afinador
from afinador.client.access import Access
from afinador.client.answers import error_from
from afinador.client.calls import Call
from afinador.errors import (
    AfinadorError,
    AuthenticationError,
    InvalidRequestError,
    ServiceUnavailableError,
    StorageError,
)

Progress = Callable[[int, int], None]
"""Told now and then: bytes done, bytes in all."""

CHUNK_BYTES = 1 << 18
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
_AWAY = (502, 503)


class Connection:
    """A connection to one service.

    What can be sent twice without harm is tried again when the service does not answer, or answers 502 or 503. What
    creates something is tried again only when it certainly was not taken: no connection came about, or the service
    itself said 503.

    Args:
        access: Address and keys.
        timeout_seconds: For an answer to begin, and between its parts.
        max_retries: Further tries after the first.
        transport: Of httpx, instead of the network.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout_seconds: float = 60,
        max_retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.access = access
        self._max_retries = max_retries
        try:
            self._http = httpx.Client(
                base_url=f"{access.root_url}/v1",
                headers={"user-agent": f"afinador/{afinador.__version__}"},
                timeout=httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds)),
                # Certificates are read only where they are looked at: it takes 60 ms.
                verify=access.root_url.startswith("https:"),
                # A proxy of the environment cannot reach this machine's own service.
                trust_env=not access.is_on_this_machine,
                transport=transport,
            )
            if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
                raise httpx.InvalidURL("it must start with http:// or https://")
        except httpx.InvalidURL as error:
            raise InvalidRequestError(f"AFINADOR_BASE_URL is {access.base_url!r}: {error}.") from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the sockets."""
        self._http.close()

    def json(self, call: Call) -> dict[str, Any]:
        """Send a call and return its answer, an object.

        Raises:
            AfinadorError: The service refused; the class is the one that the service raised.
            ServiceUnavailableError: Nobody answers, also not after the retries.
        """
        with self._answer(call) as answer:
            body = answer.read()
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ServiceUnavailableError(
                f"{answer.url} answered {len(body)} bytes that are no JSON object; is this an Afinador service?"
            )
        return document

    def text(self, call: Call) -> str:
        """Send a call and return its answer as text; errors as in ``json``."""
        with self._answer(call) as answer:
            answer.read()
            return answer.text

    def chunks(self, call: Call) -> Iterator[bytes]:
        """Send a call and yield the bytes of its answer; errors as in ``json``.

        Raises:
            StorageError: The answer broke off.
        """
        with self._answer(call) as answer:
            try:
                yield from answer.iter_bytes(CHUNK_BYTES)
            except httpx.TransportError as error:
                raise StorageError(f"The download of {answer.url} broke off: {_reason(error)}. Try again.") from error

    def messages(self, call: Call) -> Iterator[dict[str, Any]]:
        """Send a call and yield the server-sent messages of its answer, until the service says that it was all.

        Raises:
            ServiceUnavailableError: The stream broke off before that.
        """
        with self._answer(call) as answer:
            try:
                for line in answer.iter_lines():
                    if line == "data: [DONE]":
                        return
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
            except httpx.TransportError as error:
                raise self._away(error) from error
        raise ServiceUnavailableError(f"The stream of {answer.url} ended before its end; the service went down.")

    def upload(self, path: Path, purpose: str, on_progress: Progress | None = None) -> dict[str, Any]:
        """Send a local file, read piece by piece, and return what the service calls it.

        Raises:
            InvalidRequestError: It cannot be read, or is no file.
        """
        try:
            stream = path.open("rb")
        except OSError as error:
            raise InvalidRequestError(f"Cannot read {path}: {error.strerror}.", param="file") from error
        with stream:
            counted = _Counted(stream, path.stat().st_size, on_progress)
            parts = {"files": {"file": (path.name, counted)}, "data": {"purpose": purpose}}
            with self._answer(Call("POST", "/files"), **parts) as answer:
                answer.read()
                return dict(answer.json())

    @contextmanager
    def _answer(self, call: Call, **parts: Any) -> Iterator[httpx.Response]:
        answer = self._send(call, parts)
        try:
            if answer.is_error:
                body = _read_quietly(answer)
                raise _with_remedy(error_from(answer.status_code, body, str(answer.url)), call, self.access)
            yield answer
        finally:
            answer.close()

    def _send(self, call: Call, parts: dict[str, Any]) -> httpx.Response:
        for attempt in range(self._max_retries + 1):
            is_last = attempt == self._max_retries
            try:
                answer = self._http.send(self._request(call, parts), stream=True)
            except httpx.TransportError as error:
                not_taken = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if is_last or not (call.is_repeatable or not_taken):
                    raise self._away(error) from error
                pause_seconds = _pause_seconds(attempt)
            else:
                if is_last or not _worth_another_try(call, answer):
                    return answer
                answer.close()
                pause_seconds = _pause_seconds(attempt, answer.headers.get("retry-after"))
            time.sleep(pause_seconds)
        raise AssertionError("the last attempt returns or raises")

    def _request(self, call: Call, parts: dict[str, Any]) -> httpx.Request:
        key = self.access.key_for(call)
        return self._http.build_request(
            call.method,
            call.path,
            params={name: value for name, value in call.params.items() if value is not None},
            json=call.body,
            content=call.content,
            headers={"authorization": f"Bearer {key}"} if key else None,
            **parts,
        )

    def _away(self, error: httpx.TransportError) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            f"No Afinador service answers at {self.access.root_url} ({_reason(error)}). Start one with 'afinador up', "
            "or say with AFINADOR_BASE_URL where it is."
        )


class _Counted:
    """A file that says how much of it was read."""

    def __init__(self, stream: BinaryIO, size: int, on_progress: Progress | None) -> None:
        self._stream, self._size, self._on_progress = stream, size, on_progress

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        if self._on_progress:
            self._on_progress(self._stream.tell(), self._size)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def fileno(self) -> int:
        return self._stream.fileno()


def _worth_another_try(call: Call, answer: httpx.Response) -> bool:
    if answer.status_code not in _AWAY or answer.headers.get("x-should-retry") == "false":
        return False
    return call.is_repeatable or answer.headers.get("x-should-retry") == "true"


def _pause_seconds(attempt: int, asked: str | None = None) -> float:
    if asked and asked.isdigit():
        return min(float(asked), LONGEST_PAUSE_SECONDS)
    return FIRST_PAUSE_SECONDS * 2.0**attempt


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _read_quietly(answer: httpx.Response) -> bytes:
    try:
        return answer.read()
    except httpx.TransportError:
        return b""  # the status alone has to tell


def _with_remedy(error: AfinadorError, call: Call, access: Access) -> AfinadorError:
    """Name the variable to set, where the reason is that no key was sent at all."""
    if isinstance(error, AuthenticationError) and not access.key_for(call):
        names = "AFINADOR_OPERATOR_KEY" if call.as_operator else "AFINADOR_API_KEY"
        error.message = f"{error.message} Set {names}."
        error.args = (error.message,)
    return error
