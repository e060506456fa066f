"""Lines of a text file, one at a time, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from afinador.data.detection import encoding_of
from afinador.data.records import Problem

LONGEST_LINE_BYTES = 64 * 2**20


@dataclass(frozen=True)
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


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a UTF-8 or (with byte order mark) UTF-16 file; the mark is not part of the first."""
    encoding = encoding_of(path)
    if encoding == "utf-16":
        yield from _utf16_lines(path)
        return
    with path.open("rb") as file:
        for number, raw in enumerate(bounded_lines(file), start=1):
            yield decoded_line(number, raw)


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield raw lines; of one that is too long its beginning, one byte longer than allowed."""
    while raw := file.readline(LONGEST_LINE_BYTES + 1):
        yield raw
        while len(raw) > LONGEST_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST_LINE_BYTES + 1)


def decoded_line(number: int, raw: bytes) -> Line:
    """Return a line of UTF-8, without the byte order mark that the first one may begin with."""
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if len(raw) > LONGEST_LINE_BYTES:
        return Line(number, "", _too_long(number))
    try:
        return Line(number, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Line(number, raw.decode("utf-8", errors="replace"), _undecodable(number, raw[error.start], error.start))


def _utf16_lines(path: Path) -> Iterator[Line]:
    number = 0
    with path.open(encoding="utf-16", newline="\n") as file:
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


def _undecodable(number: int, byte: int, position: int) -> Problem:
    message = (
        f"Line {number} is not UTF-8 (byte 0x{byte:02X} at position {position + 1}). "
        "Save the file as UTF-8; it may be in Latin-1 or Windows-1252 now."
    )
    return Problem("encoding", message, number)
