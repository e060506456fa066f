"""Lines of a text file, one at a time, whatever is wrong with them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from afinador.data.files.compressed import open_unpacked
from afinador.data.files.detection import encoding_of
from afinador.data.records import Encoding, Problem

LONGEST_LINE_BYTES = 64 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_NAMES = {"utf-8-sig": "UTF-8", "latin-1": "Latin-1", "cp1252": "Windows-1252"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its end; a line feed alone counts as one.

    Attributes:
        number: From 1.
        text: Undecodable bytes stand as U+FFFD.
        problem: Why the line cannot be used.
    """

    number: int
    text: str
    problem: Problem | None = None


def lines_of(path: Path, encoding: Encoding | None = None) -> Iterator[Line]:
    """Yield the lines of a file; a byte order mark is not part of the first.

    Args:
        path: The file, perhaps compressed.
        encoding: As declared; UTF-8, or UTF-16 with a byte order mark, without.

    Raises:
        DataError: What is compressed is damaged or too large, or the encoding cannot be the declared one.
    """
    codec = encoding_of(path, encoding)
    if codec.startswith("utf-16"):
        yield from _utf16_lines(path, codec)
        return
    for number, raw in raw_lines(path):
        yield decoded(number, raw, codec)


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each line of a file that is not UTF-16; of one that is too long its beginning.

    Raises:
        DataError: What is compressed is damaged or too large.
    """
    with open_unpacked(path) as file:
        for number, raw in enumerate(bounded_lines(file), start=1):
            yield number, raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw


@dataclass(frozen=True)
class Part:
    """A part of a file, of whole lines.

    Attributes:
        offset: Bytes before it.
        size: Its own, in bytes.
        first_line: The number of its first line, from 1.
    """

    offset: int
    size: int
    first_line: int


def parts_of(path: Path, part_bytes: int) -> Iterator[Part]:
    """Yield the parts of a file of lines, in order, each of so many bytes and what is missing of its last line.

    Of a line that is too long no more than a part is held.
    """
    with path.open("rb") as file:
        offset, first_line = 0, 1
        while raw := file.read(part_bytes):
            size, lines, end = len(raw), count_line_feeds(raw), raw
            while not end.endswith(b"\n") and (end := file.readline(part_bytes)):
                size += len(end)
            lines += end is not raw and end.endswith(b"\n")
            yield Part(offset, size, first_line)
            offset, first_line = offset + size, first_line + lines


def count_line_feeds(raw: bytes) -> int:
    """Return how many line feeds there are, in a fifth of the time of ``bytes.count``, which looks at each byte by itself."""
    return len(io.BytesIO(raw).readlines()) - (bool(raw) and not raw.endswith(b"\n"))


def raw_lines_of(path: Path, part: Part) -> Iterator[tuple[int, bytes]]:
    """Yield of a part of a file what ``raw_lines`` yields of all of it."""
    with path.open("rb") as file:
        file.seek(part.offset)
        left = part.size
        for number, raw in enumerate(bounded_lines(file), start=part.first_line):
            yield number, raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
            left -= len(raw)
            if left <= 0 or len(raw) > LONGEST_LINE_BYTES:
                return  # one that is too long is the last of its part


def decoded(number: int, raw: bytes, codec: str) -> Line:
    """Return the line that bytes are, with its problem if they are too many or not of the encoding."""
    if len(raw) > LONGEST_LINE_BYTES:
        return Line(number, "", _too_long(number))
    try:
        return Line(number, raw.decode("utf-8" if codec == "utf-8-sig" else codec))
    except UnicodeDecodeError as error:
        problem = _undecodable(number, raw[error.start], error.start, codec)
        return Line(number, raw.decode(codec, errors="replace"), problem)


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield raw lines; of one that is too long its beginning, one byte longer than allowed."""
    while raw := file.readline(LONGEST_LINE_BYTES + 1):
        yield raw
        while len(raw) > LONGEST_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST_LINE_BYTES + 1)


def _utf16_lines(path: Path, codec: str) -> Iterator[Line]:
    number = 0
    with io.TextIOWrapper(open_unpacked(path), encoding=codec, newline="\n") as file:
        try:
            while text := file.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if len(text) > LONGEST_LINE_BYTES:
                    yield Line(number, "", _too_long(number))
                    return
                yield Line(number, text)
        except UnicodeError:
            message = (
                f"Line {number + 1} or one soon after it is broken UTF-16; reading stopped. Save the file as UTF-8."
            )
            yield Line(number + 1, "", Problem("encoding", message, number + 1))


def _too_long(number: int) -> Problem:
    longest = LONGEST_LINE_BYTES // 2**20
    message = (
        f"Line {number} is longer than {longest} MiB, the most that is read. Split it into records of a line each."
    )
    return Problem("line_too_long", message, number)


def _undecodable(number: int, byte: int, position: int, codec: str) -> Problem:
    message = f"Line {number} is not {_NAMES[codec]} (byte 0x{byte:02X} at position {position + 1}). " + (
        "Save the file as UTF-8; it may be in Latin-1 or Windows-1252 now: declare it then (--encoding latin-1 or windows-1252, or reading.encoding)."
        if codec == "utf-8-sig"
        else "Declare another encoding, or save the file as UTF-8."
    )
    return Problem("encoding", message, number)
