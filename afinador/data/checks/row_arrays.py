"""What ``plain_rows`` does, with NumPy: by a few looks at all bytes of a part instead of one at each of its rows.

Whoever has no NumPy does without this module; see docs/decisions/0015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from afinador.data.blanks import BLANKS, MISSING, may_be_blank
from afinador.data.checks.characters import has_strange_bytes
from afinador.data.checks.contents import FOLDED_CHARACTERS, digests_of_long_pair, digests_of_pair, if_short
from afinador.data.checks.findings import Findings
from afinador.data.checks.judging import LONG_RECORD_CHARACTERS
from afinador.data.checks.plain_rows import PlainRows
from afinador.data.files.dialects import Dialect

Bytes = NDArray[numpy.uint8]
Places = NDArray[numpy.intp]

_LINE_FEED, _RETURN = b"\n\r"
_TAB, _SHIFT_OUT, _SPACE = b"\t\x0e "
_NEVER_IN_UTF8 = (0xC0, 0xC1)
_HIGHEST_IN_UTF8 = 0xF4
_SECONDS = ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F))
"""First bytes of characters whose second bytes are of a narrower range than 0x80 to 0xBF, and that range."""

_MISSING = frozenset(word.encode() for word in MISSING)
_LONGEST_MISSING_BYTES = max(map(len, _MISSING))
_MAY_BEGIN_BLANK = numpy.zeros(256, bool)
_MAY_BEGIN_BLANK[[blank.encode()[0] for blank in BLANKS]] = True


def count_of(byte: bytes, raw: bytes) -> int:
    """Return how often a byte occurs, in a fifth of the time of ``bytes.count``."""
    return int(numpy.count_nonzero(numpy.frombuffer(raw, numpy.uint8) == byte[0]))


def may_be_strange_text(raw: bytes) -> bool:
    """Tell what ``characters.may_be_strange_text`` does, in a quarter of the time."""
    data = numpy.frombuffer(raw, numpy.uint8)
    if not raw or data.min() < _TAB or b"\x7f" in raw or has_strange_bytes(raw):
        return bool(raw)
    # What is below the first of them comes out high.
    return bool((data - numpy.uint8(_SHIFT_OUT) < _SPACE - _SHIFT_OUT).any())


@dataclass(frozen=True)
class _Block:
    """The bytes of some rows.

    Attributes:
        data: The same as numbers.
        quotes: Where quotes are.
    """

    raw: bytes
    dialect: Dialect
    data: Bytes
    quotes: Places

    @classmethod
    def of(cls, raw: bytes, dialect: Dialect) -> _Block:
        """Look at bytes."""
        data = numpy.frombuffer(raw, numpy.uint8)
        return cls(raw, dialect, data, numpy.flatnonzero(data == ord(dialect.quote)))

    def values(self, columns: int) -> _Values:
        """Return the values of the rows before the first that is odd.

        A row is odd if it has another number of values, or quotes that are not around whole ones or in pairs within.

        Args:
            columns: How many values a row has.

        Raises:
            UnicodeDecodeError: The bytes are not UTF-8.
        """
        followers = _Followers.of(self.raw, self.data)
        ends, before = self._ends_of_quoted() or self._ends_of_all()
        rows = len(ends) // columns
        shape = rows, columns
        ends, before = ends[: rows * columns].reshape(shape), before[: rows * columns].reshape(shape)
        is_line_feed = self.data[ends] == _LINE_FEED
        fits = (is_line_feed == (numpy.arange(columns) == columns - 1)).all(axis=1) & (ends[:, -1] < self._odd_quote())
        rows = rows if fits.all() else int(fits.argmin())
        ends, before = ends[:rows].ravel(), before[:rows].ravel()
        starts = numpy.concatenate(([0], ends[:-1] + 1))[: len(ends)]
        ends = ends - (self.data[ends - 1] == _RETURN)
        quotes = numpy.diff(before, prepend=0)
        is_quoted = quotes > 0
        starts, ends, doubled = starts + is_quoted, ends - is_quoted, (quotes - 2 * is_quoted) // 2
        characters = ends - starts - doubled - (followers.before(ends) - followers.before(starts))
        return _Values(*(each.reshape(rows, columns) for each in (starts, ends, doubled, characters)))

    def lines_of(self, ends: Places, first: int) -> list[int]:
        """Return the line of each row, and of what follows the last.

        Args:
            ends: Where the last values of the rows end.
            first: The line of the first.
        """
        is_line_end = self.data == _LINE_FEED
        if numpy.count_nonzero(is_line_end) == len(ends):  # none stands in a value
            return list(range(first, first + len(ends) + 1))
        return [first, *(numpy.searchsorted(numpy.flatnonzero(is_line_end), ends) + first + 1).tolist()]

    def may_be_blank(self, column: _Values) -> NDArray[numpy.bool_]:
        """Tell of each value of a column whether it can have no character that is seen; False is certain, True is not."""
        return _MAY_BEGIN_BLANK[self.data[column.starts]] | (column.starts == column.ends)

    def _ends_of_quoted(self) -> tuple[Places, Places] | None:
        """Return what ``_ends_of_all`` does, in a tenth of the time, where no value is without quotes; else None."""
        if len(self.quotes) % 2 or not len(self.quotes) or self.quotes[0]:
            return None
        closing = self.quotes[1::2]
        between = numpy.append(self.quotes[2::2], len(self.data)) - closing - 1
        is_two = between == 2
        if between.max() > 2 or (self.data[closing[is_two] + 1] != _RETURN).any():
            return None
        is_end = between > 0
        return (closing + between)[is_end], numpy.flatnonzero(is_end) * 2 + 2

    def _ends_of_all(self) -> tuple[Places, Places]:
        """Return where values end, by a delimiter or a line feed outside of quotes, and the number of quotes before."""
        separators = numpy.flatnonzero((self.data == ord(self.dialect.delimiter)) | (self.data == _LINE_FEED))
        before = numpy.searchsorted(self.quotes, separators)
        is_outside = before % 2 == 0
        return separators[is_outside], before[is_outside]

    def _odd_quote(self) -> int:
        """Return where the first quote is that neither begins nor ends a value, nor stands beside another; else the end."""
        beside = numpy.zeros(256, bool)
        beside[[ord(self.dialect.delimiter), ord(self.dialect.quote), _LINE_FEED, _RETURN]] = True
        opening, closing = self.quotes[::2], self.quotes[1::2]
        is_odd = numpy.zeros(len(self.quotes), bool)
        is_odd[::2] = ~beside[self.data[opening - 1]] & (opening > 0)
        is_odd[1::2] = ~beside[self.data[(closing + 1) % len(self.data)]]
        odd = numpy.flatnonzero(is_odd)
        return int(self.quotes[odd[0]]) if len(odd) else len(self.data)


class _Values(NamedTuple):
    """Values, row by row.

    Attributes:
        starts: Where they begin, behind the quote.
        ends: Where they end, before the quote.
        doubled: How many times two quotes stand for one.
        characters: How many they have.
    """

    starts: Places
    ends: Places
    doubled: Places
    characters: Places

    def column(self, number: int) -> _Values:
        """Return those of one column."""
        return _Values(*(each[:, number] for each in self))

    def texts(self, block: _Block) -> list[bytes]:
        """Return those of one column as they are meant."""
        raw, quote = block.raw, block.dialect.quote.encode()
        if not self.doubled.any():
            return [raw[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]
        return [
            raw[start:end].replace(2 * quote, quote) if doubled else raw[start:end]
            for start, end, doubled in zip(*(each.tolist() for each in self[:3]), strict=True)
        ]


class RowArrays(PlainRows):
    """The same as ``PlainRows`` tells, by looks at all bytes at once; arguments and errors are those."""

    def take(self, raw: bytes, line: int, found: Findings) -> tuple[int, int]:
        """Add rows up to the first that is not plain; see ``PlainRows.take``."""
        block = _Block.of(raw, self.dialect)
        values = block.values(self.columns)
        asked, answers = values.column(self.first), values.column(self.second)
        texts = list(zip(asked.texts(block), answers.texts(block), strict=True))
        rows = self._count_plain(block, asked, answers, texts)
        lines = block.lines_of(values.ends[:rows, -1], line)
        self._add(lines[:-1], texts[:rows], asked.characters[:rows], answers.characters[:rows], found)
        return raw.find(b"\n", values.ends[rows - 1, -1]) + 1 if rows else 0, lines[-1]

    def _count_plain(self, block: _Block, asked: _Values, answers: _Values, texts: list[tuple[bytes, bytes]]) -> int:
        """Return how many rows there are before the first that is not plain."""
        is_long = asked.characters + answers.characters > LONG_RECORD_CHARACTERS
        may_be_odd = is_long | block.may_be_blank(asked) | block.may_be_blank(answers)
        if not self.is_labelled:
            may_be_odd |= answers.ends - answers.starts <= _LONGEST_MISSING_BYTES
        for row in numpy.flatnonzero(may_be_odd).tolist():
            question, answer = texts[row]
            if is_long[row] or may_be_blank(question.decode()) or may_be_blank(answer.decode()):
                return row
            if not self.is_labelled and answer in _MISSING:
                return row
        return len(texts)

    def _add(
        self, lines: list[int], texts: list[tuple[bytes, bytes]], asked: Places, answers: Places, found: Findings
    ) -> None:
        """Add rows to what was found.

        Args:
            lines: Of each.
            texts: Question and answer of each.
            asked: How many characters the questions have.
            answers: The same of the answers.
            found: What they are added to.
        """
        digests = [
            digests_of_long_pair(question, answer)
            if both_are_long
            else digests_of_pair(question, answer, if_short(question.decode()), if_short(answer.decode()))
            for (question, answer), both_are_long in zip(
                texts, ((asked > FOLDED_CHARACTERS) & (answers > FOLDED_CHARACTERS)).tolist(), strict=True
            )
        ]
        found.remember_all(lines, digests)
        found.records += len(lines)
        found.lengths.update((asked + answers).tolist())
        if self.is_labelled and lines:
            found.label_types.add("str")
            for _, label in texts:
                found.labels.add(label.decode())


class _Followers(NamedTuple):
    """Which bytes go on with a character that others begin, one bit each.

    Attributes:
        bits: Those of 64 bytes in each, of the first the lowest.
        counts: How many are before each of these.
    """

    bits: NDArray[numpy.uint64]
    counts: Places

    @classmethod
    def of(cls, raw: bytes, data: Bytes) -> _Followers:
        """Look at bytes.

        Raises:
            UnicodeDecodeError: They are not UTF-8.
        """
        words = len(data) // 64 + 1
        packed = numpy.zeros(words * 8, numpy.uint8)
        if not raw.isascii():
            bits = numpy.packbits(_checked_followers(raw, data), bitorder="little")
            packed[: len(bits)] = bits
        words_of_bits: NDArray[numpy.uint64] = packed.view(numpy.dtype("<u8"))
        counts = numpy.zeros(words, numpy.intp)
        numpy.cumsum(numpy.bitwise_count(words_of_bits[:-1]), out=counts[1:])
        return cls(words_of_bits, counts)

    def before(self, places: Places) -> Places:
        """Return how many are before each place."""
        lower = (numpy.uint64(1) << (places % 64).astype(numpy.uint64)) - numpy.uint64(1)
        return self.counts[places // 64] + numpy.bitwise_count(self.bits[places // 64] & lower)


def _checked_followers(raw: bytes, data: Bytes) -> NDArray[numpy.bool_]:
    """Tell of each byte whether it goes on with a character.

    Raises:
        UnicodeDecodeError: They are not UTF-8.
    """
    found = data.view(numpy.int8) < -0x40
    highest = int(data.max())
    # The first byte of a character of two bytes, or of more, is followed by one of these; of three by two, and so on.
    expected = numpy.empty(len(data), bool)
    expected[0] = False
    numpy.greater_equal(data[:-1], 0xC0, out=expected[1:])
    for behind, lowest in ((2, 0xE0), (3, 0xF0)):
        if lowest <= highest:
            expected[behind:] |= data[:-behind] >= lowest
    if (
        data[-1] >= 0xC0
        or (data[-2:] >= 0xE0).any()
        or (data[-3:] >= 0xF0).any()
        or not numpy.array_equal(found, expected)
        or highest > _HIGHEST_IN_UTF8
        or any(byte in raw for byte in _NEVER_IN_UTF8)
        or any(_is_out_of_range(raw, data, *each) for each in _SECONDS if each[0] <= highest)
    ):
        raw.decode()
    return found


def _is_out_of_range(raw: bytes, data: Bytes, first: int, lowest: int, highest: int) -> bool:
    if first not in raw:
        return False
    seconds = data[numpy.flatnonzero(data == first) + 1]
    return bool(((seconds < lowest) | (seconds > highest)).any())
