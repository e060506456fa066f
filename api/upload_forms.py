"""Multipart bodies: one file and a few fields, taken as they arrive, hashed on the way, never whole in memory."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from afinador.errors import (
    InsufficientStorageError,
    InvalidRequestError,
    RequestTooLargeError,
    UnknownFieldError,
    nearest,
)
from afinador.schemas.datasets import DatasetReading
from afinador.storage import CHUNK_BYTES, require_free_space

MAX_FILE_BYTES = 1 << 30
MAX_FIELD_BYTES = 64 * 1024
LONGEST_NAME_BYTES = 200
SPACE_CHECK_BYTES = 64 * CHUNK_BYTES
READING_FIELDS = tuple(DatasetReading.model_fields)
"""Say how the file is to be read; see ``DatasetReading``."""
FIELDS = ("file", "purpose", "source", *READING_FIELDS)
_NESTED = re.compile(r"(mapping)\[([^\[\]]+)\]|(columns)\[\d*\]")


class Sink:
    """Writes the bytes of one file to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._stream = path.open("wb")
        self._buffer = bytearray()
        self._checked_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether enough has come to be worth a write."""
        return len(self._buffer) >= CHUNK_BYTES

    def add(self, data: bytes) -> None:
        """Take bytes; nothing is written yet.

        Raises:
            RequestTooLargeError: The file has more than 1 GB.
        """
        self._buffer += data
        self.size += len(data)
        if self.size > MAX_FILE_BYTES:
            raise too_large()

    def flush(self) -> None:
        """Write what has come; blocks.

        Raises:
            InsufficientStorageError: The disk is too full.
        """
        if self.size - self._checked_bytes > SPACE_CHECK_BYTES:
            require_free_space(self.path.parent, SPACE_CHECK_BYTES, "This upload")
            self._checked_bytes = self.size
        try:
            self._stream.write(self._buffer)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise InsufficientStorageError(f"The disk of {self.path.parent} is full; free some space.") from error
            raise
        self._digest.update(self._buffer)
        self._buffer.clear()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def finish(self) -> str:
        """Write the rest and return the hex SHA-256 of all."""
        self.flush()
        self.close()
        return self._digest.hexdigest()


class Form:
    """Follows the parts of one multipart body; the parser calls back.

    Attributes:
        fields: The fields that are no file; of ``mapping[label]`` and ``columns[]``, as the ``openai`` client writes what is
            nested, an object and an array.
        filename: Of the file, once its part has begun.
        is_complete: Whether the end of the body was seen.
    """

    def __init__(self, boundary: bytes, sink: Sink) -> None:
        self.fields: dict[str, Any] = {}
        self.filename: str | None = None
        self.is_complete = False
        self._sink = sink
        self._name_bytes, self._value_bytes = bytearray(), bytearray()
        self._disposition = b""
        self._field: str | None = None
        self._value = bytearray()
        callbacks = (
            "part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end",
        )  # fmt: skip
        self._parser = MultipartParser(boundary, {f"on_{name}": getattr(self, f"_{name}") for name in callbacks})  # type: ignore[arg-type]

    @property
    def received_bytes(self) -> int:
        """Size of the file so far."""
        return self._sink.size

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            InvalidRequestError: They are no good multipart body, or hold an unknown field or a second file.
            RequestTooLargeError: The file or a field is too large.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequestError(f"The body is no good multipart/form-data: {error}") from error

    def _part_begin(self) -> None:
        self._disposition = b""
        self._value = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name_bytes += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value_bytes += data[start:end]

    def _header_end(self) -> None:
        if bytes(self._name_bytes).lower() == b"content-disposition":
            self._disposition = bytes(self._value_bytes)
        self._name_bytes.clear()
        self._value_bytes.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode(errors="replace")
        if self._field.startswith("expires_after"):
            raise InvalidRequestError(
                "expires_after is not offered: files stay until they are deleted. Leave it out.", param="expires_after"
            )
        name = self._field.partition("[")[0]
        if name not in FIELDS or (name != self._field and not _NESTED.fullmatch(self._field)):
            raise UnknownFieldError(
                f"{self._field!r} is no field of an upload.{nearest(self._field, FIELDS)}", param=self._field
            )
        if self._field == "file":
            if self.filename is not None:
                raise InvalidRequestError("Send one file a request.", param="file")
            if b"filename" not in options:
                raise InvalidRequestError("The part 'file' has no file name; send it as a file.", param="file")
            self.filename = _clean_name(options[b"filename"].decode(errors="replace"))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field == "file":
            self._sink.add(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise RequestTooLargeError(f"The field {self._field!r} is too long.", param=self._field)

    def _part_end(self) -> None:
        if not self._field or self._field == "file":
            return
        value = self._value.decode(errors="replace")
        nested = _NESTED.fullmatch(self._field)
        if nested is None:
            self.fields[self._field] = value
        elif nested[1] == "mapping":
            self.fields["mapping"] = {**_nested(self.fields, "mapping", dict), nested[2]: value}
        else:
            self.fields["columns"] = [*_nested(self.fields, "columns", list), value]

    def _end(self) -> None:
        self.is_complete = True


def _nested(fields: dict[str, Any], name: str, kind: type) -> Any:
    given = fields.get(name, kind())
    if not isinstance(given, kind):
        raise InvalidRequestError(f"{name} is given in two ways; give it once.", param=name)
    return given


def _clean_name(raw: str) -> str:
    """Return a file name without folders, as browsers and the ``openai`` client escape it."""
    name = raw.replace("%22", '"').replace("\\", "/").rpartition("/")[2].strip()
    if name in ("", ".", "..") or not name.isprintable() or len(name.encode()) > LONGEST_NAME_BYTES:
        raise InvalidRequestError(
            f"{raw[:250]!r} is no file name; give one of 1 to {LONGEST_NAME_BYTES} printable characters.", param="file"
        )
    return name


def too_large() -> RequestTooLargeError:
    """Return the error that names the limit."""
    return RequestTooLargeError(
        f"The file is larger than {MAX_FILE_BYTES / 1e9:.1f} GB, the most that is taken. Split it, or train on a part.",
        param="file",
    )
