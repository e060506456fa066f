"""Records of a file that are the same, or nearly, or contradict each other.

They are compared with those before them, and with those of another file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from typing import Any

from afinador.data.checks.findings import Findings
from afinador.data.checks.known_records import KnownRecords
from afinador.data.checks.known_turns import KnownTurns
from afinador.data.checks.near_duplicates import NearDuplicates
from afinador.data.checks.origins import Origins
from afinador.data.records import Problem

DIGESTS_IN_SKETCH = 512
CONTRADICTIONS_TOLD = 3


class Repetitions:
    """The records of a file, as far as they are remembered.

    Attributes:
        unit: What their places count: ``Line`` or ``Record``.
        usable: How many records it has that are compared; of running text those with enough words.
        compared: How many records were compared with each other.
        compared_nearly: How many were looked through for nearly equal ones.
        turned: How many were looked through for turns of their conversations.
        contradicted: How many questions have different answers; of the first few the lines of two.
    """

    def __init__(self) -> None:
        self.unit = "Line"
        self.usable = self.compared = self.compared_nearly = self.turned = 0
        self.contradicted = 0
        self._contradictions: list[tuple[int, int]] = []
        self._known = KnownRecords()
        self._near = NearDuplicates()
        self._turns = KnownTurns()
        self._origins = Origins()

    def take(self, findings: Findings) -> Iterator[Problem]:
        """Remember the records of the next part of the file; yield a warning for each that there was before."""
        again: set[int] = set()
        self.usable += len(findings.lines)
        self._origins.take(findings.origins)
        for place, found in self._known_of(findings):
            line = findings.lines[place]
            if isinstance(found, int):
                self._contradict(found, line, is_new=self._known.mark(findings.questions[place]))
            else:
                again.add(place)
                yield self._again(line, *found)
        self.turned += findings.signed
        self._turns.take(findings.turns)
        yield from self._take_nearly(findings, again)

    def _known_of(self, findings: Findings) -> Iterator[tuple[int, tuple[int, bool] | int]]:
        """Remember records as long as there is room; yield those that ``KnownRecords.add_all`` does."""
        columns = findings.lines, findings.questions, findings.answers, findings.written
        start = 0
        while start < len(findings.lines) and (room := self._known.room):
            end = min(start + room, len(findings.lines))
            self.compared += end - start
            for place, found in self._known.add_all(*(column[start:end] for column in columns)):
                yield start + place, found
            start = end

    @property
    def has_turns(self) -> bool:
        """Whether there are conversations of several turns."""
        return bool(self._turns)

    def _take_nearly(self, findings: Findings, again: set[int]) -> Iterator[Problem]:
        if self._near.is_full:
            return
        self.compared_nearly += findings.signed
        for place, signature in findings.signatures:
            if place in again:
                continue
            line = findings.lines[place]
            like = self._near.add(line, signature)
            if like is not None:
                said = f"{self._subject(line)} is nearly the same as {self._place(like)}. Remove one, if they teach the same."
                yield Problem("near_duplicate", said, line)

    def _place(self, line: int) -> str:
        return f"{self.unit.lower()} {self._origins.with_origin(line)}"

    def _subject(self, line: int) -> str:
        return f"{self.unit} {self._origins.with_origin(line)}"

    def _again(self, line: int, first: int, is_written_alike: bool) -> Problem:
        if is_written_alike:
            said = f"{self._subject(line)} repeats {self._place(first)}. Remove one, unless it is meant to count twice."
            return Problem("duplicate", said, line)
        said = f"{self._subject(line)} is {self._place(first)} with other capitals or spaces. Remove one, if they teach the same."
        return Problem("near_duplicate", said, line)

    def _contradict(self, first: int, line: int, *, is_new: bool) -> None:
        self.contradicted += is_new
        if is_new and len(self._contradictions) < CONTRADICTIONS_TOLD:
            self._contradictions.append((first, line))

    def contradictions(self) -> Problem | None:
        """Return the warning that questions have different answers; None where none has."""
        if not self.contradicted:
            return None
        named = self._origins.with_origin
        told = ", ".join(
            f"{self.unit.lower()}s {named(first)} and {named(line)}" for first, line in self._contradictions
        )
        more = ", …" if self.contradicted > len(self._contradictions) else ""
        what = "1 prompt has" if self.contradicted == 1 else f"{self.contradicted} prompts have"
        said = f"{what} different answers ({told}{more}). Keep one answer of each, unless all of them are right."
        return Problem("different_answers", said)

    def shared_with(self, training: Repetitions, name: str) -> Iterator[Problem]:
        """Yield a warning for each record that the file with the training data holds too, or nearly so.

        The last is for all whose question it answers in another way.

        Args:
            training: The records of that file.
            name: Its name.
        """
        same: set[int] = set()
        others: list[tuple[int, int]] = []
        for line, *digests in self._known.records():
            found = training._known.find(*digests)
            if isinstance(found, int):
                others.append((line, found))
            elif found is not None:
                same.add(line)
                first, is_written_alike = found
                yield self._shared(line, f"{training._place(first)} of {name}", is_written_alike)
        yield from self._shared_turns(training, name, same)
        for line, signature in self._near.records():
            other = None if line in same else training._near.find(signature)
            if other is not None:
                yield self._nearly_shared(line, f"nearly {training._place(other)} of {name}")
        if others:
            yield self._differing(others, training, name)

    def _shared_turns(self, training: Repetitions, name: str, same: set[int]) -> Iterator[Problem]:
        """Yield a warning for each record that is a turn of a conversation there, or has one that is a record there."""
        for line, *digests in self._known.records() if training.has_turns else ():
            turn = None if line in same else training._turns.find(*digests)
            if turn is not None:
                same.add(line)
                yield self._shared(line, f"a turn of the conversation at {training._place(turn[0])} of {name}", turn[1])
        for line, digests_of_turn in self._turns:
            found = None if line in same else training._known.find(*digests_of_turn)
            if isinstance(found, tuple):
                same.add(line)
                yield self._shared(line, f"{training._place(found[0])} of {name}", found[1], is_turn=True)

    def _shared(self, line: int, other: str, is_written_alike: bool, *, is_turn: bool = False) -> Problem:
        what = f"a turn that is {other}" if is_turn else other
        if not is_written_alike:
            return self._nearly_shared(line, f"{what} with other capitals or spaces", verb="holds" if is_turn else "is")
        said = f"{self._subject(line)} {'holds' if is_turn else 'is also'} {what}: what was trained on measures nothing. Remove it from one of the two files."
        return Problem("overlap", said, line)

    def _nearly_shared(self, line: int, what: str, *, verb: str = "is") -> Problem:
        said = f"{self._subject(line)} {verb} {what}: the measure will look better than it is. Remove it from one of the two files."
        return Problem("near_overlap", said, line)

    def _differing(self, others: list[tuple[int, int]], training: Repetitions, name: str) -> Problem:
        told = ", ".join(
            f"{self._place(line)} here, {training._place(other)} there" for line, other in others[:CONTRADICTIONS_TOLD]
        )
        more = "; …" if len(others) > CONTRADICTIONS_TOLD else ""
        what = "1 prompt has" if len(others) == 1 else f"{len(others)} prompts have"
        said = f"{what} another answer in {name} ({told}{more}): the measure is of what was trained otherwise. Keep each prompt in one of the two files."
        return Problem("answered_otherwise", said)

    def sketch(self) -> dict[str, Any]:
        """Return the lowest digests as plain JSON values, a sample that is the same of the same records."""
        lowest = nsmallest(DIGESTS_IN_SKETCH, self._known.wholes())
        return {"distinct": len(self._known), "lowest": [f"{digest:016x}" for digest in lowest]}


def overlap_of_sketches(training: Mapping[str, Any], validation: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many records of a sample of the validation data are in the training data too, and how many the sample has.

    Args:
        training: A sketch of its records.
        validation: Another one; where neither file has more records than a sketch, the sample is the whole file.
    """
    seen, asked = set(training["lowest"]), validation["lowest"]
    for sketch in (training, validation):
        if sketch["distinct"] > len(sketch["lowest"]) and sketch["lowest"]:
            # Digests above the highest of a sketch that left some out may be in its file all the same.
            highest = sketch["lowest"][-1]
            asked = [digest for digest in asked if digest <= highest]
    return sum(digest in seen for digest in asked), len(asked)
