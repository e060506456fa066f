"""What was found in one part of a file; parts are added up in their order, whoever has looked at them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from afinador.data.checks.contents import Digests, compared_of, digests_of
from afinador.data.checks.known_turns import Turns
from afinador.data.checks.near_duplicates import Signature, signatures_of
from afinador.data.labels import LabelCounts
from afinador.data.records import Problem

PROBLEMS_KEPT_PER_CODE = 10
NAMES_KEPT = 9
UNKNOWN_FIELDS = "unknown_fields"
"""Of which one stands for all: where the first record has fields that nobody knows, so have the others."""
MOST_TYPES = 100
"""More different types of documents than these are not told apart."""
LONGEST_TYPE = 100
MOST_UNSIGNED_CHARACTERS = 4 * 2**20
"""A part of a file, 1 MiB, holds fewer, unless its lines are long."""
FEWEST_PARTS = 4
"""Those of a conversation of a question and its answer; a proven record with more is one of several messages."""


@dataclass
class Problems:
    """All faults or all doubts of a part.

    Attributes:
        kept: In their order, the first ten of each code, or the first one.
        counts: How many there are of each code.
    """

    kept: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it if there are few of its code."""
        self.counts[problem.code] = self.counts.get(problem.code, 0) + 1
        if self.counts[problem.code] <= self._most(problem.code):
            self.kept.append(problem)

    @staticmethod
    def _most(code: str) -> int:
        return 1 if code == UNKNOWN_FIELDS else PROBLEMS_KEPT_PER_CODE

    def add_all(self, later: Problems) -> None:
        """Add what was found in a later part."""
        kept_here = dict(self.counts)
        for problem in later.kept:
            kept_here[problem.code] = kept_here.get(problem.code, 0) + 1
            if kept_here[problem.code] <= self._most(problem.code):
                self.kept.append(problem)
        for code, count in later.counts.items():
            self.counts[code] = self.counts.get(code, 0) + count


def firsts(problems: list[Problem]) -> list[Problem]:
    """Return the first problem of each code."""
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.code, problem)
    return list(found.values())


def with_count(problem: Problem, counts: dict[str, int]) -> str:
    """Return what a problem says, and how many more there are of its code."""
    more = counts[problem.code] - 1
    return problem.message + (f" And {more:,} more like it." if more else "")


class Proven(NamedTuple):
    """What is told of a record that surely has no fault and no doubt.

    Attributes:
        parts: As ``contents.parts_of`` gives them.
        characters: Of its texts.
        ignored: Names of further fields.
        label: As it was written; of the shape ``text_label`` only.
    """

    parts: list[str]
    characters: int
    ignored: list[str]
    label: str | int | None = None


