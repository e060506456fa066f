"""How a CSV is written, told by its first lines: what parts values, and what stands around them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from afinador.data.files.compressed import open_unpacked
from afinador.data.files.detection import encoding_of
from afinador.data.files.lines import LONGEST_LINE_BYTES, lines_of
from afinador.data.records import Encoding

DELIMITERS = "\t,;|"
"""Of those that part a header equally often the first is taken."""

LINES_LOOKED_AT = 20
CHARACTERS_LOOKED_AT = 2**16
BYTES_SEARCHED = 2**20
"""In so much of a file lines are looked for that hold what few lines do: a backslash, or in a table parted by tabs a quote."""


class Dialect(NamedTuple):
    """How values are parted, and what stands around those that hold the delimiter or a line break.

    Attributes:
        quote: Empty where quotes are characters like all others.
        skips_blanks: Blanks behind a delimiter belong to no value: they stand before quotes, too.
        escape: In a quoted value, before a quote or before itself, it says that this is a character of the value. Empty: only doubled quotes are.
    """

    delimiter: str
    quote: str
    skips_blanks: bool = False
    escape: str = ""

    @property
    def is_usual(self) -> bool:
        """Whether quotes stand around whole values alone, and are doubled within."""
        return bool(self.quote) and not self.skips_blanks and not self.escape

    def options(self) -> dict[str, Any]:
        """Return what the csv module is told; of a dialect with an escape for lines that ``escaped`` has seen."""
        if not self.quote:
            return {"delimiter": self.delimiter, "quoting": csv.QUOTE_NONE, "strict": True}
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote,
            "skipinitialspace": self.skips_blanks,
            "strict": True,
        }

    def hidden(self, line: str, *, is_open: bool = False) -> tuple[str, bool]:
        """Return a line in which what is escaped in quoted values is out of sight of the csv module, which takes more for escaped.

        Args:
            line: Of the file.
            is_open: It begins within a quoted value that an earlier line has opened.

        Returns:
            The line, and whether a quoted value is open at its end.
        """
        if not is_open and self.quote not in line:
            return line, False
        end = self.quote

        def hide(found: re.Match[str]) -> str:
            nonlocal end
            before, inside, end = found.groups()
            for sign, stand_in in ((self.escape, _HIDDEN_ESCAPE), (self.quote, _HIDDEN_QUOTE)):
                inside = inside.replace(self.escape + sign, stand_in)
            return before + inside + end

        text = _quoted_values(self).sub(hide, self.quote + line if is_open else line)
        return text[1:] if is_open else text, not end

    def shown(self, value: str) -> str:
        """Return a value with what was hidden."""
        return value.replace(_HIDDEN_QUOTE, self.quote).replace(_HIDDEN_ESCAPE, self.escape) if "\0" in value else value


_HIDDEN_QUOTE, _HIDDEN_ESCAPE = "\0q", "\0e"
"""A row with a NUL of its own is refused, so that nothing else can be meant."""


@cache
def _quoted_values(dialect: Dialect) -> re.Pattern[str]:
    """Return what finds the quoted values of a line: what opens each, what is inside, and the quote that closes it or nothing.

    Each sign of a line is looked at once: nothing is taken back, and a value that is not closed reaches to the line's end.
    """
    delimiter, quote, escape = (re.escape(each) for each in (dialect.delimiter, dialect.quote, dialect.escape))
    blanks = " *+" if dialect.skips_blanks and dialect.delimiter != " " else ""
    inside = f"[^{quote}{escape}]++|{escape}[{escape}{quote}]|{quote}{quote}"
    if escape != quote:
        inside += f"|{escape}"
    return re.compile(f"((?:^|(?<={delimiter})){blanks}{quote})((?:{inside})*+)({quote}|\\Z)")


def first_lines(path: Path, encoding: Encoding | None) -> list[str]:
    """Return the first lines of a file that are not blank, without their ends; one that is too long ends them.

    Raises:
        DataError: What is compressed is damaged or too large, or the encoding cannot be the declared one.
    """
    found: list[str] = []
    for line in islice(lines_of(path, encoding), 2 * LINES_LOOKED_AT):
        if len(found) == LINES_LOOKED_AT or len(line.text) > CHARACTERS_LOOKED_AT:
            break
        found += [text for text in re.split(r"[\r\n]+", line.text) if text.strip()]
    return found[:LINES_LOOKED_AT]


def lines_with(path: Path, encoding: Encoding | None, sign: str) -> list[str]:
    """Return the first lines with a sign, of the beginning of a file.

    Raises:
        DataError: As ``first_lines`` does.
    """
    with open_unpacked(path) as file:
        start = file.read(BYTES_SEARCHED)
    if sign not in start.decode(encoding_of(path, encoding), "ignore"):
        return []
    found: list[str] = []
    left = BYTES_SEARCHED
    for line in lines_of(path, encoding):
        left -= len(line.text)
        if left < 0 or len(found) >= LINES_LOOKED_AT:
            break
        found += [text for text in re.split(r"[\r\n]+", line.text) if sign in text]
    return found


def delimiter_of(lines: Sequence[str], quote: str, columns: int) -> str:
    """Return the delimiter by the first lines, which gives as many columns as declared, else most of them in the first line.

    One that parts all lines into the same number of values, more than are declared, is the delimiter nonetheless: names
    were forgotten then.

    Args:
        lines: At least one.
        quote: Stands around values.
        columns: How many are declared, 0 where none are.
    """
    found = {delimiter: [len(row) for row in _rows(lines, delimiter, quote)] for delimiter in DELIMITERS}
    if columns and len(lines) > 1:
        forgotten = {each: counts[0] for each, counts in found.items() if min(counts) == max(counts) > columns}
        fits = any(set(counts) == {columns} for counts in found.values() if columns > 1)
        if forgotten and not fits:
            return max(forgotten, key=lambda each: forgotten[each])
    return max(DELIMITERS, key=lambda each: (found[each][0] == columns, found[each][0]))


def quoting_of(lines: Sequence[str], delimiter: str, columns: int) -> tuple[str, bool]:
    """Return the quote, and whether blanks are skipped before it, by the first lines.

    Single quotes, or blanks before quotes, are those of the dialect where reading them so makes sense of every line in
    which they are, and where single quotes are in half of the lines at least: elsewhere they may be written on purpose.

    Args:
        lines: The header and rows, or rows alone.
        delimiter: Parts values.
        columns: How many there are.
    """
    bare = [[value.strip(" ") for value in _values(line, delimiter, None)] for line in lines]
    with_single = [line for line, values in zip(lines, bare, strict=True) if any(each[:1] == "'" for each in values)]
    with_double = any(each[:1] == '"' for values in bare for each in values)
    is_usual = not with_double and 2 * len(with_single) >= len(lines[1:])
    is_single = lines[:1] and lines[0].startswith("'")
    quote = "'" if is_single or (is_usual and _are_rows(with_single, delimiter, "'", columns)) else '"'
    return quote, skips_blanks(lines, delimiter, quote, columns)


def skips_blanks(lines: Sequence[str], delimiter: str, quote: str, columns: int) -> bool:
    """Tell whether blanks are skipped before quotes, as ``quoting_of`` does of a quote that is known."""
    before = re.compile(f" +{re.escape(quote)}")
    with_blanks = [line for line in lines if any(before.match(each) for each in _values(line, delimiter, quote))]
    return _are_rows(with_blanks, delimiter, quote, columns)


def escape_of(lines: Sequence[str], delimiter: str, quote: str, columns: int) -> str:
    """Return what marks quotes within quoted values: a backslash where it is certain, else nothing.

    It is where each line with a backslash before a quote has the right number of values if that marks the quote, and has
    not, or is no CSV at all, if it does not; and where two backslashes stand in quotes alone.
    """
    dialect = Dialect(delimiter, quote, escape="\\")
    marked = [line for line in lines if f"\\{quote}" in line]
    if not marked or any("\\\\" in _quoted_values(dialect).sub("", line) for line in lines):
        return ""
    is_certain = all(
        _is_row(dialect.hidden(line)[0], delimiter, quote, columns) and not _is_row(line, delimiter, quote, columns)
        for line in marked
    )
    return "\\" if is_certain else ""


def is_unquoted(lines: Sequence[str], delimiter: str, columns: int) -> bool:
    """Tell whether quotes are characters like all others, of a table that is parted by tabs.

    It is certain where each line has the right number of values if they are, and those in which a value begins with a quote
    are no rows if they stand around values: none of them by itself, nor, where quotes are doubled somewhere, as those
    within others are, all together, a value going on over several.

    Args:
        lines: The first with a quote.
        delimiter: Parts values.
        columns: How many there are.
    """
    bare = [_values(line, delimiter, None) for line in lines]
    opened = [line for line, values in zip(lines, bare, strict=True) if any(each[:1] == '"' for each in values)]
    if delimiter != "\t" or columns < 2 or not opened or any(len(values) != columns for values in bare):
        return False
    if any(_is_row(line, delimiter, '"', columns) for line in opened):
        return False
    return not any('""' in line for line in lines) or not _are_rows_together(lines, columns)


def keeps_quotes(value: str) -> bool:
    """Tell whether a value of a CSV has quotes that were meant to stand around it: a blank before them makes them text."""
    return value[:1] == " " and value.lstrip(" ")[:1] == '"' and value.rstrip(" ")[-1:] == '"'


def _are_rows(lines: Sequence[str], delimiter: str, quote: str, columns: int) -> bool:
    try:
        return bool(lines) and all(len(_strict(line, delimiter, quote)) == columns for line in lines)
    except csv.Error:
        return False


def _are_rows_together(lines: Sequence[str], columns: int) -> bool:
    """Tell whether lines of a table parted by tabs are rows, of which the last may be cut by where the looking ends."""
    reader = csv.reader([f"{line}\n" for line in lines], delimiter="\t", strict=True)
    rows = 0
    try:
        for row in reader:
            rows += 1
            if len(row) != columns:
                return False
    except csv.Error:
        return reader.line_num == len(lines) == LINES_LOOKED_AT and rows > 0
    return True


def _is_row(line: str, delimiter: str, quote: str, columns: int) -> bool:
    reader = csv.reader([line], delimiter=delimiter, quotechar=quote, strict=True)
    try:
        return len(next(reader, [])) == columns
    except csv.Error:
        return False


def _strict(line: str, delimiter: str, quote: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote, skipinitialspace=True, strict=True), [])


def _rows(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    """Return the values of each line; where the first opens a quoted value that goes on, of the rows that all make together."""
    try:
        _strict(lines[0], delimiter, quote)
    except csv.Error:
        together = csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, quotechar=quote)
        csv.field_size_limit(LONGEST_LINE_BYTES)
        with suppress(csv.Error):
            if len(rows := list(together)) > 1:
                return rows
    return [_values(line, delimiter, quote) for line in lines]


def _values(line: str, delimiter: str, quote: str | None) -> list[str]:
    csv.field_size_limit(LONGEST_LINE_BYTES)
    if quote is None:
        return next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [])
