"""Values of tables as JSON has them: dates and times as texts of ISO 8601, decimals as exact texts, tuples as lists.

What has no such form, bytes or a duration, stays as it is, so that a step may still leave it out, and is named by its
place where it would be written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from afinador.data.quoting import masked, shortened
from afinador.data.records import Record
from afinador.errors import DataError

_SIMPLE = frozenset({str, int, float, bool, type(None)})
_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bytes, bytearray, memoryview), "bytes"),
    ((timedelta,), "a duration"),
)


def with_plain_values(record: Record) -> Record:
    """Return a record whose values JSON can hold, as far as they have such a form."""
    if _SIMPLE.issuperset(map(type, record.fields.values())):
        return record
    return Record(record.line, _plain(record.fields), record.unit, record.origin)


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is dict:
        return {name: _plain(item) for name, item in value.items()}
    if kind in (list, tuple):
        return list(value) if _SIMPLE.issuperset(map(type, value)) else [_plain(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | UUID) else value


def refused_value(record: Record, error: Exception) -> DataError:
    """Return the error that names what of a record JSON cannot hold, and what is to be done."""
    place, kind = next(_others(record.fields, ""), ("a field", str(error)))
    return DataError(
        f"{record.place}: {place} holds what JSON cannot: {kind}. Leave the field out by a step remove before this, or make "
        "it a text or a number."
    )


def kind_of(value: object) -> str:
    """Say what a value is that has no place in JSON: ``bytes``."""
    if isinstance(value, float):
        return f"{value}, which is no number"
    return next(
        (said for types, said in _KINDS if isinstance(value, types)), f"a value of the type {type(value).__name__}"
    )


def _others(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the kind of each value that JSON cannot hold."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _others(item, f"{place}.{masked(str(name))}" if place else masked(str(name)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _others(item, f"{place}.{number}")
    elif type(value) not in _SIMPLE or (isinstance(value, float) and not math.isfinite(value)):
        yield shortened(place), kind_of(value)
