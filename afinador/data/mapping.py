"""Takes the fields of a shape from the columns that a person names: the declarative mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from afinador.data.quoting import masked, shortened
from afinador.data.records import Problem, Record
from afinador.errors import nearest

_PARTS = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}")
_MISSING = object()


def mapped(found: Iterator[Record | Problem], mapping: Mapping[str, Any]) -> Iterator[Record | Problem]:
    """Yield records that have the fields of a mapping and no others, and the problems as they are.

    A record that lacks a column of the mapping becomes the problem that names it.

    Args:
        found: What was read.
        mapping: By field a column, a path into one (``a.b``, ``a.0``), or a template (``Question: {question}``); or a list
            or an object, in which every text is a template.
    """
    for record in found:
        yield record if isinstance(record, Problem) else _mapped(record, mapping)


def _mapped(record: Record, mapping: Mapping[str, Any]) -> Record | Problem:
    fields: dict[str, Any] = {}
    for field, source in mapping.items():
        try:
            fields[field] = _taken(record.fields, source) if isinstance(source, str) else _built(record.fields, source)
        except _Gap as gap:
            return _missing(record, field, gap.column)
    return Record(record.line, fields, record.unit, record.origin)


def _taken(fields: Mapping[str, Any], source: str) -> Any:
    value = _value(fields, source)
    if value is not _MISSING:
        return value
    if _PARTS.search(source):
        return _filled(fields, source)
    raise _Gap(source)


def _built(fields: Mapping[str, Any], source: Any) -> Any:
    if isinstance(source, str):
        return _filled(fields, source)
    if isinstance(source, Mapping):
        return {name: _built(fields, each) for name, each in source.items()}
    if isinstance(source, list):
        return [_built(fields, each) for each in source]
    return source


class _Gap(Exception):
    """What a template needs and a record does not have."""

    def __init__(self, column: str) -> None:
        self.column = column


def _filled(fields: Mapping[str, Any], template: str) -> str:
    filled, position = [], 0
    for part in _PARTS.finditer(template):
        filled.append(template[position : part.start()])
        position = part.end()
        if part[1]:
            filled.append(part[1][0])
            continue
        value = _value(fields, part[2].strip())
        if value is _MISSING:
            raise _Gap(part[2].strip())
        filled.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return "".join(filled) + template[position:]


def _value(fields: Mapping[str, Any], path: str) -> Any:
    """Return what a column holds, or what a path leads to; a column of just this name comes first."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif (
            isinstance(value, list) and step.isascii() and step.isdigit() and len(step) <= 9 and int(step) < len(value)
        ):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def _missing(record: Record, field: str, column: str) -> Problem:
    found = ", ".join(shortened(name) for name in list(record.fields)[:8]) or "none"
    message = (
        f"{record.place} has no column {shortened(column)}, from which the mapping takes {field!r} (found: {found})."
        f"{nearest(column, map(masked, record.fields))} Correct the mapping, or the record."
    )
    return Problem("unmapped_column", message, record.line, field)
