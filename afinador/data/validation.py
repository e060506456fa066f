"""Judges a whole file before anything is trained on it: all faults at once, each with its place and its remedy.

The records are judged block by block. JSON Lines in UTF-8 are shared among processes where there are many; all other
formats are read by this one alone. Whoever does the work, the blocks are the same, and so is the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.data.checks.conclusions import doubts_about_all, notes_about_all
from afinador.data.checks.findings import Findings
from afinador.data.checks.judging import Judge
from afinador.data.checks.line_blocks import BLOCK_BYTES, JsonLines, is_searched
from afinador.data.checks.row_blocks import Rows
from afinador.data.checks.workers import Divisible, judged, processes_for
from afinador.data.files.compressed import is_compressed
from afinador.data.files.delimited import columns_of_csv, dialect_of, doubts_about_quotes
from afinador.data.files.detection import encoding_of
from afinador.data.files.formats import misfit_of
from afinador.data.files.readers import detect_format, read_records
from afinador.data.files.reading_position import bytes_read
from afinador.data.files.unread import Unread
from afinador.data.quoting import shortened, some_of
from afinador.data.records import Format, Problem, Record
from afinador.data.shapes import (
    SHAPES,
    Example,
    Shape,
    commonest_shape,
    fault_of_mapping,
    fields_allowed,
    mapping_for,
    near_miss,
    shape_of_columns,
)
from afinador.data.verdicts import Report
from afinador.errors import DataError, nearest
from afinador.schemas.dataset_formats import STORED_ONLY

if TYPE_CHECKING:
    from afinador.schemas.datasets import DatasetReading

__all__ = ["Problem", "Report", "load_examples", "require_valid", "validate_dataset"]

RECORDS_THAT_DECIDE_THE_SHAPE = 100
LINES_THAT_DECIDE_THE_SHAPE = 10_000  # among which those records are; the first may all be broken
RECORDS_IN_BLOCK = 1000
LARGE_FILE_BYTES = 2 * 2**20
"""From so many on NumPy's import, 0.15 s, takes less time than it saves."""

Progress = Callable[[int, int], None]


