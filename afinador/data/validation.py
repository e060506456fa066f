"""Judges a whole file before anything is trained on it: all faults at once, each with its place and its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.data.delimited import columns_of_csv
from afinador.data.doubts import Doubts
from afinador.data.labels import LabelCounts
from afinador.data.readers import detect_format, read_records
from afinador.data.records import WHOLE_FILE_CODES, Format, Problem, Record, shortened
from afinador.data.shapes import (
    SHAPES,
    Example,
    Shape,
    commonest_shape,
    fields_allowed,
    near_miss,
    shape_of,
    shapes_of_format,
    to_example,
)
from afinador.errors import DataError, nearest

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

__all__ = ["Problem", "Report", "load_examples", "require_valid", "validate_dataset"]

PROBLEMS_KEPT_PER_CODE = 10
RECORDS_THAT_DECIDE_THE_SHAPE = 100
CODES_IN_SUMMARY = 3
NAMES_SHOWN = 8


@dataclass
class Report:
    """The verdict on a file.

    Attributes:
        format: None where the file has none that is read.
        shape: None where no record has a known one.
        records: Records found, usable or not.
        bytes: Size of the file.
        errors: What forbids training; at most ten of each code.
        warnings: What a person should know; at most ten of each code.
        counts: How many there are of each code, errors and warnings.
        labels: How often each label occurs; of records of the shape ``text_label`` only.
    """

    format: Format | None = None
    shape: Shape | None = None
    records: int = 0
    bytes: int = 0
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    labels: LabelCounts | None = None

    @property
    def is_valid(self) -> bool:
        """Whether it may be trained on."""
        return not self.errors

    def summary(self) -> str:
        """Say in a few sentences what was found: of each kind the first, and how many more."""
        if self.is_valid:
            said = f"{_counted(self.records)} of the shape {self.shape}."
            return " ".join([said, *(problem.message for problem in self._firsts(self.warnings))])
        firsts = self._firsts(self.errors)
        unusable = sum(self.counts[code] for code in {problem.code for problem in self.errors})
        parts = [f"{min(unusable, self.records)} of {_counted(self.records)} cannot be used:"] if self.records else []
        for problem in firsts[:CODES_IN_SUMMARY]:
            more = self.counts[problem.code] - 1
            parts.append(problem.message + (f" And {more} more like it." if more else ""))
        if len(firsts) > CODES_IN_SUMMARY:
            parts.append(f"And {len(firsts) - CODES_IN_SUMMARY} other kinds of fault.")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, with the summary."""
        return {
            "format": self.format,
            "shape": self.shape,
            "records": self.records,
            "bytes": self.bytes,
            "errors": [problem.to_json() for problem in self.errors],
            "warnings": [problem.to_json() for problem in self.warnings],
            "counts": self.counts,
            "labels": self.labels.to_json() if self.labels else None,
            "summary": self.summary(),
        }

    def add_error(self, problem: Problem) -> None:
        """Count an error, and keep it if there are few of its code."""
        self._add(problem, self.errors)

    def add_warning(self, problem: Problem) -> None:
        """Count a warning, and keep it if there are few of its code."""
        self._add(problem, self.warnings)

    def _add(self, problem: Problem, kept: list[Problem]) -> None:
        self.counts[problem.code] = self.counts.get(problem.code, 0) + 1
        if self.counts[problem.code] <= PROBLEMS_KEPT_PER_CODE:
            kept.append(problem)

    @staticmethod
    def _firsts(problems: list[Problem]) -> list[Problem]:
        return list({problem.code: problem for problem in reversed(problems)}.values())[::-1]


