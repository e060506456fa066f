"""Rows of a CSV that surely have no fault and no doubt, taken up without making a record of each.

Rows are parted on their bytes, by one pattern. Whatever is not as most rows are is left to those who look at it. Where
NumPy is installed, ``row_arrays`` does the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from afinador.data.blanks import BLANKS, is_missing, may_be_blank
from afinador.data.checks.contents import digests_of_pair, if_short
from afinador.data.checks.findings import Findings
from afinador.data.checks.judging import LONG_RECORD_CHARACTERS
from afinador.data.files.dialects import Dialect

MOST_COLUMNS = 50


@dataclass(frozen=True)
class PlainRows:
    """What tells the plain rows of a CSV.

    Attributes:
        columns: How many values a row has, 2 to ``MOST_COLUMNS``.
        first: Where the first field of the shape stands in a row.
        second: Where the second one does.
        is_labelled: Whether the second field is a label.
    """

    dialect: Dialect
    columns: int
    first: int
    second: int
    is_labelled: bool

    def take(self, raw: bytes, line: int, found: Findings) -> tuple[int, int]:
        """Add rows up to the first that is not plain; return the bytes before that one, and its line.

        Args:
            raw: Whole rows in UTF-8 without strange characters, as ``characters.may_be_strange_text`` tells, of which
                all CR are before LF.
            line: That of the first.
            found: What they are added to.

        Raises:
            UnicodeDecodeError: It is not UTF-8 so far.
        """
        quote, pair = self.dialect.quote.encode(), 2 * self.dialect.quote.encode()
        match = row_pattern(self.dialect, self.columns).match
        one, other = 2 * self.first, 2 * self.second
        position, lengths = 0, []
        while row := match(raw, position):
            values, end = row.groups(), row.end()
            # A bare value holds no quote, and one in quotes none but in pairs.
            first = values[one + 1] if values[one] is None else values[one]
            if quote in first:
                first = first.replace(pair, quote)
            second = values[other + 1] if values[other] is None else values[other]
            if quote in second:
                second = second.replace(pair, quote)
            text, answer = first.decode(), second.decode()
            characters = len(text) + len(answer)
            if not text or not answer or characters > LONG_RECORD_CHARACTERS:
                break
            if (text[0] in BLANKS and may_be_blank(text)) or (answer[0] in BLANKS and may_be_blank(answer)):
                break
            if not self.is_labelled and is_missing(answer):
                break
            if self.columns > 2:
                raw[position:end].decode()
            if self.is_labelled:
                found.labels.add(answer)
            found.remember_digests(line, *digests_of_pair(first, second, if_short(text), if_short(answer)))
            lengths.append(characters)
            line += 1 if raw.find(b"\n", position, end - 1) < 0 else raw.count(b"\n", position, end)
            position = end
        found.records += len(lengths)
        found.lengths.update(lengths)
        if lengths and self.is_labelled:
            found.label_types.add("str")
        return position, line


@cache
def row_pattern(dialect: Dialect, columns: int) -> re.Pattern[bytes]:
    """Return what fits a row of so many values with quotes around whole ones alone; two groups each, in quotes and bare."""
    quote, delimiter = re.escape(dialect.quote.encode()), re.escape(dialect.delimiter.encode())
    value = b"(?:%b([^%b]*+(?:%b%b[^%b]*+)*+)%b|([^%b%b\r\n]*+))" % (*[quote] * 7, delimiter)
    return re.compile(delimiter.join([value] * columns) + rb"\r?\n")
