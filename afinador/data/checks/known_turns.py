"""The turns of conversations that a file holds: a question and its answer, which may be a record of another file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from afinador.data.checks.contents import Digests, digests_of

TURNS_COMPARED = 500_000
"""So many turns are remembered, which takes about 60 MB; later ones are not compared."""

_LINE_BITS, _WRITTEN_BITS = 40, 16


@dataclass
class Turns:
    """Turns of a part of a file, by their lines and digests; one column each, which is soon sent to another process."""

    lines: array[int] = field(default_factory=lambda: array("Q"))
    questions: array[int] = field(default_factory=lambda: array("Q"))
    answers: array[int] = field(default_factory=lambda: array("Q"))
    written: array[int] = field(default_factory=lambda: array("H"))

    def add(self, line: int, said: Sequence[tuple[str, str]]) -> None:
        """Add the turns of a conversation of several messages, as pairs of role and content.

        One of a question and its answer alone is no other thing than the record.
        """
        if len(said) <= 2:
            return
        for (role, question), (next_role, answer) in pairwise(said):
            if role == "user" and next_role == "assistant" and question.strip() and answer.strip():
                digests = digests_of([role, question, next_role, answer])
                self.lines.append(line)
                for column, digest in zip((self.questions, self.answers, self.written), digests, strict=True):
                    column.append(digest)

    def __iter__(self) -> Iterator[tuple[int, Digests]]:
        for line, *digests in zip(self.lines, self.questions, self.answers, self.written, strict=True):
            yield line, (digests[0], digests[1], digests[2])


class KnownTurns:
    """The first of each different turns of a file, an entry of one number each."""

    def __init__(self) -> None:
        self._entries: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def take(self, turns: Iterable[tuple[int, Digests]]) -> None:
        """Remember turns of the next part of the file, while there is room."""
        for line, (question, answer, written) in turns:
            if len(self._entries) >= TURNS_COMPARED:
                return
            self._entries.setdefault(question ^ answer, (question << _WRITTEN_BITS | written) << _LINE_BITS | line)

    def find(self, question: int, answer: int, written: int) -> tuple[int, bool] | None:
        """Return the line of an equal turn, and whether it is written alike; None if there is none."""
        entry = self._entries.get(question ^ answer)
        if entry is None or entry >> _LINE_BITS + _WRITTEN_BITS != question:
            return None
        line, _, known = _parts_of(entry)
        return line, known == written

    def __iter__(self) -> Iterator[tuple[int, Digests]]:
        for whole, entry in self._entries.items():
            line, question, written = _parts_of(entry)
            yield line, (question, whole ^ question, written)


def _parts_of(entry: int) -> tuple[int, int, int]:
    rest, line = entry >> _LINE_BITS, entry & (1 << _LINE_BITS) - 1
    return line, rest >> _WRITTEN_BITS, rest & (1 << _WRITTEN_BITS) - 1