@dataclass
class Findings:
    """What was found in a part of a file.

    Attributes:
        records: Records found, usable or not.
        refused: Those of them that have faults, of which each may have several.
        characters: Of whole texts (the shape ``text``).
        text_lines: Of the format TEXT only.
        ignored: Names of fields that are not used, the first few.
        optional: Names of the fields that a record need not have, of those that any record has.
        labels: Of the shape ``text_label`` only.
        label_types: Names of the types that the labels are written in.
        types: Of documents, "" being those without one; at most ``MOST_TYPES`` + 1 of them.
        lengths: How many of the usable records have each length in characters.
        lines: Of each usable record that is compared with the others, beside ``questions``, ``answers`` and ``written``,
            which are its ``contents.Digests``.
        signatures: For near duplicates: the place in ``lines``, and the signature.
        unsigned: The place of records whose signatures are still to be made, and their parts.
        unsigned_characters: How many characters these hold.
        turns: Of the conversations among the records that were searched.
        searched: Records that were searched for personal data.
        signed: Those of them that were looked through for near duplicates.
        unit: What ``lines`` count, as in ``Record``.
        origins: Of records of a folder or an archive: line, and file and place there, as in ``Record``.
    """

    records: int = 0
    refused: int = 0
    errors: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    characters: int = 0
    text_lines: int = 0
    ignored: dict[str, None] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    labels: LabelCounts = field(default_factory=LabelCounts)
    label_types: set[str] = field(default_factory=set)
    types: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    lines: array[int] = field(default_factory=lambda: array("Q"))
    questions: array[int] = field(default_factory=lambda: array("Q"))
    answers: array[int] = field(default_factory=lambda: array("Q"))
    written: array[int] = field(default_factory=lambda: array("H"))
    signatures: list[tuple[int, Signature]] = field(default_factory=list)
    unsigned: list[tuple[int, list[list[str]]]] = field(default_factory=list)
    unsigned_characters: int = 0
    turns: Turns = field(default_factory=Turns)
    searched: int = 0
    signed: int = 0
    unit: str = "Line"
    origins: list[tuple[int, str]] = field(default_factory=list)

    @property
    def usable(self) -> int:
        """Records that can be trained on."""
        return sum(self.lengths.values())

    def take(self, line: int, proven: Proven, *, closely: bool) -> None:
        """Add a record without fault or doubt; looked at ``closely``, also what tells nearly equal ones."""
        self.records += 1
        self.lengths[proven.characters] += 1
        if proven.ignored:
            self.ignore(proven.ignored)
        if proven.label is not None:
            self.labels.add(proven.parts[1])
            self.label_types.add(type(proven.label).__name__)
        self.remember(line, proven.parts)
        if closely:
            self.searched += 1
            self.sign(compared_of(proven.parts, is_prompt=proven.label is None))
            if len(proven.parts) > FEWEST_PARTS:  # nothing but conversations has so many
                self.turns.add(line, [*zip(proven.parts[::2], proven.parts[1::2], strict=True)])

    def remember(self, line: int, parts: list[str]) -> None:
        """Add what a record is compared with the others by."""
        self.remember_digests(line, *digests_of(parts))

    def remember_digests(self, line: int, question: int, answer: int, written: int) -> None:
        """Add the digests of a record."""
        self.lines.append(line)
        self.questions.append(question)
        self.answers.append(answer)
        self.written.append(written)

    def remember_all(self, lines: Sequence[int], digests: Sequence[Digests]) -> None:
        """Add the digests of some records."""
        self.lines.extend(lines)
        for column, values in zip(
            (self.questions, self.answers, self.written), zip(*digests, strict=True), strict=False
        ):
            column.extend(values)

    def sign(self, parts: list[list[str]]) -> None:
        """Take the record that was added last for its signature, which ``sign_all`` makes with those of others.

        Args:
            parts: As ``near_duplicates.in_parts`` gives them.
        """
        self.signed += 1
        self.unsigned.append((len(self.lines) - 1, parts))
        self.unsigned_characters += sum(map(len, chain.from_iterable(parts)))
        if self.unsigned_characters > MOST_UNSIGNED_CHARACTERS:
            self.sign_all()

    def sign_all(self, *, with_arrays: bool = False) -> None:
        """Make the signatures of the records taken for one, of those that have enough words.

        Args:
            with_arrays: As ``sketches.sketches_of`` takes it.
        """
        signatures = signatures_of([parts for _, parts in self.unsigned], with_arrays=with_arrays)
        for (place, _), signature in zip(self.unsigned, signatures, strict=True):
            if signature is not None:
                self.signatures.append((place, signature))
        self.unsigned, self.unsigned_characters = [], 0

    def ignore(self, names: list[str]) -> None:
        """Note fields that are not used."""
        if len(self.ignored) < NAMES_KEPT:
            self.ignored.update(dict.fromkeys(names[:NAMES_KEPT]))

    def add_types(self, types: Mapping[str, int]) -> None:
        """Count types of documents."""
        for name, count in types.items():
            if name in self.types or len(self.types) <= MOST_TYPES:
                self.types[name] += count

    def add_all(self, later: Findings) -> None:
        """Add what was found in a later part, but for what is compared between records."""
        self.records += later.records
        self.refused += later.refused
        self.errors.add_all(later.errors)
        self.warnings.add_all(later.warnings)
        self.characters += later.characters
        self.text_lines += later.text_lines
        self.ignore(list(later.ignored))
        self.optional |= later.optional
        self.labels.add_all(later.labels)
        self.label_types |= later.label_types
        self.add_types(later.types)
        self.lengths.update(later.lengths)
        self.searched += later.searched
        self.signed += later.signed
