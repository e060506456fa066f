"""Writes records in every format that is written, such that reading gives the same records again.

What a format cannot hold is refused by name: in a CSV all is text, so it takes no numbers and no true or false.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

from afinador.data.files.compressed import open_to_write
from afinador.data.files.formats import FORMATS, TAB_EXTENSIONS, extension_of
from afinador.data.files.plain_values import refused_value
from afinador.data.files.table_writers import write_table
from afinador.data.quoting import described, named, shortened
from afinador.data.records import Format, Record
from afinador.errors import DataError, StorageError

EXTENSIONS: dict[Format, str] = {format: row.extensions[0] for format, row in FORMATS.items() if row.is_written}
"""Of the files that are written, by format."""

NOTHING_LEFT = "nothing_left"
NAMES_SHOWN = 20
_NO_NAME = re.compile(r"[\x00\r\n]")
"""A header is one line, by which its delimiter is found."""

Item = TypeVar("Item")
TextWriter = Callable[[Iterator[Record], TextIO], None]
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def write_records(records: Iterator[Record], path: Path, format: Format) -> int:
    """Write records into a file, which appears whole or not at all, and return how many they were.

    A text format is compressed where the file's name says so (.gz, .zst), with the same bytes for the same records.
    CSV takes records that all have the same fields, each a text, and parts them by tabs where the name says so (.tsv);
    plain text takes records that hold nothing but ``text``, without blank lines, which part documents; Parquet and Arrow
    take records whose values are of one kind at each place, and not null.

    Raises:
        DataError: A record does not fit the format, or there is none.
        StorageError: The file cannot be written.
    """
    if format == "jsonl":
        return write_lines(records, path)
    delimiter = "\t" if extension_of(path.name) in TAB_EXTENSIONS else ","
    writers: dict[Format, TextWriter] = {
        "csv": lambda records, stream: _write_csv(records, stream, delimiter),
        "json": _write_json,
        "text": _write_text,
    }
    counted = _Counted(records)
    with _whole(path, counted) as temporary:
        if format in ("parquet", "arrow"):
            write_table(counted, temporary, format)
        else:
            with (
                open_to_write(temporary, path.name) as file,
                io.TextIOWrapper(file, encoding="utf-8", newline="") as stream,
            ):
                writers[format](counted, stream)
    return counted.count


def write_lines(records: Iterator[Record | bytes], path: Path) -> int:
    """Write JSON Lines as ``write_records`` does; bytes stand for a line that ``json_line`` has made already."""
    counted = _Counted(records)
    with _whole(path, counted) as temporary, open_to_write(temporary, path.name) as file:
        file.writelines(record if isinstance(record, bytes) else json_line(record) for record in counted)
    return counted.count


def json_line(record: Record) -> bytes:
    """Return a record as a line of JSON, with its end.

    Raises:
        DataError: It holds something that JSON cannot.
        UnicodeEncodeError: It holds half a surrogate pair.
    """
    return (_json(record) + "\n").encode()


class _Counted(Generic[Item]):
    """Records, and how many of them have been taken."""

    def __init__(self, records: Iterator[Item]) -> None:
        self._records = records
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        record = next(self._records)
        self.count += 1
        return record


@contextmanager
def _whole(path: Path, counted: _Counted[Any]) -> Iterator[Path]:
    """Give a name to write at, and what was written there the right one, or take it away if that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if not counted.count:
            raise nothing_left(path.name)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror}.") from error
    except UnicodeEncodeError as error:
        said = f"Record {counted.count} holds half a surrogate pair, which is no character. Remove it."
        raise DataError(said) from error
    finally:
        temporary.unlink(missing_ok=True)


def nothing_left(name: str) -> DataError:
    """Return what is said where no record is left for a file."""
    said = f"No record is left for {name}. Loosen the filters, or check the data set."
    return DataError(said, fault=NOTHING_LEFT)


def _write_json(records: Iterator[Record], stream: TextIO) -> None:
    separator = "[\n"
    for record in records:
        stream.write(separator + _json(record))
        separator = ",\n"
    stream.write("\n]\n")


def _json(record: Record) -> str:
    try:
        return _ENCODER.encode(record.fields)
    except (TypeError, ValueError) as error:
        raise refused_value(record, error) from error


def _write_csv(records: Iterator[Record], stream: TextIO, delimiter: str) -> None:
    columns: list[str] = []
    for record in records:
        if not columns:
            columns = list(record.fields)
            _require_header(record, columns)
            stream.write(_row(columns, delimiter))
        if record.fields.keys() != set(columns):
            raise DataError(
                f"{record.place} has the fields {_some_of(record.fields)}, the first record {_some_of(columns)}; "
                "in a CSV all are the same. Write JSONL."
            )
        stream.write(_row([_cell(record, name) for name in columns], delimiter))


def _row(values: list[str], delimiter: str) -> str:
    """Return what ``csv.writer`` writes ten times as slowly: all in quotes, so that it is read as it was written."""
    return delimiter.join(['"' + value.replace('"', '""') + '"' for value in values]) + "\r\n"


def _some_of(names: Iterable[str]) -> str:
    return ", ".join(map(shortened, islice(names, NAMES_SHOWN)))


def _require_header(record: Record, columns: list[str]) -> None:
    bad = next((name for name in columns if not name or name != name.strip() or _NO_NAME.search(name)), None)
    if bad is not None or not columns:
        what = "no fields" if bad is None else f"a field named {named(bad)}"
        raise DataError(
            f"{record.place} has {what}; names of columns are not empty, stand on one line, and have no spaces around them. "
            "Rename it, or write JSONL."
        )


def _cell(record: Record, name: str) -> str:
    value = record.fields[name]
    if isinstance(value, str):
        if "\x00" in value:
            raise DataError(f"{record.place}: {shortened(name)} holds a NUL character, which no CSV holds. Remove it.")
        return value
    if isinstance(value, list | tuple):  # of which nothing that reads a CSV would make a list again
        said = f"{record.place}: {shortened(name)} is {described(value)}; a CSV holds nothing but text. Write JSONL."
        raise DataError(said)
    raise DataError(
        f"{record.place}: {shortened(name)} is {described(value)}; a CSV holds nothing but text, and would not give it back as "
        "it is. Write JSONL or JSON (Parquet and Arrow hold all but null), or make it a text first: a step transform with the "
        f"operation template, field {shortened(name)} and the template '{{{name}}}'."
    )


def _write_text(records: Iterator[Record], stream: TextIO) -> None:
    separator = ""
    for record in records:
        text = record.fields.get("text")
        if not isinstance(text, str) or len(record.fields) > 1:
            found = f"the fields {', '.join(record.fields)}" if record.fields else "no fields"
            raise DataError(f"{record.place} has {found}; plain text holds 'text' alone. Write JSONL.")
        if not all(line.strip() for line in text.split("\n")):
            raise DataError(f"{record.place} is empty or holds a blank line, which parts documents. Write JSONL.")
        if "\x00" in text or "\r\n" in text or text.endswith("\r") or text.startswith("\ufeff"):
            raise DataError(
                f"{record.place} holds a NUL character, a byte order mark or a line end of Windows, which plain text does "
                "not give back as it is. Remove it, or write JSONL."
            )
        stream.write(f"{separator}{text}\n")
        separator = "\n"
