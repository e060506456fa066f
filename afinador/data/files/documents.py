"""Reads TEXT: documents that blank lines part, or each line by itself.

The lines of a document are decoded at once, which takes a third of the time; what is wrong with one of them is told by
those who look at each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from afinador.data.files.detection import encoding_of
from afinador.data.files.lines import LONGEST_LINE_BYTES, Line, decoded, lines_of, raw_lines
from afinador.data.records import Encoding, Problem, Record
from afinador.errors import DataError

LONGEST_DOCUMENT_CHARACTERS = 64 * 2**20
_BLANK = b" \t\n\r\v\f"
_BLANK_IN_TEXT = b"\x1c\x1d\x1e\x1f"
"""Further bytes of ASCII that are white space to a text and not to bytes."""


def read_text(path: Path, encoding: Encoding | None, *, by_lines: bool) -> Iterator[Record | Problem]:
    """Yield the documents of a file, or its lines that are not blank, and what is wrong with them.

    Raises:
        DataError: A document is too long, or what is compressed is damaged or too large.
    """
    codec = encoding_of(path, encoding)
    if codec.startswith("utf-16"):
        yield from _documents(lines_of(path, encoding), by_lines=by_lines)
        return
    held: list[bytes] = []
    start, length = 1, 0  # in bytes where nobody has had to count characters
    for number, raw in raw_lines(path):
        is_blank = _is_blank(raw, codec)
        if held and (is_blank or by_lines):
            yield from _document(start, held, codec)
            held = []
        if is_blank:
            continue
        if not held:
            start, length = number, 0
        held.append(raw)
        length += len(raw)
        if length > LONGEST_DOCUMENT_CHARACTERS:
            length = sum(len(decoded(start, each, codec).text) for each in held)
            _require_length(start, length)
    if held:
        yield from _document(start, held, codec)


def _is_blank(raw: bytes, codec: str) -> bool:
    first = raw.lstrip(_BLANK)[:1]
    if not first or (first < b"\x80" and first not in _BLANK_IN_TEXT):
        return not first
    return not decoded(1, raw, codec).text.strip()


def _document(start: int, held: list[bytes], codec: str) -> Iterator[Record | Problem]:
    raw = b"".join(held)
    if b"\x00" not in raw and len(raw) <= LONGEST_LINE_BYTES:
        try:
            text = raw.decode("utf-8" if codec == "utf-8-sig" else codec)
        except UnicodeDecodeError:
            pass  # which line it is, they tell below
        else:
            yield Record(start, {"text": _with_plain_ends(text)})
            return
    yield from _documents((decoded(number, each, codec) for number, each in enumerate(held, start)), by_lines=False)


def _documents(lines: Iterable[Line], *, by_lines: bool) -> Iterator[Record | Problem]:
    paragraph: list[str] = []
    start = length = 1
    for line in lines:
        problem = line.problem
        if problem is None and "\x00" in line.text:
            message = f"Line {line.number} holds a NUL character: the file is damaged or binary. Remove it."
            problem = Problem("nul_character", message, line.number)
        if problem is not None:
            yield problem
            continue
        is_blank = not line.text.strip()
        if (is_blank or by_lines) and paragraph:
            yield Record(start, {"text": _with_plain_ends("".join(paragraph))})
            paragraph = []
        if not is_blank:
            start, length = (start, length) if paragraph else (line.number, 0)
            length += len(line.text)
            _require_length(start, length)
            paragraph.append(line.text)
    if paragraph:
        yield Record(start, {"text": _with_plain_ends("".join(paragraph))})


def _require_length(start: int, length: int) -> None:
    if length > LONGEST_DOCUMENT_CHARACTERS:
        raise DataError(
            f"The document at line {start} has more than {LONGEST_DOCUMENT_CHARACTERS >> 20} Mi characters, the most that one "
            "may have. Part documents by blank lines, or declare text_unit: lines."
        )


def _with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip("\n")
