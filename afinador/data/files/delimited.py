"""CSV and its cousins: delimiter and quote are found by the first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.files.dialects import (
    Dialect,
    delimiter_of,
    escape_of,
    first_lines,
    is_unquoted,
    lines_with,
    quoting_of,
    skips_blanks,
)
from afinador.data.files.formats import TAB_EXTENSIONS, extension_of
from afinador.data.files.lines import LONGEST_LINE_BYTES, Line, lines_of
from afinador.data.quoting import masked, shortened
from afinador.data.records import Problem, Record
from afinador.errors import DataError
from afinador.figures import counted
from afinador.schemas.dataset_formats import NONE

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

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


def dialect_of(path: Path, reading: DatasetReading | None = None) -> Dialect:
    """Return how a CSV is written, by its header and by what is declared."""
    return _Source(path, reading).dialect


def doubts_about_quotes(path: Path, reading: DatasetReading | None = None) -> Iterator[Problem]:
    """Yield a warning where quotes are found to be written as few programs write them, and nothing is declared of it."""
    is_declared = reading is not None and (reading.quote_character or reading.escape_character)
    try:
        dialect = None if is_declared else dialect_of(path, reading)
    except DataError:  # which reading has told
        return
    if dialect is not None and not dialect.quote:
        said = (
            "Quotes are read as characters like all others, for lines that begin a value with one are no rows otherwise. Declare "
            "--quote-character none (reading.quote_character) if that is meant; else put quotes around whole values, and double "
            "those inside."
        )
        yield Problem("bare_quotes", said)
    elif dialect is not None and dialect.escape:
        said = (
            f"Quotes inside of values are marked by {dialect.escape}, and read so; many programs read such lines otherwise. Declare "
            f"--escape-character '{dialect.escape}' (reading.escape_character) if that is meant; else double the quotes."
        )
        yield Problem("escaped_quotes", said)


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
    is_declared = bool(reading and reading.columns)
    for row in rows:
        yield row if isinstance(row, Problem) else record_of_row(columns, *row, is_declared=is_declared)


def record_of_row(columns: list[str], line: int, values: list[str], *, is_declared: bool = False) -> Record | Problem:
    """Return the record of a row, or why it is none.

    Args:
        columns: Their names.
        line: That of the row.
        values: Of the row.
        is_declared: A person has named the columns, not the header.
    """
    if len(values) != len(columns):
        return Problem("column_count", _miscounted(columns, line, values, is_declared), line)
    return Record(line, dict(zip(columns, values, strict=True)))


def _miscounted(columns: list[str], line: int, values: list[str], is_declared: bool) -> str:
    whose = "columns names" if is_declared else "the header has"
    named = counted(len(columns), "column")
    said = f"Line {line} has {counted(len(values), 'value')}, but {whose} {named} ({shortened(', '.join(columns))})."
    if len(values) < len(columns):
        remedy = "Write what is missing, or its delimiter where it is empty"
        if len(values) == 1:
            remedy += ", or declare the delimiter (--delimiter, or reading.delimiter) if values are parted otherwise"
        return f"{said} {remedy}."
    remedy = "Put quotes around values that hold the delimiter or a line break"
    if is_declared:
        remedy = f"Name all columns (--columns, or reading.columns), or declare another delimiter, or {remedy.lower()}"
    return f"{said} {remedy}."


def named_columns(header: list[str]) -> list[str]:
    """Return the names of the columns, without spaces around them; one without a name is called ``column_3``."""
    return [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]


class _Source:
    """Feeds lines to the csv module and remembers what was wrong with those of the present row."""

    def __init__(self, path: Path, reading: DatasetReading | None) -> None:
        self.problem: Problem | None = None
        self.is_open = False  # a quoted value, at the end of the line that was fed last
        self._lines = self._split(lines_of(path, reading.encoding if reading else None))
        self._held: list[str] = []
        expected = "\t" if extension_of(path.name) in TAB_EXTENSIONS else ""
        self.dialect = self._find_dialect(path, expected, reading)

    def __iter__(self) -> Iterator[str]:
        yield from self._held
        yield from self._hidden() if self.dialect.escape else self._lines

    def _hidden(self) -> Iterator[str]:
        for line in self._lines:
            text, self.is_open = self.dialect.hidden(line, is_open=self.is_open)
            yield text

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

    def _find_dialect(self, path: Path, expected: str, reading: DatasetReading | None) -> Dialect:
        """Return how the file is written; the expected delimiter comes before others, where the first line holds it."""
        lines = first_lines(path, reading.encoding if reading else None)
        declared = reading.columns or () if reading else ()
        delimiter = reading.delimiter if reading else None
        if lines and (separator := _SEPARATOR_LINE.fullmatch(lines[0])):
            self._hold_separator_line()
            delimiter, lines = delimiter or separator[1], lines[1:]
        quote = "'" if lines and lines[0].startswith("'") else '"'
        if delimiter is None and lines:
            delimiter = expected if expected and expected in lines[0] else delimiter_of(lines, quote, len(declared))
        delimiter = delimiter or expected or ","
        columns = len(declared) or len(next(csv.reader(lines[:1], delimiter=delimiter, quotechar=quote), []))
        return self._with_quotes(path, delimiter, lines, columns, reading)

    def _with_quotes(
        self, path: Path, delimiter: str, lines: list[str], columns: int, reading: DatasetReading | None
    ) -> Dialect:
        encoding, declared, escape = None, None, None
        if reading is not None:
            encoding, declared, escape = reading.encoding, reading.quote_character, reading.escape_character
        if declared == NONE:
            return Dialect(delimiter, "")
        if declared is not None:
            quote, has_blanks = declared, skips_blanks(lines, delimiter, declared, columns)
        else:
            quote, has_blanks = quoting_of(lines, delimiter, columns)
            may_be_bare = delimiter == "\t" and quote == '"' and escape is None
            if may_be_bare and is_unquoted([*lines, *lines_with(path, encoding, quote)], delimiter, columns):
                return Dialect(delimiter, "")
        if escape is None:
            escape = escape_of(lines_with(path, encoding, f"\\{quote}"), delimiter, quote, columns)
        return Dialect(delimiter, quote, has_blanks, "" if escape == NONE else escape)

    def _hold_separator_line(self) -> None:
        """Leave an empty line where the first one that is not blank says the delimiter."""
        for text in self._lines:
            self._held.append(text if not text.strip() else "\n")
            if text.strip():
                return


def _rows(source: _Source) -> Iterator[tuple[int, list[str]] | Problem]:
    """Yield each row with the line on which it starts; after a broken one reading goes on."""
    # The limit of the csv module (128 kB a field) is global to the process; ours is the longest line.
    csv.field_size_limit(LONGEST_LINE_BYTES)
    dialect = source.dialect
    reader = csv.reader(source, **dialect.options())
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            problem, source.problem, source.is_open = source.problem, None, False
            yield problem or _syntax_problem(line, str(error))
            continue
        problem, source.problem = source.problem, None
        if problem is not None:
            yield problem
        elif row is None:
            return
        elif row:
            yield line, [dialect.shown(value) for value in row] if dialect.escape else row


def _syntax_problem(line: int, reason: str) -> Problem:
    if "unexpected end of data" in reason or "field larger" in reason:
        said = "a quote opens and is never closed"
    elif "expected after" in reason:
        said = "text follows a closing quote"
    else:
        said = reason
    message = (
        f'Line {line} is no CSV: {said}. Double the quotes inside of quoted values (""), or declare what they are marked by '
        "(--escape-character, or reading.escape_character); where quotes are characters like all others, declare "
        "--quote-character none (reading.quote_character)."
    )
    return Problem("csv_syntax", message, line)
