"""Reads records from files of every format, a broken one as the problem that it is.

All are streamed, so that a file of 1 GB needs no memory to speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.files.delimited import read_csv
from afinador.data.files.detection import detect_format, encoding_of
from afinador.data.files.documents import read_text
from afinador.data.files.json_documents import as_record, read_json
from afinador.data.files.json_values import BrokenJSONError, Decoder, decode_quickly
from afinador.data.files.lines import LONGEST_LINE_BYTES, Line, decoded, lines_of, raw_lines
from afinador.data.files.mapping import mapped
from afinador.data.files.tables import read_arrow, read_parquet
from afinador.data.records import Encoding, Format, Problem, Record
from afinador.errors import DataError

if TYPE_CHECKING:
    from afinador.data.files.unread import Unread
    from afinador.schemas.datasets import DatasetReading

__all__ = ["Format", "Record", "detect_format", "read_records"]

_LINES_BEFORE_FIRST = 100
_DECODER = Decoder()


def read_records(
    path: Path, format: Format, reading: DatasetReading | None = None, *, unread: Unread | None = None
) -> Iterator[Record | Problem]:
    """Yield what is in a file or folder, in order: a record, or the problem that stands in its place.

    What each format holds is told in ``afinador.data.files.formats``. Text formats may be compressed (gzip, zstandard), and are
    UTF-8 with or without byte order mark, UTF-16 with one, or in the encoding that is declared.

    Args:
        path: Where it lies.
        format: As ``detect_format`` has found it.
        reading: What is declared of it.
        unread: Gets what of a folder or an archive is not read.
    """
    found = _read(path, format, reading, unread)
    return mapped(found, reading.mapping) if reading is not None and reading.mapping else found


def _read(
    path: Path, format: Format, reading: DatasetReading | None, unread: Unread | None = None
) -> Iterator[Record | Problem]:
    encoding = reading.encoding if reading else None
    readers: dict[Format, Callable[[], Iterator[Record | Problem]]] = {
        "csv": lambda: read_csv(path, reading),
        "json": lambda: read_json(path, encoding),
        "jsonl": lambda: _read_json_lines(path, encoding),
        "text": lambda: read_text(path, encoding, by_lines=reading is not None and reading.text_unit == "lines"),
        "parquet": lambda: read_parquet(path),
        "arrow": lambda: read_arrow(path),
        "folder": lambda: _read_folder(path, reading, unread),
        "custom": lambda: _read_with_loader(path, reading),
    }
    try:
        yield from readers[format]()
    except DataError as error:  # of the whole file, as soon as it is seen
        yield Problem("unreadable_file", error.message)


def _read_folder(path: Path, reading: DatasetReading | None, unread: Unread | None) -> Iterator[Record | Problem]:
    from afinador.data.files.folders import read_folder  # YAML and pydantic: only folders need them

    of_each = reading.of_member() if reading else None

    def read_member(file: Path, name: str) -> Iterator[Record | Problem]:
        return _read(file, detect_format(file, name, of_each), of_each)

    return read_folder(path, reading, read_member, unread)


def _read_with_loader(path: Path, reading: DatasetReading | None) -> Iterator[Record | Problem]:
    from afinador.data.files.loaders import (
        read_with_loader,  # settings and pydantic: half the start of a judging process
    )

    return read_with_loader(path, reading)


def _read_json_lines(path: Path, encoding: Encoding | None) -> Iterator[Record | Problem]:
    first = next((line for line in islice(lines_of(path, encoding), _LINES_BEFORE_FIRST) if line.text.strip()), None)
    if first is not None and first.text.strip() == "{":
        message = (
            f"Line {first.number} opens an object that goes on in the next lines; JSON Lines has one object a line. Write "
            "each without line breaks, or all of them as an array ([…, …]) into a file with the extension .json."
        )
        yield Problem("json_structure", message, first.number)
        return
    if encoding_of(path, encoding) == "utf-8-sig":
        found = (record_of_raw_line(number, raw) for number, raw in raw_lines(path))
    else:
        found = (record_of_json_line(line) for line in lines_of(path, encoding))
    yield from (record for record in found if record is not None)


def record_of_raw_line(number: int, raw: bytes) -> Record | Problem | None:
    """Return what ``record_of_json_line`` does, of the bytes of a line in UTF-8; a byte order mark was taken off."""
    try:
        value = decode_quickly(raw) if len(raw) <= LONGEST_LINE_BYTES else None
    except ValueError:
        value = None
    if type(value) is dict:
        return Record(number, value)
    # Whatever it is, it is told by those who take their time.
    return record_of_json_line(decoded(number, raw, "utf-8-sig"))


def record_of_json_line(line: Line) -> Record | Problem | None:
    """Return the record that one line of JSON Lines holds, or why it holds none; None of a blank line."""
    if line.problem is not None:
        return line.problem
    text = line.text.strip(" \t\r\n")
    if not text:
        return None
    try:
        value, end = _DECODER.decode_at(text, 0)
    except BrokenJSONError as error:
        return Problem("json_syntax", f"Line {line.number} is no JSON: {error}", line.number)
    if text[end:].strip() == ",":
        message = f"Line {line.number} has a comma behind its JSON object. Remove it: in JSON Lines only line breaks part objects."
        return Problem("json_syntax", message, line.number)
    if text[end:].lstrip(" \t").startswith("\r"):
        message = (
            f"Line {line.number} goes on behind a carriage return alone, with which lines ended on old Macs; those of JSON Lines "
            "end with a line feed. Write the file again with such line ends."
        )
        return Problem("json_structure", message, line.number)
    if end < len(text):
        message = (
            f"Line {line.number} goes on after its JSON object, at character {end + 1}. "
            "Put each object on a line of its own, with nothing else on it."
        )
        return Problem("json_syntax", message, line.number)
    return as_record(value, line.number, "Line")