def validate_dataset(path: Path, name: str, reading: DatasetReading | None = None) -> Report:
    """Return the verdict on a file; bad data of any kind is in the report, never raised.

    Args:
        path: Where the bytes are.
        name: The name that a person gave the file; its extension says the format.
        reading: What is declared of it.
    """
    report = Report()
    try:
        report.bytes = path.stat().st_size
        report.format = detect_format(path, name, reading)
    except OSError as error:
        report.add_error(Problem("unreadable_file", f"{name!r} cannot be read: {error.strerror}. Check the path."))
        return report
    except DataError as error:
        report.add_error(Problem("unreadable_file", error.message))
        return report
    report.shape, records = _with_shape(path, report.format, reading)
    report.labels = LabelCounts() if report.shape == "text_label" else None
    doubts = Doubts(report.shape, finds_repetitions=report.format != "text")
    for found in records:
        _judge(found, report, doubts)
    if report.records == 0 and not report.errors:
        report.add_error(Problem("no_records", f"{name!r} holds no records. Upload a file with at least one."))
    for warning in doubts.about_all():
        report.add_warning(warning)
    return report


def _judge(found: Record | Problem, report: Report, doubts: Doubts) -> None:
    if isinstance(found, Problem):
        report.records += found.code not in WHOLE_FILE_CODES
        report.add_error(found)
        return
    report.records += 1
    example = _example_of(found, report.shape)
    if isinstance(example, Problem):
        report.add_error(example)
        return
    if report.labels is not None:
        report.labels.add(example.completion or "")
    for warning in doubts.about(found, example):
        report.add_warning(warning)


def require_valid(report: Report, name: str, *, param: str | None = None) -> None:
    """Do nothing if a file may be trained on.

    Raises:
        DataError: It may not; the message is the summary, ``problems`` has a sentence for each error kept.
    """
    if not report.is_valid:
        problems = [problem.message for problem in report.errors]
        raise DataError(f"{name}: {report.summary()}", param=param, problems=problems)


def load_examples(path: Path, format: Format, reading: DatasetReading | None = None) -> list[Example]:
    """Return all records of a file that was found valid, in its order.

    Raises:
        DataError: Something in it cannot be used after all, or it holds no records.
    """
    shape, records = _with_shape(path, format, reading)
    examples = []
    for found in records:
        example = found if isinstance(found, Problem) else _example_of(found, shape)
        if isinstance(example, Problem):
            raise DataError(f"{path.name}: {example.message}", problems=[example.message])
        examples.append(example)
    if not examples:
        raise DataError(f"{path.name} holds no records.")
    return examples


def _with_shape(
    path: Path, format: Format, reading: DatasetReading | None
) -> tuple[Shape | None, Iterator[Record | Problem]]:
    """Return the shape of a file, declared or told by its header or by its first records, and all that is in it."""
    records = read_records(path, format, reading)
    declared = reading.shape if reading else None
    if declared is not None:
        if declared in SHAPES:
            return declared, records
        return None, iter([_unknown_shape(declared)])
    if format == "csv" and not (reading and reading.mapping):
        columns = _columns(path, reading)
        shape = shape_of(dict.fromkeys(columns), shapes_of_format(format))
        return shape, iter([_unknown_columns(columns)]) if columns and shape is None else records
    first = list(islice(records, RECORDS_THAT_DECIDE_THE_SHAPE))
    shape = commonest_shape((record for record in first if isinstance(record, Record)), format)
    return shape, chain(first, records)


def _columns(path: Path, reading: DatasetReading | None) -> list[str]:
    try:
        return columns_of_csv(path, reading)
    except DataError:  # which the reader tells
        return []


def _unknown_shape(name: str) -> Problem:
    said = f"shape is declared as {shortened(name)}; known are: {', '.join(SHAPES)}.{nearest(name, SHAPES)}"
    return Problem("unknown_shape", said)


def _unknown_columns(columns: list[str]) -> Problem:
    said = f"The header has the columns {_some_of(columns)}; allowed are {fields_allowed('csv')}.{near_miss(columns)} Rename the columns."
    return Problem("unknown_columns", said, 1)


def _example_of(record: Record, shape: Shape | None) -> Example | Problem:
    if shape is not None:
        return to_example(record, shape)
    found = _some_of(list(record.fields))
    said = f"{record.place} has the fields {found}; allowed are {fields_allowed('jsonl')}.{near_miss(record.fields)} Rename the fields."
    return Problem("unknown_fields", said, record.line)


def _counted(records: int) -> str:
    return f"{records} record{'s' if records != 1 else ''}"


def _some_of(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return (", ".join(shortened(name) for name in names[:NAMES_SHOWN]) or "none") + more
