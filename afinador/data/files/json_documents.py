"""Records of a JSON document, an array or ``{"data": [...]}``, without ever holding the whole document."""

from __future__ import annotations

import codecs
import re
from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from afinador.data.files.compressed import open_unpacked
from afinador.data.files.detection import ENCODING_REMEDY, encoding_of
from afinador.data.files.json_values import BrokenJSONError, Decoder
from afinador.data.quoting import described, shortened
from afinador.data.records import Encoding, Problem, Record
from afinador.figures import counted

LONGEST_VALUE_CHARACTERS = 64 * 2**20
"""A record, or another value of the document's object, may not be longer."""

_FIRST_CHUNK_BYTES = 1 << 18
_WHITE_SPACE = re.compile(r"[ \t\r\n]*")
_KEYS_SHOWN = 8


def read_json(path: Path, encoding: Encoding | None = None) -> Iterator[Record | Problem]:
    """Yield the records of a document, numbered from 1, and what is wrong with it.

    Raises:
        DataError: What is compressed is damaged or too large, or the encoding cannot be the declared one.
    """
    with _Text(path, encoding_of(path, encoding)) as text:
        try:
            text.skip_white_space()
            if text.next_character() == "[":
                yield from _array(text)
            else:
                yield from _object_or_value(text)
            text.skip_white_space()
            if rest := text.next_character():
                yield Problem(
                    "json_syntax",
                    f"Line {text.line}: something follows the end of the JSON document (with {rest!r}). "
                    "Remove it; one object a line is JSON Lines and has the extension .jsonl.",
                    text.line,
                    ends_reading=True,
                )
        except _StopReading as stop:
            yield replace(stop.problem, ends_reading=True)


def as_record(value: Any, number: int, unit: Any) -> Record | Problem:
    """Return a decoded value as a record, or the problem that it is no object."""
    if isinstance(value, dict):
        return Record(number, value, unit)
    message = f'{unit} {number} is {described(value)}, but must be an object such as {{"text": …, "label": …}}. Correct it, or remove it.'
    return Problem("not_an_object", message, number)


