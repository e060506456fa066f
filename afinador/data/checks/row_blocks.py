"""Parts of a CSV, each of whole rows, that can be judged apart from each other.

Where a row ends cannot be seen from the middle of a file, for a line break may stand in quotes. It is guessed by the
number of quotes before it, and the guess is proven by reading: a part that begins with a row and whose reading ends
outside of quotes is followed by a part that begins with a row, as the reader remembers nothing of a row that is done.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import ModuleType

from afinador.data.blanks import is_missing, may_be_blank
from afinador.data.checks import characters
from afinador.data.checks.findings import Findings, Proven
from afinador.data.checks.judging import LONG_RECORD_CHARACTERS, Judge
from afinador.data.checks.line_blocks import BLOCK_BYTES, Block, is_searched
from afinador.data.checks.personal_data import may_be_personal
from afinador.data.checks.plain_rows import MOST_COLUMNS, PlainRows, row_pattern
from afinador.data.checks.proofs import is_claimed
from afinador.data.files.delimited import named_columns, record_of_row
from afinador.data.files.dialects import Dialect, keeps_quotes
from afinador.data.files.lines import BYTE_ORDER_MARK, LONGEST_LINE_BYTES, count_line_feeds
from afinador.data.shapes import SHAPES


@dataclass(frozen=True)
class Rows:
    """The rows of a CSV in UTF-8 below a header of one line, and the checks of its records.

    Attributes:
        header: Names of the columns.
        offset: Bytes of the header's line.
    """

    path: Path
    judge: Judge
    dialect: Dialect
    header: tuple[str, ...]
    offset: int

    @classmethod
    def find(cls, path: Path, judge: Judge, dialect: Dialect, columns: list[str]) -> Rows | None:
        """Return the rows of a file; None if its header is of another kind than most are.

        Args:
            path: Of the file.
            judge: The checks of its records.
            dialect: How it is written, as the reader found it; a usual one.
            columns: Names of its columns, as the reader found them.
        """
        with path.open("rb") as file:
            line = file.readline(BLOCK_BYTES)
        text = line.removeprefix(BYTE_ORDER_MARK)
        try:
            rows = list(csv.reader([text.decode()], delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True))
        except (csv.Error, UnicodeDecodeError):
            return None
        if not line.endswith(b"\n") or len(rows) != 1 or named_columns(rows[0]) != columns:
            return None
        named = [name for name in columns if name]
        if len(named) != len(set(named)) or _has_other_line_ends(line):
            return None
        return cls(path, judge, dialect, tuple(columns), len(line))

    def blocks(self) -> Iterator[Block]:
        """Yield what are whole rows by the number of quotes; of a row without end no more than a block is held."""
        quote = self.dialect.quote.encode()
        with self.path.open("rb") as file:
            file.seek(self.offset)
            offset, first_line, number = self.offset, 2, 0
            while raw := file.read(BLOCK_BYTES):
                size, end, closely = len(raw), raw, is_searched(number)
                count_of = arrays.count_of if (arrays := self._arrays()) else _count_of
                lines, quotes = count_of(b"\n", raw), count_of(quote, raw)
                while (quotes % 2 or not end.endswith(b"\n")) and (end := file.readline(BLOCK_BYTES)):
                    size, lines, quotes = size + len(end), lines + end.count(b"\n"), quotes + end.count(quote)
                yield Block(offset, size, first_line, closely)
                offset, first_line, number = offset + size, first_line + lines, number + 1

    def findings(self, block: Block) -> Findings | None:
        """Return what there is to say about the rows of a part; None if it is not made of whole rows, or too long."""
        if block.size > LONGEST_LINE_BYTES:
            return None
        with self.path.open("rb") as file:
            file.seek(block.offset)
            raw = file.read(block.size)
        if b"\x00" in raw or _has_other_line_ends(raw):
            return None
        try:
            return self._judged(raw, block)
        except (csv.Error, UnicodeDecodeError):
            return None

    def _judged(self, raw: bytes, block: Block) -> Findings:
        found = Findings()
        arrays = self._arrays()
        places = None if (arrays or characters).may_be_strange_text(raw) else self._places()
        used = set(SHAPES[self.judge.shape]) if self.judge.shape else set()
        ignored = [name for name in self.header if name and name not in used]
        line, position = block.first_line, 0
        is_labelled = self.judge.shape == "text_label"
        if places is not None and not block.closely and 2 <= len(self.header) <= MOST_COLUMNS:
            plain_rows = arrays.RowArrays if arrays else PlainRows
            position, line = plain_rows(self.dialect, len(self.header), *places, is_labelled).take(raw, line, found)
            if position:
                found.ignore(ignored)
        for row, lines in _rows_of(raw[position:], self.dialect, len(self.header)):
            proven = _proven(row, len(self.header), places, ignored, is_labelled)
            if proven is not None and not (block.closely and may_be_personal(proven.parts)):
                found.take(line, proven, closely=block.closely)
            elif row:
                record = record_of_row(list(self.header), line, row)
                self.judge.judge(record, found, closely=block.closely)
            line += lines
        self.judge.finish(found)
        return found

    def _arrays(self) -> ModuleType | None:
        return _row_arrays() if self.judge.is_of_large_file else None

    def _places(self) -> tuple[int, int] | None:
        """Return where the two fields of the shape stand in a row; None where rows cannot be proven good."""
        if self.judge.shape not in ("prompt_completion", "text_label"):
            return None
        first, second = SHAPES[self.judge.shape]
        if any(is_claimed(name) for name in self.header if name not in (first, second)):
            return None
        return self.header.index(first), self.header.index(second)


def _rows_of(raw: bytes, dialect: Dialect, columns: int) -> Iterator[tuple[list[str], int]]:
    """Yield each row, and on how many lines it stands, as the csv module reads it.

    Rows as most are, with all columns and quotes around whole values alone, are found by a pattern in half of the time;
    from the first other one on the csv module reads.

    Raises:
        UnicodeDecodeError: While iterating: it is not UTF-8.
    """
    position = 0
    match = row_pattern(dialect, columns).match if 2 <= columns <= MOST_COLUMNS else lambda *_: None
    quote, pair = dialect.quote, 2 * dialect.quote
    while found := match(raw, position):
        values = found.groups()
        row = [
            bare.decode() if quoted is None else quoted.decode().replace(pair, quote)
            for quoted, bare in zip(values[::2], values[1::2], strict=True)
        ]
        yield row, raw.count(b"\n", position, found.end())
        position = found.end()
    csv.field_size_limit(LONGEST_LINE_BYTES)
    text = StringIO(raw[position:].decode(), newline="\n")
    reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=quote, strict=True)
    lines = 0
    for row in reader:
        yield row, reader.line_num - lines
        lines = reader.line_num


def _count_of(byte: bytes, raw: bytes) -> int:
    return count_line_feeds(raw) if byte == b"\n" else raw.count(byte)


@cache
def _row_arrays() -> ModuleType | None:
    """Return ``row_arrays`` where NumPy is installed."""
    if find_spec("numpy") is None:
        return None
    from afinador.data.checks import row_arrays

    return row_arrays


def _has_other_line_ends(raw: bytes) -> bool:
    return b"\r" in raw and raw.count(b"\r") != raw.count(b"\r\n")


def _proven(
    row: list[str], columns: int, places: tuple[int, int] | None, ignored: list[str], is_labelled: bool
) -> Proven | None:
    if places is None or len(row) != columns:
        return None
    first, second = row[places[0]], row[places[1]]
    size = len(first) + len(second)
    if may_be_blank(first) or may_be_blank(second) or size > LONG_RECORD_CHARACTERS:
        return None
    if keeps_quotes(first) or keeps_quotes(second):
        return None
    if not is_labelled and is_missing(second):
        return None
    return Proven([first, second], size, ignored, second if is_labelled else None)
