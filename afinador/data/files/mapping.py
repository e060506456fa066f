"""Takes the fields of a shape from the columns that a person names: the declarative mapping."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from afinador.data.files.compressed import BYTES_WITHOUT_RATIO, MAX_RATIO
from afinador.data.places import MISSING, PLACE, there_instead, value_at, written
from afinador.data.quoting import shortened
from afinador.data.records import FurtherProblem, Problem, Record

MOST_CHARACTERS = 16 * 2**20
"""So many may be made of one record by templates; all records of a file become as many times longer as packed bytes may."""

RECORDS_THAT_TELL_COLUMNS = 100

_PARTS = re.compile(PLACE)
_SHORTER = "Name each column once, or shorten the templates."


def mapped(found: Iterator[Record | Problem], mapping: Mapping[str, Any]) -> Iterator[Record | Problem]:
    """Yield records that have the fields of a mapping and no others, and the problems as they are.

    A record that lacks columns of the mapping, or has nothing where a template needs something, becomes the problems that
    say so. So does one of which templates make too much; where they make too much of the whole file, its reading ends. So
    it does where no record has a column, or none of the first ``RECORDS_THAT_TELL_COLUMNS``, which is told once.

    Args:
        found: What was read.
        mapping: By field a column, a path into one (``a.b``, ``a.0``), or a template (``Question: {question}``); or a list
            or an object, in which every text is a template.
    """
    each = _each_mapped(found, mapping)
    held: list[_Unmapped] = []
    for one in each:
        if isinstance(one, _Unmapped):
            held.append(one)
            if nowhere := _columns_of_none(held):
                if len(held) == RECORDS_THAT_TELL_COLUMNS:
                    break
                continue
        elif isinstance(one, Problem):
            yield one
            continue
        yield from _as_problems(held)
        if isinstance(one, Record):
            yield one
        for later in each:
            yield from _as_problems([later]) if isinstance(later, _Unmapped) else (later,)
        return
    if len(held) < 2:
        yield from _as_problems(held)
        return
    for gap in nowhere:
        yield _missing_everywhere(gap, held)


class _Unmapped(NamedTuple):
    """A record that a mapping makes nothing of.

    Attributes:
        problems: All reasons.
        columns: Columns that it has not, each with what it has instead.
    """

    place: str
    problems: list[Problem]
    columns: dict[_Column, str]


class _Column(NamedTuple):
    """A column that a mapping takes a field from."""

    name: str
    field: str


def _each_mapped(
    found: Iterator[Record | Problem], mapping: Mapping[str, Any]
) -> Iterator[Record | Problem | _Unmapped]:
    read = made = 0
    for record in found:
        if isinstance(record, Problem):
            yield record
            continue
        read += _characters_in(record.fields)
        filling = _Filling(record, mapping)
        result = filling.mapped()
        if isinstance(result, Record):
            made += filling.characters
        yield result
        if made > max(BYTES_WITHOUT_RATIO, MAX_RATIO * read):
            yield Problem(
                "unreadable_file",
                f"The mapping makes more than {MAX_RATIO} times as much text as the file has. {_SHORTER}",
            )
            return


def _columns_of_none(records: Sequence[_Unmapped]) -> list[_Column]:
    """Return the columns that none of some records has."""
    return [column for column in records[0].columns if all(column in each.columns for each in records)]


def _as_problems(records: Iterable[_Unmapped]) -> Iterator[Problem]:
    for record in records:
        yield record.problems[0]
        yield from (FurtherProblem(**vars(problem)) for problem in record.problems[1:])


def _missing_everywhere(column: _Column, records: Sequence[_Unmapped]) -> Problem:
    among = f"the first {len(records)} records" if len(records) == RECORDS_THAT_TELL_COLUMNS else "the records"
    said = f"None of {among} has a column {shortened(column.name)}, from which the mapping takes {column.field!r}."
    return Problem(
        "unknown_column",
        f"{said} {records[0].place}: {records[0].columns[column]} Correct the mapping.",
        field=column.field,
    )


class _Filling:
    """Makes one record of another, and counts the characters that templates put in."""

    def __init__(self, record: Record, mapping: Mapping[str, Any]) -> None:
        self._record, self._fields, self._mapping = record, record.fields, mapping
        self.characters = 0
        self._gaps: dict[_Gap, None] = {}

    def mapped(self) -> Record | _Unmapped:
        """Return the record that the mapping makes, or why there is none."""
        record = self._record
        fields: dict[str, Any] = {}
        problems: list[Problem] = []
        columns: dict[_Column, str] = {}
        for field, source in self._mapping.items():
            try:
                fields[field] = self._taken(source) if isinstance(source, str) else self._built(source)
            except _TooLongError:
                said = f"the mapping makes more than {MOST_CHARACTERS >> 20} Mi characters of it. {_SHORTER}"
                return _Unmapped(record.place, [record.problem("template_too_long", said, field)], {})
            for gap in self._gaps:
                problems.append(_missing(record, field, gap))
                if not gap.is_null:
                    columns[_Column(gap.column, field)] = there_instead(record.fields, gap.column)
            self._gaps.clear()
        if problems:
            return _Unmapped(record.place, problems, columns)
        return Record(record.line, fields, record.unit, record.origin)

    def _taken(self, source: str) -> Any:
        value = self._value_at(source)
        if value is not MISSING:
            return value
        if _PARTS.search(source):
            return self._filled(source)
        self._gaps[_Gap(source)] = None
        return None

    def _built(self, source: Any) -> Any:
        if isinstance(source, str):
            return self._filled(source)
        if isinstance(source, Mapping):
            return {name: self._built(each) for name, each in source.items()}
        if isinstance(source, list):
            return [self._built(each) for each in source]
        return source

    def _filled(self, template: str) -> str:
        """Fill a template; one in whose places nothing comes is as empty as what it was to hold."""
        filled, position, came = [], 0, []
        for part in _PARTS.finditer(template):
            filled.append(self._counted(template[position : part.start()]))
            position = part.end()
            if part[1]:
                filled.append(self._counted(part[1][0]))
            else:
                came.append(self._counted(self._text(part[2].strip())))
                filled.append(came[-1])
        filled.append(self._counted(template[position:]))
        return "" if came and not any(map(str.strip, came)) else "".join(filled)

    def _text(self, column: str) -> str:
        value = self._value_at(column)
        if value is MISSING or value is None:
            self._gaps[_Gap(column, is_null=value is None)] = None
            return ""
        return written(value)

    def _value_at(self, column: str) -> Any:
        value = value_at(self._fields, column)
        return None if value is MISSING and column in self._record.columns else value

    def _counted(self, text: str) -> str:
        self.characters += len(text)
        if self.characters > MOST_CHARACTERS:
            raise _TooLongError
        return text


class _Gap(NamedTuple):
    """What a mapping needs and a record does not have."""

    column: str
    is_null: bool = False


class _TooLongError(Exception):
    """Templates make more of a record than is allowed."""


def _characters_in(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return len(value) + sum(map(_characters_in, value.values()))
    if isinstance(value, list):
        return len(value) + sum(map(_characters_in, value))
    return 1


def _missing(record: Record, field: str, gap: _Gap) -> Problem:
    if gap.is_null:
        said = (
            f"{record.place}: {shortened(gap.column)} is null, and a template of the mapping takes {field!r} from it."
        )
        return Problem("unmapped_column", f"{said} Write a value, or remove the record.", record.line, field)
    message = (
        f"{record.place} has no column {shortened(gap.column)}, from which the mapping takes {field!r}; "
        f"{there_instead(record.fields, gap.column)} Correct the mapping, or the record."
    )
    return Problem("unmapped_column", message, record.line, field)
