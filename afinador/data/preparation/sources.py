"""A data set that is prepared, and which parts of it can be read apart from each other."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.files.compressed import is_compressed
from afinador.data.files.detection import encoding_of
from afinador.data.files.lines import Part, raw_lines_of
from afinador.data.files.readers import read_records, record_of_raw_line
from afinador.data.records import Format, Problem, Record
from afinador.data.shapes import with_nulls

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

AnyPart = Part | list[bytes]
"""Of a data set: lines of its file, or packed what was read of it."""


@dataclass(frozen=True)
class Source:
    """A data set that can be read as often as one likes.

    Attributes:
        path: A file or a folder.
        format: As ``detect_format`` has found it.
        reading: What is declared of it.
    """

    path: Path
    format: Format
    reading: DatasetReading | None = None

    def __iter__(self) -> Iterator[Record | Problem]:
        """Read it; see ``read_records`` and, of the rows of tables, ``with_nulls``."""
        for found in read_records(self.path, self.format, self.reading):
            yield with_nulls(found) if isinstance(found, Record) else found

    def has_lines(self) -> bool:
        """Tell whether it is a file of JSON Lines in UTF-8, taken as they are, whose parts are read as the whole is."""
        if self.format != "jsonl" or is_compressed(self.path) or (self.reading is not None and self.reading.mapping):
            return False
        if not isinstance(next(iter(self), None), Record):
            return False  # the first line is told of in a way of its own
        return encoding_of(self.path, self.reading.encoding if self.reading else None) == "utf-8-sig"


def records_of_part(path: Path, part: AnyPart) -> Iterator[Record | Problem]:
    """Yield what is in a part of a data set, whose file it is."""
    if isinstance(part, list):
        return map(unpacked, part)
    found = (record_of_raw_line(number, raw) for number, raw in raw_lines_of(path, part))
    return (record for record in found if record is not None)


def size_of(part: AnyPart) -> int:
    """Return how many bytes a part has."""
    return sum(map(len, part)) if isinstance(part, list) else part.size


def line_of(part: AnyPart) -> int:
    """Return a line on which a part is, or a number of a record in it."""
    return unpacked(part[-1]).line if isinstance(part, list) else part.first_line


def packed(found: Record | Problem) -> bytes:
    """Return it as bytes, for a process of ours; they take a fraction of its memory."""
    return pickle.dumps(found)


def unpacked(made: bytes) -> Any:
    """Return what ``packed`` has made into bytes."""
    return pickle.loads(made)


def batches_of(found: Iterable[Record | Problem], batch_bytes: int) -> Iterator[list[bytes]]:
    """Yield what was read, packed, in parts of about so many bytes, in order."""
    batch: list[bytes] = []
    size = 0
    for each in found:
        batch.append(packed(each))
        size += len(batch[-1])
        if size >= batch_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
