"""Takes the fields of a shape from the columns that a person names: the declarative mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from afinador.data.files.compressed import BYTES_WITHOUT_RATIO, MAX_RATIO
from afinador.data.places import MISSING, PLACE, there_instead, value_at, written
from afinador.data.quoting import shortened
from afinador.data.records import FurtherProblem, Problem, Record

MOST_CHARACTERS = 16 * 2**20
"""So many may be made of one record by templates; all records of a file become as many times longer as packed bytes may."""

_PARTS = re.compile(PLACE)
_SHORTER = "Name each column once, or shorten the templates."


def mapped(found: Iterator[Record | Problem], mapping: Mapping[str, Any]) -> Iterator[Record | Problem]:
    """Yield records that have the fields of a mapping and no others, and the problems as they are.

    A record that lacks columns of the mapping, or has nothing where a template needs something, becomes the problems that
    say so. So does one of which templates make too much; where they make too much of the whole file, its reading ends.

    Args:
        found: What was read.
        mapping: By field a column, a path into one (``a.b``, ``a.0``), or a template (``Question: {question}``); or a list
            or an object, in which every text is a template.
    """
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
        else:
            yield result[0]
            yield from (FurtherProblem(**vars(problem)) for problem in result[1:])
        if made > max(BYTES_WITHOUT_RATIO, MAX_RATIO * read):
            yield Problem(
                "unreadable_file",
                f"The mapping makes more than {MAX_RATIO} times as much text as the file has. {_SHORTER}",
            )
            return


class _Filling:
    """Makes one record of another, and counts the characters that templates put in."""

    def __init__(self, record: Record, mapping: Mapping[str, Any]) -> None:
        self._record, self._fields, self._mapping = record, record.fields, mapping
        self.characters = 0
        self._gaps: dict[_Gap, None] = {}

    def mapped(self) -> Record | list[Problem]:
        """Return the record that the mapping makes, or all reasons why there is none."""
        record = self._record
        fields: dict[str, Any] = {}
        problems: list[Problem] = []
        for field, source in self._mapping.items():
            try:
                fields[field] = self._taken(source) if isinstance(source, str) else self._built(source)
            except _TooLongError:
                said = f"the mapping makes more than {MOST_CHARACTERS >> 20} Mi characters of it. {_SHORTER}"
                return [record.problem("template_too_long", said, field)]
            problems += [_missing(record, field, gap) for gap in self._gaps]
            self._gaps.clear()
        return problems or Record(record.line, fields, record.unit, record.origin)

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
