"""CSV and its cousins: delimiter and quote are found by the header line."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from afinador.data.files.formats import TAB_EXTENSIONS, extension_of
from afinador.data.files.lines import LONGEST_LINE_BYTES, Line, lines_of
from afinador.data.quoting import masked, shortened
from afinador.data.records import Problem, Record
from afinador.figures import counted

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

DELIMITERS = "\t,;|"
"""Of those that part a header equally often the first is taken."""

MOST_COLUMNS = 10_000
_LINE_WITH_END = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def columns_of_csv(path: Path, reading: DatasetReading | None = None) -> list[str]:
    """Return the names in the header, or those declared; none of an empty file or a header that is no CSV.

    Raises:
        DataError: What is compressed is damaged or too large, or the encoding cannot be the declared one.
    """
    if reading is not None and reading.columns:
        return list(reading.columns)
    header = next(_rows(_Source(path, reading)), None)
    if header is None or isinstance(header, Problem) or len(header[1]) > MOST_COLUMNS:
        return []
    return named_columns(header[1])


class Dialect(NamedTuple):
    """How values are parted, and what stands around those that hold the delimiter or a line break."""

    delimiter: str
    quote: str


def dialect_of(path: Path, reading: DatasetReading | None = None) -> Dialect:
    """Return how a CSV is written, by its header and by what is declared."""
    source = _Source(path, reading)
    return Dialect(source.delimiter, source.quote)


def read_csv(path: Path, reading: DatasetReading | None = None) -> Iterator[Record | Problem]:
    """Yield the rows below the header; a column without a name is named by its number, so that nothing is lost.

    Values stay exactly as they are (spaces, ``NA``, ``00123``); only the column names are stripped.

    Raises:
        DataError: What is compressed is damaged or too large, or the encoding cannot be the declared one.
    """
    rows = _rows(_Source(path, reading))
    if reading is not None and reading.columns:
        columns = list(reading.columns)
    else:
        header = next(rows, None)
        if header is None:
            return
        if isinstance(header, Problem):
            yield header
            return
        columns = named_columns(header[1])
        if len(columns) > MOST_COLUMNS:
            message = (
                f"Line {header[0]} has {len(columns)} columns; at most {MOST_COLUMNS} are read. Check the delimiter."
            )
            yield Problem("unknown_columns", message, header[0])
            return
        repeated = sorted(name for name, count in Counter(columns).items() if count > 1)
        if repeated:
            message = f"Line {header[0]}: two columns are named {shortened(repeated[0])}. Rename or remove one of them."
            yield Problem("duplicate_column", message, header[0], masked(repeated[0]))
            return
    for row in rows:
        yield row if isinstance(row, Problem) else record_of_row(columns, *row)


def record_of_row(columns: list[str], line: int, values: list[str]) -> Record | Problem:
    """Return the record of a row, or why it is none."""
    if len(values) != len(columns):
        message = (
            f"Line {line} has {counted(len(values), 'value')}, but the header has {counted(len(columns), 'column')} "
            f"({shortened(', '.join(columns))}). Put quotes around values that hold the delimiter or a line break."
        )
        return Problem("column_count", message, line)
    return Record(line, dict(zip(columns, values, strict=True)))


def named_columns(header: list[str]) -> list[str]:
    """Return the names of the columns, without spaces around them; one without a name is called ``column_3``."""
    return [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]


class _Source:
    """Feeds lines to the csv module and remembers what was wrong with those of the present row."""

    def __init__(self, path: Path, reading: DatasetReading | None) -> None:
        self.problem: Problem | None = None
        self._lines = self._split(lines_of(path, reading.encoding if reading else None))
        self._held: list[str] = []
        expected = "\t" if extension_of(path.name) in TAB_EXTENSIONS else ""
        found, self.quote = self._find_dialect(expected, len(reading.columns or ()) if reading else 0)
        self.delimiter = (reading.delimiter if reading else None) or found

    def __iter__(self) -> Iterator[str]:
        yield from self._held
        yield from self._lines

    def _split(self, lines: Iterator[Line]) -> Iterator[str]:
        """Cut at a lone carriage return too (old Macs), which the line reader does not."""
        for line in lines:
            problem = line.problem
            if problem is None and "\x00" in line.text:
                problem = Problem(
                    "nul_character",
                    f"Line {line.number} holds a NUL character: the file is damaged or binary. Export it again.",
                    line.number,
                )
            self.problem = self.problem or problem
            if "\r" in line.text:
                yield from _LINE_WITH_END.findall(line.text)
            else:
                yield line.text

    def _find_dialect(self, expected: str, columns: int) -> tuple[str, str]:
        """Return delimiter and quote by the first line: what gives as many columns as declared, else most of them.

        The expected delimiter comes before others, where the line holds it.
        """
        # The limit of the csv module (128 kB a field) is global to the process; ours is the longest line.
        csv.field_size_limit(LONGEST_LINE_BYTES)
        for text in self._lines:
            self._held.append(text)
            if separator := _SEPARATOR_LINE.fullmatch(text):
                self._held[-1] = "\n"
                header = next(self._lines, "")
                self._held.append(header)
                return separator[1], _quote_of(header)
            if text.strip():
                quote = _quote_of(text)
                if expected and expected in text:
                    return expected, quote
                found = {delimiter: _columns_found(text, delimiter, quote) for delimiter in DELIMITERS}
                return max(DELIMITERS, key=lambda delimiter: (found[delimiter] == columns, found[delimiter])), quote
        return expected or ",", '"'


def _quote_of(header: str) -> str:
    return "'" if header.startswith("'") else '"'


def _columns_found(header: str, delimiter: str, quote: str) -> int:
    return len(next(csv.reader([header], delimiter=delimiter, quotechar=quote), []))


def _rows(source: _Source) -> Iterator[tuple[int, list[str]] | Problem]:
    """Yield each row with the line on which it starts; after a broken one reading goes on."""
    reader = csv.reader(source, delimiter=source.delimiter, quotechar=source.quote, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            problem, source.problem = source.problem, None
            yield problem or _syntax_problem(line, str(error))
            continue
        problem, source.problem = source.problem, None
        if problem is not None:
            yield problem
        elif row is None:
            return
        elif row:
            yield line, row


def _syntax_problem(line: int, reason: str) -> Problem:
    if "unexpected end of data" in reason or "field larger" in reason:
        said = "a quote opens and is never closed"
    elif "expected after" in reason:
        said = "text follows a closing quote"
    else:
        said = reason
    message = f'Line {line} is no CSV: {said}. Double the quotes inside of quoted values (""), also where they are marked by a backslash (\\").'
    return Problem("csv_syntax", message, line)
