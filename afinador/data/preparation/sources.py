"""A data set that is prepared, and which parts of it can be read apart from each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.compressed import is_compressed
from afinador.data.detection import encoding_of
from afinador.data.lines import Part, raw_lines_of
from afinador.data.readers import read_records, record_of_raw_line
from afinador.data.records import Format, Problem, Record

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading


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
        """Read it; see ``read_records``."""
        return read_records(self.path, self.format, self.reading)

    def has_parts(self) -> bool:
        """Tell whether it is a file of JSON Lines in UTF-8, taken as they are, whose parts are read as the whole is."""
        if self.format != "jsonl" or is_compressed(self.path) or (self.reading is not None and self.reading.mapping):
            return False
        if not isinstance(next(iter(self), None), Record):
            return False  # the first line is told of in a way of its own
        return encoding_of(self.path, self.reading.encoding if self.reading else None) == "utf-8-sig"


def records_of_part(path: Path, part: Part) -> Iterator[Record | Problem]:
    """Yield what is in a part of a file of JSON Lines in UTF-8."""
    found = (record_of_raw_line(number, raw) for number, raw in raw_lines_of(path, part))
    return (record for record in found if record is not None)