class _StopReading(Exception):
    """What follows cannot be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Text:
    """A window on a text file, moved forward value by value; lines are counted up to the last place that was asked for."""

    def __init__(self, path: Path, codec: str) -> None:
        self._file = open_unpacked(path)
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._values = Decoder()
        self._buffer, self._position = "", 0
        self._line, self._counted, self._is_at_end = 1, 0, False

    def __enter__(self) -> _Text:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def line(self) -> int:
        """The line of the next character, from 1."""
        return self._line_of(self._position)

    def skip_white_space(self) -> None:
        """Go to the next character that is none."""
        while True:
            match = _WHITE_SPACE.match(self._buffer, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._buffer) or not self._more():
                return

    def next_character(self) -> str:
        """Return the next character; nothing at the end."""
        return self.peek(1)

    def peek(self, characters: int) -> str:
        """Return what comes next, and stay."""
        while len(self._buffer) < self._position + characters and self._more():
            pass
        return self._buffer[self._position : self._position + characters]

    def skip(self) -> None:
        """Go on by a character."""
        self._position += 1

    def value(self, what: str, key: str = "") -> Any:
        """Return the JSON value that comes next, and go behind it.

        Args:
            what: Names it at the beginning of a sentence.
            key: What is shown in it in the place of ``{}``.

        Raises:
            _StopReading: It is none, or too long.
        """
        while True:
            try:
                value, end = self._values.decode_at(self._buffer, self._position)
                # A number may go on where the window ends.
                if end < len(self._buffer) or not self._more():
                    self._position = end
                    return value
            except BrokenJSONError as error:
                if not (error.may_go_on and self._more()):
                    line = self._line_of(error.position)
                    named = what.format(shortened(key))
                    problem = Problem("json_syntax", f"{named}line {line}, is no JSON: {error}", line)
                    raise _StopReading(problem) from error
            if len(self._buffer) - self._position > LONGEST_VALUE_CHARACTERS:
                longest = LONGEST_VALUE_CHARACTERS // 2**20
                message = f"{what.format(shortened(key))}line {self.line}, is no JSON, or longer than {longest} Mi characters, the most that is read. Correct it, or split it."
                raise _StopReading(Problem("json_syntax", message, self.line))

    def _line_of(self, position: int) -> int:
        if position < self._counted:
            return self._line - self._buffer.count("\n", position, self._counted)
        self._line += self._buffer.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _more(self) -> bool:
        """Widen the window, to twice its size if all of it is needed; False at the end of the file."""
        if self._is_at_end:
            return False
        self._line_of(self._position)
        self._buffer, self._counted, self._position = self._buffer[self._position :], 0, 0
        raw = self._file.read(max(_FIRST_CHUNK_BYTES, len(self._buffer)))
        self._is_at_end = not raw
        try:
            self._buffer += self._decoder.decode(raw, final=not raw)
        except UnicodeError as error:
            position = getattr(error, "start", 0)
            line = self._line_of(len(self._buffer)) + bytes(getattr(error, "object", b"")[:position]).count(b"\n")
            message = f"Line {line} is not UTF-8, or not of the encoding that is declared. {ENCODING_REMEDY}."
            raise _StopReading(Problem("file_encoding", message, line)) from error
        return True


def _array(text: _Text) -> Iterator[Record | Problem]:
    number = 0
    closed = _opened(text, "]")
    while not closed:
        number += 1
        value = text.value(f"Record {number} of the array, ")
        yield as_record(value, number, "Record")
        closed = _closed(text, "]", f"the array is missing after record {number}")


def _object_or_value(text: _Text) -> Iterator[Record | Problem]:
    """Yield the records below ``data``; of the other keys only the names are kept, and those that hold records too."""
    line = text.line
    if text.next_character() != "{":
        text.value("What begins on ")
        yield _structure("one value", line)
        return
    keys: dict[str, None] = {}
    elsewhere: list[Problem] = []
    has_records = False
    closed = _opened(text, "}")
    while not closed:
        key = _key(text, keys)
        keys[key] = None
        if key == "data" and text.next_character() == "[":
            has_records = True
            yield from _array(text)
        elif text.next_character() == "[":
            line_of_key = text.line
            if objects := sum(isinstance(each, Record) for each in _array(text)):
                elsewhere.append(_elsewhere(key, objects, line_of_key))
        else:
            text.value("The value of {}, ", key)
        closed = _closed(text, "}", "the object is missing after {}", key)
    if has_records:
        yield from elsewhere
    else:
        named = ", ".join(islice(keys, _KEYS_SHOWN))
        what = f"one object with the keys {shortened(named)}"
        if "data" in keys:
            what = "one object, of which 'data' is no array"
        yield _structure(what, line)


def _elsewhere(key: str, objects: int, line: int) -> Problem:
    message = (
        f"Line {line}: {shortened(key)} holds {counted(objects, 'object')}, which would be lost: read are "
        "those below 'data' alone. Put each array into a file of its own, or all records into one."
    )
    return Problem("records_elsewhere", message, line)


def _opened(text: _Text, end: str) -> bool:
    """Go into an array or object, and tell whether it ends at once; then go behind it."""
    text.skip()
    text.skip_white_space()
    is_empty = text.next_character() == end
    if is_empty:
        text.skip()
    return is_empty


def _closed(text: _Text, end: str, what: str, key: str = "") -> bool:
    """Go behind the comma or the end that follows a value, and tell whether it was the end.

    Args:
        text: Stands behind the value.
        end: Closes what it is in.
        what: Is said where neither follows.
        key: As in ``_Text.value``.
    """
    text.skip_white_space()
    following = text.next_character()
    if following not in (",", end):
        message = f"Line {text.line}: a comma or the closing {end} of {what.format(shortened(key))}. Add it."
        raise _StopReading(Problem("json_syntax", message, text.line))
    text.skip()
    text.skip_white_space()
    return following == end


def _key(text: _Text, before: Container[str]) -> str:
    line = text.line
    key = text.value("A key of the object, ") if text.next_character() == '"' else None
    text.skip_white_space()
    if not isinstance(key, str) or text.next_character() != ":":
        message = f"Line {line} is no JSON: an object holds keys in double quotes, each with a colon and a value."
        raise _StopReading(Problem("json_syntax", message, line))
    if key in before:
        message = f"Line {line} is no JSON: the key {shortened(key)} occurs twice in one object; remove one."
        raise _StopReading(Problem("json_syntax", message, line))
    text.skip()
    text.skip_white_space()
    return key


def _structure(what: str, line: int) -> Problem:
    message = (
        f"Line {line}: the file holds {what}; a JSON file must be an array of objects, or an object that holds one under the key 'data'. "
        "Put the records into [ ]."
    )
    return Problem("json_structure", message, line)
