"""How a CSV is written, told by its first lines: what parts values, and what stands around them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from afinador.data.files.lines import LONGEST_LINE_BYTES, lines_of
from afinador.data.records import Encoding

DELIMITERS = "\t,;|"
"""Of those that part a header equally often the first is taken."""

LINES_LOOKED_AT = 20
CHARACTERS_LOOKED_AT = 2**16


class Dialect(NamedTuple):
    """How values are parted, and what stands around those that hold the delimiter or a line break.

    Attributes:
        skips_blanks: Blanks behind a delimiter belong to no value: they stand before quotes, too.
    """

    delimiter: str
    quote: str
    skips_blanks: bool = False


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


def delimiter_of(lines: Sequence[str], quote: str, columns: int) -> str:
    """Return the delimiter by the first lines, which gives as many columns as declared, else most of them in the first line.

    One that parts all lines into the same number of values, more than are declared, is the delimiter nonetheless: names
    were forgotten then.

    Args:
        lines: At least one.
        quote: Stands around values.
        columns: How many are declared, 0 where none are.
    """
    found = {delimiter: [len(_values(line, delimiter, quote)) for line in lines] for delimiter in DELIMITERS}
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
    before = re.compile(f" +{quote}")
    with_blanks = [line for line in lines if any(before.match(each) for each in _values(line, delimiter, quote))]
    return quote, _are_rows(with_blanks, delimiter, quote, columns)


def keeps_quotes(value: str) -> bool:
    """Tell whether a value of a CSV has quotes that were meant to stand around it: a blank before them makes them text."""
    return value[:1] == " " and value.lstrip(" ")[:1] == '"' and value.rstrip(" ")[-1:] == '"'


def _are_rows(lines: Sequence[str], delimiter: str, quote: str, columns: int) -> bool:
    try:
        return bool(lines) and all(len(_strict(line, delimiter, quote)) == columns for line in lines)
    except csv.Error:
        return False


def _strict(line: str, delimiter: str, quote: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote, skipinitialspace=True, strict=True), [])


def _values(line: str, delimiter: str, quote: str | None) -> list[str]:
    csv.field_size_limit(LONGEST_LINE_BYTES)
    if quote is None:
        return next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
    return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [])
