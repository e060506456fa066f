"""The records seen so far, by their digests: an entry each in one of two tables, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain

RECORDS_COMPARED = 1_000_000
"""So many records are remembered, which takes about 200 MB; later ones are not compared."""

_LINE_BITS, _WRITTEN_BITS = 40, 16
_REST_AT = _LINE_BITS + _WRITTEN_BITS
_LINE = (1 << _LINE_BITS) - 1


class KnownRecords:
    """Which records there were, and on which lines; ``contents.Digests`` says by what they are known.

    The first with a question is found by this, all with another answer to it by both. An entry is one number: the digest
    that the key does not hold, how the record is written, and its line. It is negative for
    questions that have several answers.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._further: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._first) + len(self._further)

    @property
    def room(self) -> int:
        """How many more are taken."""
        return RECORDS_COMPARED - len(self._first) - len(self._further)

    def add_all(self, records: Iterable[tuple[int, int, int, int]]) -> Iterator[tuple[int, tuple[int, bool] | int]]:
        """Take records up, those that are new; yield the place of each other one, and what ``find`` would have said before.

        Args:
            records: Line and digests of each; no more of them than there is room for.
        """
        keep = self._first.setdefault
        for place, (line, question, answer, written) in enumerate(records):
            entry = (answer << _WRITTEN_BITS | written) << _LINE_BITS | line
            first = keep(question, entry)
            if first is not entry:
                yield place, self._add_further(abs(first), line, question, answer, written)

    def _add_further(self, first: int, line: int, question: int, answer: int, written: int) -> tuple[int, bool] | int:
        if first >> _REST_AT == answer:
            return _place_of(first, written)
        entry = (question << _WRITTEN_BITS | written) << _LINE_BITS | line
        known = self._further.setdefault(question ^ answer, entry)
        return first & _LINE if known is entry else _place_of(known, written)

    def find(self, question: int, answer: int, written: int) -> tuple[int, bool] | int | None:
        """Return line of an equal record, and whether it is written alike; else the first line with its question.

        None if there is neither.
        """
        first = abs(self._first.get(question, 0))
        if not first:
            return None
        if first >> _REST_AT == answer:
            return _place_of(first, written)
        known = self._further.get(question ^ answer)
        return first & _LINE if known is None else _place_of(known, written)

    def mark(self, question: int) -> bool:
        """Mark a question that is known; return whether it was not marked before."""
        first = self._first[question]
        self._first[question] = -abs(first)
        return first > 0

    def records(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the line and the digests of each, in the order of the lines."""
        first = ((entry & _LINE, question, entry >> _REST_AT, _written(entry)) for question, entry in self._entries())
        further = (
            (entry & _LINE, entry >> _REST_AT, whole ^ entry >> _REST_AT, _written(entry))
            for whole, entry in self._further.items()
        )
        return merge(first, further)

    def wholes(self) -> Iterator[int]:
        """Yield 64 bits of each record."""
        return chain((question ^ entry >> _REST_AT for question, entry in self._entries()), self._further)

    def _entries(self) -> Iterator[tuple[int, int]]:
        return ((question, abs(entry)) for question, entry in self._first.items())


def _written(entry: int) -> int:
    return entry >> _LINE_BITS & (1 << _WRITTEN_BITS) - 1


def _place_of(entry: int, written: int) -> tuple[int, bool]:
    return entry & _LINE, _written(entry) == written
