"""Reads records from CSV, JSON, JSON Lines and plain text, a broken one as the problem that it is.

CSV, JSON Lines and text are streamed, so that a file of 1 GB needs no memory to speak of; a JSON array is held as one
string, its records are made one at a time.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from afinador.data.delimited import read_csv
from afinador.data.detection import detect_format, encoding_of
from afinador.data.lines import Line, lines_of
from afinador.data.records import Format, Problem, Record, shortened

__all__ = ["Format", "Record", "detect_format", "read_records"]

_WHITE_SPACE = re.compile(r"[ \t\r\n]*")


def read_records(path: Path, format: Format) -> Iterator[Record | Problem]:
    """Yield what is in a file, in order: a record, or the problem that stands in its place.

    UTF-8 with or without byte order mark, UTF-16 with one. CSV needs a header; delimiter and quote are found. JSON is
    an array of objects or ``{"data": [...]}``. Documents of a text file are parted by blank lines and become
    ``{"text": ...}``.
    """
    readers: dict[Format, Callable[[Path], Iterator[Record | Problem]]] = {
        "csv": read_csv,
        "json": _read_json,
        "jsonl": _read_json_lines,
        "text": _read_text,
    }
    return readers[format](path)


def _read_text(path: Path) -> Iterator[Record | Problem]:
    paragraph: list[str] = []
    start = 1
    for line in lines_of(path):
        problem = line.problem
        if problem is None and "\x00" in line.text:
            message = f"Line {line.number} holds a NUL character: the file is damaged or binary. Remove it."
            problem = Problem("nul_character", message, line.number)
        if problem is not None:
            yield problem
        elif line.text.strip():
            start = start if paragraph else line.number
            paragraph.append(line.text)
        elif paragraph:
            yield Record(start, {"text": _joined(paragraph)})
            paragraph = []
    if paragraph:
        yield Record(start, {"text": _joined(paragraph)})


def _joined(lines: list[str]) -> str:
    return "".join(lines).replace("\r\n", "\n").rstrip("\n")


def _read_json_lines(path: Path) -> Iterator[Record | Problem]:
    for line in lines_of(path):
        found = record_of_json_line(line)
        if found is not None:
            yield found


def record_of_json_line(line: Line) -> Record | Problem | None:
    """Return the record that one line of JSON Lines holds, or why it holds none; None of a blank line."""
    if line.problem is not None:
        return line.problem
    text = line.text.strip(" \t\r\n")
    if not text:
        return None
    try:
        value, end = _DECODER.decode_at(text, 0)
    except _BrokenJSONError as error:
        return Problem("json_syntax", f"Line {line.number} is no JSON: {error}", line.number)
    if end < len(text):
        message = (
            f"Line {line.number} goes on after its JSON object ({shortened(text[end : end + 24], 20)}). "
            "Put each object on a line of its own, with nothing else on it."
        )
        return Problem("json_syntax", message, line.number)
    return _as_record(value, line.number, "Line")


def _read_json(path: Path) -> Iterator[Record | Problem]:
    try:
        text = path.read_text(encoding=encoding_of(path))
    except UnicodeError as error:
        position = getattr(error, "start", 0)
        line = path.read_bytes()[:position].count(b"\n") + 1
        message = f"Line {line} is not UTF-8. Save the file as UTF-8; it may be in Latin-1 or Windows-1252 now."
        yield Problem("file_encoding", message, line)
        return
    start = _after_white_space(text, 0)
    if not text.startswith("[", start):
        yield from _read_json_object(text, start)
        return
    yield from _read_json_array(text, start)


def _read_json_array(text: str, start: int) -> Iterator[Record | Problem]:
    position = _after_white_space(text, start + 1)
    number = 0
    closed = text.startswith("]", position)
    while not closed:
        number += 1
        try:
            value, position = _DECODER.decode_at(text, position)
        except _BrokenJSONError as error:
            line = text.count("\n", 0, error.position) + 1
            yield Problem("json_syntax", f"Record {number} of the array, line {line}, is no JSON: {error}", line)
            return
        yield _as_record(value, number, "Record")
        position = _after_white_space(text, position)
        closed = text.startswith("]", position)
        if not closed and not text.startswith(",", position):
            line = text.count("\n", 0, position) + 1
            message = f"Line {line}: a comma or the closing ] of the array is missing after record {number}. Add it."
            yield Problem("json_syntax", message, line)
            return
        position = position if closed else _after_white_space(text, position + 1)
    yield from _rest_problem(text, position + 1)


def _read_json_object(text: str, start: int) -> Iterator[Record | Problem]:
    line = text.count("\n", 0, start) + 1
    try:
        value, end = _DECODER.decode_at(text, start)
    except _BrokenJSONError as error:
        line = text.count("\n", 0, error.position) + 1
        yield Problem("json_syntax", f"Line {line} is no JSON: {error}", line)
        return
    records = value.get("data") if isinstance(value, dict) else None
    if isinstance(records, list):
        for number, item in enumerate(records, start=1):
            yield _as_record(item, number, "Record")
    else:
        what = f"one object with the keys {shortened(', '.join(value))}" if isinstance(value, dict) else "one value"
        message = (
            f"The file holds {what}; a JSON file must be an array of objects, or hold one under the key 'data'. "
            "Put the records into [ ]."
        )
        yield Problem("json_structure", message, line)
    yield from _rest_problem(text, end)


def _rest_problem(text: str, end: int) -> Iterator[Problem]:
    position = _after_white_space(text, end)
    if position < len(text):
        line = text.count("\n", 0, position) + 1
        message = (
            f"Line {line}: something follows the end of the JSON document ({shortened(text[position : position + 20])}). "
            "Remove it; one object a line is JSON Lines and has the extension .jsonl."
        )
        yield Problem("json_syntax", message, line)


def _after_white_space(text: str, position: int) -> int:
    match = _WHITE_SPACE.match(text, position)
    return match.end() if match else position


def _as_record(value: Any, number: int, unit: Any) -> Record | Problem:
    if isinstance(value, dict):
        return Record(number, value, unit)
    message = f'{unit} {number} is {shortened(value)}, but must be an object such as {{"text": …, "label": …}}.'
    return Problem("not_an_object", message, number)


class _BrokenJSONError(Exception):
    """Text that is no JSON; ``position`` is the offending character's."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class _RefusedValueError(Exception):
    """A value that Python's decoder would take and the standard does not."""


