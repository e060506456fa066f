# Made by docs/generate.py from afinador/client/asynchronous/connection.py; change that, then run `make docs`.
"""Sends calls to the service and brings back what it answers, as plain dictionaries, text or bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

from afinador.client import sending, waiting
from afinador.client.access import Access
from afinador.client.answers import error_from, object_of
from afinador.client.calls import Call
from afinador.client.sending import Progress
from afinador.errors import InvalidRequestError, ServiceUnavailableError, StorageError
from afinador.packing import pack_folder

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading


class Connection:
    """A connection to one service.

    What can be sent twice without harm is tried again when the service does not answer, or answers 502, 503 or 504.
    What creates something is tried again only when it certainly was not taken: no connection came about, the answer is
    429 (too many requests, as proxies say), or the service itself said that it may be.

    Args:
        access: Address and keys.
        timeout_seconds: For an answer to begin, and between its parts.
        max_retries: Further tries after the first.
        transport: Of httpx, instead of the network.

    Raises:
        InvalidRequestError: The address is none.
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
        self._http = httpx.Client(transport=transport, **sending.http_options(access, timeout_seconds))

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the sockets."""
        self._http.close()

    def json(self, call: Call, needed: str | None = None) -> dict[str, Any]:
        """Send a call and return its answer, an object.

        Args:
            call: What to send.
            needed: A field that the answer must have.

        Raises:
            AfinadorError: The service refused; the class is the one that the service raised.
            ServiceUnavailableError: Nobody answers, also not after the retries; or somebody else does.
        """
        with self._answer(call) as answer:
            answer.read()
        return object_of(answer.content, str(answer.url), needed)

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
                yield from answer.iter_bytes(sending.CHUNK_BYTES)
            except httpx.TransportError as error:
                raise StorageError(
                    f"The download of {answer.url} broke off: {sending.reason_of(error)}. Try again."
                ) from error

    def messages(self, call: Call, on_answer: Callable[[], object] | None = None) -> Iterator[dict[str, Any]]:
        """Send a call and yield the server-sent messages of its answer, until the service says that it was all.

        Args:
            call: What to send.
            on_answer: Told when the service has begun to answer; the first message may be long in coming. A page of
                something else is no such answer.

        Raises:
            ServiceUnavailableError: The stream broke off before that.
        """
        with self._answer(call) as answer:
            if on_answer and answer.headers.get("content-type", "").startswith("text/event-stream"):
                on_answer()
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    return
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
        raise ServiceUnavailableError(f"The stream of {answer.url} ended before its end; the service went down.")

    def upload(
        self,
        path: Path,
        purpose: str,
        on_progress: Progress | None = None,
        reading: DatasetReading | None = None,
    ) -> dict[str, Any]:
        """Send a local file, read piece by piece, and return what the service calls it; a folder is sent as an archive.

        Raises:
            InvalidRequestError: It cannot be read, or is neither file nor folder.
        """
        if path.is_dir():
            with TemporaryDirectory() as scratch:
                archive = waiting.work(pack_folder, path, Path(scratch))
                return self.upload(archive, purpose, on_progress, reading)
        try:
            stream = path.open("rb")
        except OSError as error:
            raise InvalidRequestError(f"Cannot read {path}: {error.strerror}.", param="file") from error
        with stream:
            return self._send_file(stream, path.name, path.stat().st_size, purpose, on_progress, reading)

    def upload_bytes(
        self,
        content: bytes,
        filename: str,
        purpose: str,
        on_progress: Progress | None = None,
        reading: DatasetReading | None = None,
    ) -> dict[str, Any]:
        """Send bytes as a file, and return what the service calls it."""
        return self._send_file(io.BytesIO(content), filename, len(content), purpose, on_progress, reading)

    def name_source(self, source: str, purpose: str, reading: DatasetReading | None = None) -> dict[str, Any]:
        """Name a data set of the Hugging Face Hub that the service is to fetch, and return what it calls it."""
        return self._send_form({"source": (None, source)}, purpose, reading)

    def _send_file(
        self,
        stream: BinaryIO,
        filename: str,
        size: int,
        purpose: str,
        on_progress: Progress | None,
        reading: DatasetReading | None,
    ) -> dict[str, Any]:
        counted = sending.CountedFile(stream, size, on_progress)
        return self._send_form({"file": (filename, counted)}, purpose, reading)

    def _send_form(
        self, parts: dict[str, tuple[str | None, Any]], purpose: str, reading: DatasetReading | None
    ) -> dict[str, Any]:
        fields = {"purpose": purpose, **sending.reading_fields(reading)}
        with self._answer(Call("POST", "/files"), files=parts, data=fields) as answer:
            answer.read()
            return object_of(answer.content, str(answer.url), "id")

    @contextmanager
    def _answer(self, call: Call, **parts: Any) -> Iterator[httpx.Response]:
        answer = self._send(call, parts)
        try:
            if answer.is_error and answer.status_code not in call.also_answers:
                error = error_from(answer.status_code, _read_quietly(answer), str(answer.url))
                raise sending.with_remedy(error, call, self.access)
            yield answer
        except httpx.TransportError as error:  # the answer broke off
            raise sending.away(self.access, error) from error
        finally:
            answer.close()

    def _send(self, call: Call, parts: dict[str, Any]) -> httpx.Response:
        for attempt in range(self._max_retries + 1):
            is_last = attempt == self._max_retries
            request = self._http.build_request(**sending.request_options(call, self.access), **parts)
            try:
                answer = self._http.send(request, stream=True)
            except httpx.TransportError as error:
                if is_last or not sending.may_be_sent_again(call, error):
                    raise sending.away(self.access, error) from error
                seconds = sending.pause_seconds(attempt)
            else:
                if is_last or not sending.is_worth_another_try(call, answer):
                    return answer
                answer.close()
                seconds = sending.pause_seconds(attempt, answer.headers.get("retry-after"))
            waiting.pause(seconds)
        raise AssertionError("the last attempt returns or raises")


def _read_quietly(answer: httpx.Response) -> bytes:
    try:
        return answer.read()
    except httpx.TransportError:
        return b""  # the status alone has to tell
