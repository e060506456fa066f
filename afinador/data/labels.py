"""Labels as classes: which there are, in which order, and whether they are classes at all.

A class is a label without the white space around it; numbers and true/false are the text that they are written as.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from afinador.data.blanks import is_missing
from afinador.data.quoting import shortened
from afinador.errors import DataError
from afinador.figures import counted

MAX_CLASSES = 1000
"""More different labels than these are not told apart, and are no classes."""

LABEL_CHARACTERS_KEPT = 20_000
"""Of a file whose different labels are longer than this together, the verdict keeps none."""

LABEL_CHARACTERS = 1000
HASH_CHARACTERS = 16
LABELS_SHOWN = 5
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")


class LabelCounts:
    """How often each class occurs in a file.

    Attributes:
        counts: By class, in the order of their first occurrence; at most ``MAX_CLASSES`` + 1 of them, but for
            words that stand for a missing value.
        records: Labelled records.
    """

    def __init__(self, counts: Mapping[str, int] | None = None, records: int = 0) -> None:
        self.counts: Counter[str] = Counter(counts or {})
        self.records = records

    def add(self, label: str) -> None:
        """Count the label of one record."""
        self.records += 1
        name = class_of(label)
        if name in self.counts or len(self.counts) <= MAX_CLASSES or is_missing(name):
            self.counts[name] += 1

    def add_all(self, later: LabelCounts) -> None:
        """Add the counts of a later part of the file."""
        self.records += later.records
        for name, count in later.counts.items():
            if name in self.counts or len(self.counts) <= MAX_CLASSES or is_missing(name):
                self.counts[name] += count

    @property
    def are_classes(self) -> bool:
        """Whether they are classes rather than free text: not too many, and on average two records of each."""
        return len(self.counts) <= MAX_CLASSES and (len(self.counts) <= 2 or 2 * len(self.counts) <= self.records)

    def to_json(self) -> dict[str, Any] | None:
        """Return it as plain JSON values, or None where the labels would take too much room."""
        if sum(map(len, self.counts)) > LABEL_CHARACTERS_KEPT:
            return None
        return {"records": self.records, "counts": dict(self.counts)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> LabelCounts | None:
        """Return what ``to_json`` gave; None of None."""
        return cls(document["counts"], document["records"]) if document else None


def class_of(label: str) -> str:
    """Return the class that a label names; where that is no name but a long text, its beginning and its hash."""
    name = label.strip()
    if len(name) <= LABEL_CHARACTERS:
        return name
    return f"{name[:LABEL_CHARACTERS]}… {blake2b(name.encode(errors='surrogatepass'), digest_size=HASH_CHARACTERS // 2).hexdigest()}"


def in_order(classes: Iterable[str]) -> list[str]:
    """Return classes in the order of their ids: numbers by their value, then all others by their characters."""
    return sorted(classes, key=lambda name: (0, float(name), name) if _NUMBER.fullmatch(name) else (1, 0.0, name))


@dataclass(frozen=True)
class LabelledFile:
    """What the check of a file has found of its labels.

    Attributes:
        shape: Of its records.
        labels: None where it has none, or where its verdict does not hold them.
    """

    name: str
    shape: str | None
    labels: LabelCounts | None

    @classmethod
    def from_report(cls, name: str, report: Mapping[str, Any]) -> LabelledFile:
        """Return it from a kept verdict, as ``afinador.data.validation.Report.to_json`` gives it."""
        return cls(name, report.get("shape"), LabelCounts.from_json(report.get("labels")))

    @property
    def can_be_judged(self) -> bool:
        """Whether it has no labels, or they are at hand; verdicts of very many or of earlier versions hold none."""
        return self.shape != "text_label" or self.labels is not None


def classes_of(training: LabelledFile, validation: LabelledFile | None = None) -> list[str]:
    """Return the classes of a training file, in order, if a model can learn to tell them apart.

    Raises:
        DataError: The training file carries no labels, only one, or free text in their place; or the validation file
            carries none, or some that the training file does not have, which are named and counted.
    """
    classes = _trained_classes(training)
    if validation is not None:
        _require_known(validation, classes)
    return classes


def _trained_classes(file: LabelledFile) -> list[str]:
    if file.labels is None:
        raise DataError(no_labels_in(file.name, file.shape), param="training_file")
    counts, records = file.labels.counts, file.labels.records
    found = in_order(counts)
    if len(found) == 1:
        raise DataError(
            f"{f'All {records:,} records' if records > 1 else 'The only record'} of {file.name} "
            f"{'have' if records > 1 else 'has'} the label {shortened(found[0])}; a classifier needs at least "
            "two classes. Add records with other labels.",
            param="training_file",
        )
    if not file.labels.are_classes:
        number = f"more than {MAX_CLASSES:,}" if len(found) > MAX_CLASSES else str(len(found))
        raise DataError(
            f"{file.name} has {number} different labels in {counted(records, 'record')}, such as {_some_of(list(counts))}: that "
            f"is free text, not classes (at most {MAX_CLASSES:,}, with two records each on average). To learn such "
            "answers, train with task causal_lm on a causal base model; else put the column that holds the classes "
            "under 'label'.",
            param="training_file",
        )
    return found


def no_labels_in(name: str, shape: str | None) -> str:
    """Return the sentence on a file of which no classifier can learn, for its records have another shape."""
    return (
        f"{name} holds records of the shape {shape}; sequence_classification learns from the fields 'text' and 'label'. "
        "Rename the fields, or train with task causal_lm on a causal base model."
    )


def _require_known(file: LabelledFile, classes: Sequence[str]) -> None:
    if file.labels is None:
        raise DataError(
            f"{file.name} holds records of the shape {file.shape}; a classifier is measured on the fields 'text' and "
            "'label'. Rename the fields.",
            param="validation_file",
        )
    counts = file.labels.counts
    unknown = [label for label in in_order(counts) if label not in classes]
    if unknown:
        records = sum(counts[label] for label in unknown)
        raise DataError(
            f"{file.name} has {counted(len(unknown), 'label')} that the training file does not have: "
            f"{_some_of(unknown)}, in {counted(records, 'record')}. Trained are: {_some_of(classes)}. "
            "Remove these records, or add some with these labels to the training file.",
            param="validation_file",
        )


def _some_of(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
    return ", ".join(map(shortened, labels[:LABELS_SHOWN])) + more
