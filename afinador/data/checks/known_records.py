"""The records seen so far, by their digests: a row each, in the order of the file, and tables of where each is."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import xor

RECORDS_COMPARED = 1_000_000
"""So many records are remembered, which takes about 160 MB; later ones are not compared."""


class KnownRecords:
    """Which records there were, and on which lines; ``contents.Digests`` says by what they are known.

    The first with a question is found by this, all with another answer to it by both.
    """

    def __init__(self) -> None:
        self._lines, self._questions, self._answers = array("Q"), array("Q"), array("Q")
        self._written = array("H")
        self._first: dict[int, int] = {}
        self._further: dict[int, int] = {}
        self._marked: set[int] = set()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def room(self) -> int:
        """How many more are taken."""
        return RECORDS_COMPARED - len(self)

    def add_all(
        self, lines: array[int], questions: array[int], answers: array[int], written: array[int]
    ) -> Iterator[tuple[int, tuple[int, bool] | int]]:
        """Take records up, those that are new; yield the place of each other one, and what ``find`` would have said before.

        Args:
            lines: Of each; no more of them than there is room for.
            questions: Their digests of questions.
            answers: The same of answers.
            written: And of how they are written.
        """
        if len(set(questions)) == len(questions) and self._first.keys().isdisjoint(questions):  # as in most parts
            self._first.update(zip(questions, range(len(self), len(self) + len(questions)), strict=True))
            self._lines += lines
            self._questions += questions
            self._answers += answers
            self._written += written
            return
        for place, record in enumerate(zip(lines, questions, answers, written, strict=True)):
            found = self.find(*record[1:])
            if not isinstance(found, tuple):
                self._add(*record)
            if found is not None:
                yield place, found

    def _add(self, line: int, question: int, answer: int, written: int) -> None:
        if self._first.setdefault(question, len(self)) != len(self):
            self._further[question ^ answer] = len(self)
        self._lines.append(line)
        self._questions.append(question)
        self._answers.append(answer)
        self._written.append(written)

    def find(self, question: int, answer: int, written: int) -> tuple[int, bool] | int | None:
        """Return line of an equal record, and whether it is written alike; else the first line with its question.

        None if there is neither.
        """
        first = self._first.get(question)
        if first is None:
            return None
        place = first if self._answers[first] == answer else self._further.get(question ^ answer)
        return self._lines[first] if place is None else (self._lines[place], self._written[place] == written)

    def mark(self, question: int) -> bool:
        """Mark a question; return whether it was not marked before."""
        is_new = question not in self._marked
        self._marked.add(question)
        return is_new

    def records(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the line and the digests of each, in the order of the lines."""
        return zip(self._lines, self._questions, self._answers, self._written, strict=True)

    def wholes(self) -> Iterator[int]:
        """Yield 64 bits of each record."""
        return map(xor, self._questions, self._answers)
