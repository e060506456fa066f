"""The texts of a record, to be measured and to be changed.

They are all fields that hold text, the ``content`` or ``value`` of turns of a conversation, the texts in lists, and
the values of nested objects such as metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from afinador.data.preparation.rows import Row, with_fields
from afinador.data.quoting import masked, shortened
from afinador.data.records import Record
from afinador.errors import DataError, nearest

NAMES_SHOWN = 20
_TURN_TEXTS = ("content", "value")


def texts_of(record: Record, field: str | None = None) -> list[str]:
    """Return all texts of a record, or those of one field.

    Raises:
        DataError: The record has no such field.
    """
    values = list(record.fields.values()) if field is None else [value_of(record, field)]
    return [text for value in values for text in texts_in(value)]


def texts_in(value: Any) -> list[str]:
    """Return all texts in a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts_in(_spoken(item))]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    return []


def _spoken(item: Any) -> Any:
    """Of a turn only what is said: neither its role nor its calls."""
    if not isinstance(item, dict) or not ("role" in item or "from" in item):
        return item
    return {name: item[name] for name in _TURN_TEXTS if name in item}


def value_of(record: Record, field: str) -> Any:
    """Return the value of a field, or with dots of one inside: ``metadata.year``.

    Raises:
        DataError: There is none; names the nearest.
    """
    if field in record.fields:
        return record.fields[field]
    value: Any = record.fields
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise _no_field(record, field)
        value = value[name]
    return value


def require_field(record: Record, field: str) -> None:
    """Do nothing if a record has a field.

    Raises:
        DataError: It has not; names the nearest.
    """
    if field not in record.fields:
        raise _no_field(record, field)


def _no_field(record: Record, field: str) -> DataError:
    there = ", ".join(map(shortened, list(record.fields)[:NAMES_SHOWN]))
    return DataError(
        f"{record.place} has no field {field!r}; it has: {there}.{nearest(field, map(masked, record.fields))}"
    )


def changed_row(row: Row, change: Callable[[str], str], field: str | None = None) -> Row:
    """Return a row with its texts changed, all or those of one field.

    Raises:
        DataError: The record has no such field.
    """
    if field is not None:
        require_field(row.record, field)
    fields = row.record.fields
    return with_fields(
        row, {name: changed_in(value, change) if field in (None, name) else value for name, value in fields.items()}
    )


def changed_in(value: Any, change: Callable[[str], str], roles: tuple[str, ...] | None = None) -> Any:
    """Return a value with all its texts changed.

    Args:
        value: Of a field.
        change: Gives another text for a text.
        roles: Of a conversation, whose turns are changed; None: all.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed_item(item, change, roles) for item in value]
    if isinstance(value, dict):
        return {name: changed_in(item, change, roles) for name, item in value.items()}
    return value


def _changed_item(item: Any, change: Callable[[str], str], roles: tuple[str, ...] | None) -> Any:
    if not isinstance(item, dict) or not ("role" in item or "from" in item):
        return changed_in(item, change, roles)
    if roles is not None and item.get("role", item.get("from")) not in roles:
        return item
    return {name: changed_in(part, change) if name in _TURN_TEXTS else part for name, part in item.items()}