class _Decoder:
    """JSON as its standard has it: no NaN, no key twice, no half surrogates, no nesting without end."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)

    def decode_at(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that starts at ``start``, and where it ends.

        Raises:
            _BrokenJSONError: There is none; the message says why, and what to do.
        """
        try:
            value, end = self._decoder.raw_decode(text, start)
            # Half a surrogate pair can only come from an escape.
            if text.find("\\u", start, end) >= 0:
                json.dumps(value, ensure_ascii=False).encode("utf-8")
            return value, end
        except json.JSONDecodeError as error:
            near = shortened(text[error.pos : error.pos + 20], 24) if error.pos < len(text) else "the end"
            reason = error.msg[0].lower() + error.msg[1:]
            raise _BrokenJSONError(f"{reason} near {near}. Write it with a JSON library.", error.pos) from error
        except RecursionError as error:
            raise _BrokenJSONError("it is nested too deeply. Flatten it.", start) from error
        except UnicodeEncodeError as error:
            message = "it holds half a surrogate pair (\\ud800 to \\udfff), which is no character. Remove it."
            raise _BrokenJSONError(message, start) from error
        except _RefusedValueError as error:
            raise _BrokenJSONError(f"{error}.", start) from error
        except ValueError as error:
            # What is left is Python's limit on the digits of an integer.
            raise _BrokenJSONError(
                "it holds a number with thousands of digits. Write it as a string.", start
            ) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _RefusedValueError(f"the key {shortened(repeated)} occurs twice in one object; remove one")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _RefusedValueError(f"{name} is no JSON value; write null or a number")


_DECODER = _Decoder()
