"""The verdict on a data set: what forbids training, what is doubtful, what is worth knowing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from afinador.data.checks.findings import LONGEST_TYPE, MOST_TYPES, Problems, firsts, with_count
from afinador.data.checks.lengths import distribution
from afinador.data.checks.repetitions import Repetitions
from afinador.data.files.unread import Unread
from afinador.data.labels import LabelCounts
from afinador.data.records import Format, Problem
from afinador.data.shapes import Shape
from afinador.figures import counted
from afinador.schemas.dataset_formats import STORED_ONLY

CODES_IN_SUMMARY = 3


@dataclass
class Report:
    """The verdict on a file.

    Attributes:
        format: None where the file has none that is read.
        shape: None where no record has a known one.
        records: Records found, usable or not.
        refused: Those of them that cannot be used; each may have several faults.
        bytes: Size of the file.
        searched: Records that were searched for personal data and near duplicates: all of a small file, of a large one
            a part that is always the same.
        labels: How often each label occurs; of records of the shape ``text_label`` only.
        types: How many documents there are of each type, "" being those without one.
        lengths: How many usable records have each length in characters.
        repetitions: What the records of another file can be compared with.
        unread: What of a folder or an archive was not read; a warning or notes tell it.
    """

    format: Format | None = None
    shape: Shape | None = None
    records: int = 0
    refused: int = 0
    bytes: int = 0
    searched: int = 0
    labels: LabelCounts | None = None
    types: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    repetitions: Repetitions = field(default_factory=Repetitions, repr=False)
    unread: Unread = field(default_factory=Unread, repr=False)
    _errors: Problems = field(default_factory=Problems, repr=False)
    _warnings: Problems = field(default_factory=Problems, repr=False)
    _notes: Problems = field(default_factory=Problems, repr=False)

    @property
    def errors(self) -> list[Problem]:
        """What forbids training; at most ten of each code."""
        return self._errors.kept

    @property
    def warnings(self) -> list[Problem]:
        """What a person should look at; at most ten of each code."""
        doubt = self.unread.doubt
        return [doubt, *self._warnings.kept] if doubt else self._warnings.kept

    @property
    def notes(self) -> list[Problem]:
        """What a person may like to know; nothing needs to be done about it."""
        return [*self._notes.kept, *self.unread.notes()]

    @property
    def counts(self) -> dict[str, int]:
        """How many faults and doubts there are of each code; a record may have several of one."""
        unread = {doubt.code: 1} if (doubt := self.unread.doubt) else {}
        return {**self._errors.counts, **unread, **self._warnings.counts}

    @property
    def is_valid(self) -> bool:
        """Whether it may be trained on."""
        return not self.errors

    def summary(self) -> str:
        """Say in a few sentences what was found: of each kind the first, and how many more."""
        if self.is_valid:
            said = f"{counted(self.records, 'record')} of the shape {self.shape}."
            stored = [note.message for note in self.notes if note.code == STORED_ONLY]
            return " ".join([said, *stored, *(with_count(problem, self.counts) for problem in firsts(self.warnings))])
        kinds = firsts(self.errors)
        records = counted(self.records, "record")
        parts = [f"{self.refused:,} of {records} cannot be used:"] if self.refused else []
        parts += [with_count(problem, self.counts) for problem in kinds[:CODES_IN_SUMMARY]]
        if len(kinds) > CODES_IN_SUMMARY:
            parts.append(f"And {counted(len(kinds) - CODES_IN_SUMMARY, 'other kind')} of fault.")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, with the summary."""
        return {
            "format": self.format,
            "shape": self.shape,
            "records": self.records,
            "unusable_records": self.refused,
            "bytes": self.bytes,
            "errors": [problem.to_json() for problem in self.errors],
            "warnings": [problem.to_json() for problem in self.warnings],
            "notes": [problem.to_json() for problem in self.notes],
            "counts": self.counts,
            "labels": self.labels.to_json() if self.labels else None,
            "types": self._types(),
            "lengths": distribution(self.lengths),
            "compared": {
                "records": self.repetitions.compared,
                "near": self.repetitions.compared_nearly,
                "searched": self.searched,
            },
            "fingerprints": self.repetitions.sketch(),
            "summary": self.summary(),
        }

    def _types(self) -> dict[str, int] | None:
        """Return the types of documents, or None where there are none, or too many or too long ones to be kept."""
        is_kept = 0 < len(self.types) <= MOST_TYPES and all(len(name) <= LONGEST_TYPE for name in self.types)
        return dict(self.types) if is_kept else None

    def add_error(self, problem: Problem) -> None:
        """Count an error, and keep it if there are few of its code."""
        self._errors.add(problem)

    def add_warning(self, problem: Problem) -> None:
        """Count a warning, and keep it if there are few of its code."""
        self._warnings.add(problem)

    def add_note(self, problem: Problem) -> None:
        """Keep a note if there are few of its code."""
        self._notes.add(problem)

    def sort(self) -> None:
        """Put what is known of single records into the order of the file."""
        for problems in (self._errors, self._warnings):
            problems.kept.sort(key=lambda problem: problem.line or 0)

    def add_problems(self, errors: Problems, warnings: Problems) -> None:
        """Add all that was found in the next part of the file."""
        self._errors.add_all(errors)
        self._warnings.add_all(warnings)