def validate_dataset(
    path: Path,
    name: str,
    reading: DatasetReading | None = None,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Return the verdict on a file; bad data of any kind is in the report, never raised.

    Args:
        path: Where the bytes are.
        name: The name that a person gave the file; its extension says the format.
        reading: What is declared of it.
        processes: How many judge it, 1 for this one alone; by default as many as the file is worth.
        progress: Is told, now and then, how many bytes of how many are judged; of folders and of tables, which are read in other ways,
            nothing.
    """
    report = Report()
    try:
        report.bytes = path.stat().st_size
        report.format = detect_format(path, name, reading)
        if misfit := misfit_of(reading, report.format, name):
            raise DataError(misfit)
        return _judged(path, name, reading, report, processes, progress)
    except OSError as error:
        report.add_error(Problem("unreadable_file", f"{name!r} cannot be read: {error.strerror}. Check the path."))
    except DataError as error:
        report.add_error(Problem("unreadable_file", error.message))
    return report


def _judged(
    path: Path,
    name: str,
    reading: DatasetReading | None,
    report: Report,
    processes: int | None,
    progress: Progress | None,
) -> Report:
    assert report.format is not None
    report.shape, records = _with_shape(path, report.format, reading, report.unread)
    judge = Judge(
        report.shape,
        is_running_text=report.format == "text",
        is_declared=bool(reading and reading.shape),
        is_of_large_file=report.bytes >= LARGE_FILE_BYTES,
        is_csv=report.format == "csv",
        encoding=reading.encoding if reading else None,
    )
    divisible = _divisible(path, report.format, judge, reading)
    whole = None
    if divisible is not None:
        try:
            whole = _added_up(report, _parts(divisible, report.bytes, processes, progress))
        except _IndivisibleError:
            report = Report(report.format, report.shape, bytes=report.bytes, unread=report.unread)
    if whole is None:
        whole = _added_up(report, _followed(_record_parts(records, judge), path, report.bytes, progress))
    if report.records == 0 and not report.errors:
        report.add_error(Problem("no_records", f"{name!r} holds no records. Upload a file with at least one."))
    if report.format == "csv":
        for problem in doubts_about_quotes(path, reading):
            report.add_warning(problem)
    for problem in doubts_about_all(report.shape, whole):
        report.add_warning(problem)
    if report.shape is not None and not SHAPES[report.shape].tasks:
        said = f"Records of the shape {report.shape} are checked and stored; no training method takes it yet."
        report.add_note(Problem(STORED_ONLY, said))
    for problem in notes_about_all(whole, report.bytes, report.repetitions):
        report.add_note(problem)
    return report


_NOT_AS_IT_IS = ("mapping", "columns", "delimiter", "quote_character", "escape_character")
"""What is declared where records are not what the lines of a file hold, or are found in another way than by themselves."""


class _IndivisibleError(Exception):
    """The parts of a file are no parts by themselves."""


def _divisible(path: Path, format: Format, judge: Judge, reading: DatasetReading | None) -> Divisible | None:
    """Return the parts of a file of lines in UTF-8 that is taken as it is; None of all others."""
    if judge.shape is None or format not in ("jsonl", "csv") or is_compressed(path):
        return None
    if reading is not None and any(getattr(reading, name) for name in _NOT_AS_IT_IS):
        return None
    if encoding_of(path, reading.encoding if reading else None) != "utf-8-sig":
        return None
    if format == "jsonl":
        return JsonLines(path, judge)
    dialect = dialect_of(path, reading)
    return Rows.find(path, judge, dialect, _columns(path, reading)) if dialect.is_usual else None


def _added_up(report: Report, parts: Iterator[Findings]) -> Findings:
    """Add all parts to the report; return what was found in the whole."""
    whole = Findings()
    for found in parts:
        whole.add_all(found)
        report.add_problems(found.errors, found.warnings)
        report.repetitions.unit = found.unit
        for problem in report.repetitions.take(found):
            report.add_warning(problem)
    if (contradictions := report.repetitions.contradictions()) is not None:
        report.add_warning(contradictions)
    report.sort()
    report.records, report.refused, report.searched = whole.records, whole.refused, whole.searched
    report.lengths, report.types = whole.lengths, whole.types
    report.labels = whole.labels if report.shape == "text_label" else None
    return whole


def _parts(file: Divisible, file_bytes: int, processes: int | None, progress: Progress | None) -> Iterator[Findings]:
    for block, found in judged(file, processes or processes_for(file_bytes // BLOCK_BYTES)):
        if found is None:
            raise _IndivisibleError
        yield found
        if progress is not None:
            progress(block.offset + block.size, file_bytes)


def _followed(parts: Iterator[Findings], path: Path, file_bytes: int, progress: Progress | None) -> Iterator[Findings]:
    for found in parts:
        yield found
        if progress is not None and (position := bytes_read(path)) is not None:
            progress(position, file_bytes)


def _record_parts(records: Iterator[Record | Problem], judge: Judge) -> Iterator[Findings]:
    """Judge records as they come; a part ends after so many records, or as many characters as a block has bytes."""
    number = 0
    closely = is_searched(number)
    findings = Findings()
    characters = 0
    for found in records:
        judge.judge(found, findings, closely=closely)
        characters += _size_of(found)
        if findings.records >= RECORDS_IN_BLOCK or characters >= BLOCK_BYTES:
            judge.finish(findings)
            yield findings
            number += 1
            closely, findings, characters = is_searched(number), Findings(), 0
    judge.finish(findings)
    yield findings


def _size_of(found: Record | Problem) -> int:
    return (
        sum(len(value) for value in found.fields.values() if isinstance(value, str)) if isinstance(found, Record) else 0
    )


def require_valid(report: Report, name: str, *, param: str | None = None) -> None:
    """Do nothing if a file may be trained on.

    Raises:
        DataError: It may not; the message is the summary, ``problems`` has a sentence for each error kept.
    """
    if not report.is_valid:
        problems = [problem.message for problem in report.errors]
        raise DataError(f"{name}: {report.summary()}", param=param, problems=problems)


def load_examples(path: Path, format: Format, reading: DatasetReading | None = None) -> Iterator[Example]:
    """Yield all records of a file that was found valid, in its order.

    Raises:
        DataError: Something in it cannot be used after all, or it holds no records.
    """
    shape, records = _with_shape(path, format, reading)
    judge = Judge(shape, is_declared=bool(reading and reading.shape))
    example = None
    for found in records:
        example = found if isinstance(found, Problem) else judge.example_of(found)
        if isinstance(example, Problem):
            raise DataError(f"{path.name}: {example.message}", problems=[example.message])
        yield example
    if example is None:
        raise DataError(f"{path.name} holds no records. Upload a file with at least one.")


def _with_shape(
    path: Path, format: Format, reading: DatasetReading | None, unread: Unread | None = None
) -> tuple[Shape | None, Iterator[Record | Problem]]:
    """Return the shape of a file, declared or told by its header or by its first records, and all that is in it.

    ``unread`` gets what of a folder is left out.
    """
    records = read_records(path, format, reading, unread=unread)
    declared = reading.shape if reading else None
    if declared is not None and declared not in SHAPES:
        return None, iter([_unknown_shape(declared)])
    if reading is not None and reading.mapping and (fault := fault_of_mapping(reading.mapping, declared)):
        return declared, iter([fault])
    if declared is not None:
        return declared, records
    if format == "csv" and not (reading and reading.mapping):
        columns = _columns(path, reading)
        shape = shape_of_columns(columns)
        return shape, iter([_unknown_columns(columns)]) if columns and shape is None else records
    # Read once more instead of held: each of the first records may be as long as the longest line.
    found = islice(read_records(path, format, reading), LINES_THAT_DECIDE_THE_SHAPE)
    first = islice((each for each in found if isinstance(each, Record)), RECORDS_THAT_DECIDE_THE_SHAPE)
    # What a mapping makes of columns may be of any shape.
    held = "jsonl" if reading is not None and reading.mapping else format
    return commonest_shape(first, held), records


def _columns(path: Path, reading: DatasetReading | None) -> list[str]:
    try:
        return columns_of_csv(path, reading)
    except DataError:  # which the reader tells
        return []


def _unknown_shape(name: str) -> Problem:
    said = f"shape is declared as {shortened(name)}; known are: {', '.join(SHAPES)}.{nearest(name, SHAPES)} Declare one of these, or none."
    return Problem("unknown_shape", said)


def _unknown_columns(columns: list[str]) -> Problem:
    said = f"The header has the columns {some_of(columns)}; allowed are {fields_allowed('csv')}, or 'text' alone.{near_miss(columns)}"
    if len(columns) == 1:
        said += " If values are parted by another character, declare it: option --delimiter, or reading.delimiter."
    said += " If this line is a record already, name the columns in their order: option --columns, or reading.columns."
    return Problem("unknown_columns", f"{said} Rename the columns, {mapping_for(columns, 'csv')}", 1)
