"""The texts of a record, to be measured and to be changed.

Measured are all fields that hold text, the ``content`` or ``value`` of turns of a conversation, the texts in lists, and
the values of nested objects such as metadata. Changed are, unless a field is named, those alone that people wrote: a
label, the name of a function or a schema in other letters would be another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from afinador.data.places import MISSING, NAMES_SHOWN, there_instead, value_at
from afinador.data.preparation.rows import Row, with_fields
from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.errors import DataError

WRITTEN = (
    "messages", "conversations", "system", "prompt", "completion", "chosen", "rejected", "preferred_output",
    "non_preferred_output", "text", "document", "instruction", "input", "output", "question", "answer", "oracle", "distractors",
    "source", "target",
)  # fmt: skip
"""The fields of all shapes that hold what people wrote."""
_TURN_TEXTS = ("content", "value")
_PEOPLE = ("system", "developer", "user", "assistant", "human", "gpt", "chatgpt", "model", "bard")
"""Whose turns people wrote, or the model that learns to write as they do; calls of tools and what came of them are neither."""


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
        return [text for item in value for text in ([item] if isinstance(item, str) else texts_in(_spoken(item)))]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    return []


def _spoken(item: Any) -> Any:
    """Of a turn only what is said: neither its role nor its calls; of a part of that, such as an image, its text."""
    if not _is_turn(item):
        return item
    said = [item[name] for name in _TURN_TEXTS if name in item]
    return [each if isinstance(each, str) else [_text_of(part) for part in _listed(each)] for each in said]


def _text_of(part: Any) -> Any:
    return part.get("text") if isinstance(part, dict) else part


def _is_turn(item: Any) -> bool:
    return isinstance(item, dict) and ("role" in item or "from" in item)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def value_of(record: Record, field: str, also_known: tuple[str, ...] = ()) -> Any:
    """Return the value of a field, or with dots of one inside: ``metadata.year``, ``messages.0.content``.

    Args:
        record: With the field.
        field: Its name.
        also_known: Words that may have been meant where there is no such field.

    Raises:
        DataError: There is none; names the nearest.
    """
    value = value_at(record.fields, field)
    if value is MISSING:
        raise _no_field(record, field, also_known)
    return value


def require_field(record: Record, field: str) -> None:
    """Do nothing if a record has a field.

    Raises:
        DataError: It has not; names the nearest.
    """
    if field not in record.fields:
        raise _no_field(record, field)


def _no_field(record: Record, field: str, also_known: tuple[str, ...] = ()) -> DataError:
    there = there_instead(record.fields, field, also_known)
    return DataError(
        f"{record.place} has no field {shortened(field)}; {there} Correct the step, or the record.",
        fault="missing_field",
    )


def changed_row(row: Row, change: Callable[[str], str], field: str | None = None) -> Row:
    """Return a row with the texts that people wrote changed, or with all those of one field.

    Raises:
        DataError: The record has no such field; or none is named, and it has none that people write.
    """
    fields = row.record.fields
    if field is not None:
        require_field(row.record, field)
        return with_fields(row, {**fields, field: changed_in(fields[field], change)})
    written = [name for name in fields if name in WRITTEN]
    if not written:
        names = ", ".join(map(shortened, list(fields)[:NAMES_SHOWN]))
        there = f"the fields {names}" if fields else "no fields"
        raise DataError(
            f"{row.record.place} has {there}; without 'field' only those are changed that hold what people "
            f"wrote: {', '.join(WRITTEN)}. Name the field that is meant."
        )
    return with_fields(row, {**fields, **{name: changed_said(fields[name], change, _PEOPLE) for name in written}})


def changed_said(value: Any, change: Callable[[str], str], roles: tuple[str, ...] | None) -> Any:
    """Return the value of a field of a shape with its texts changed; of an object only the messages that it holds."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return {**value, "messages": changed_in(value["messages"], change, roles)}
    return value if isinstance(value, dict) else changed_in(value, change, roles)


def changed_in(value: Any, change: Callable[[str], str], roles: tuple[str, ...] | None = None) -> Any:
    """Return a value with its texts changed.

    Args:
        value: Of a field.
        change: Gives another text for a text.
        roles: Of a conversation, whose turns are changed; objects that are no turns stay as they are. None: all.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed_item(item, change, roles) for item in value]
    if isinstance(value, dict) and roles is None:
        return {name: changed_in(item, change) for name, item in value.items()}
    return value


def _changed_item(item: Any, change: Callable[[str], str], roles: tuple[str, ...] | None) -> Any:
    if not _is_turn(item):
        return changed_in(item, change, roles)
    if roles is not None and item.get("role", item.get("from")) not in roles:
        return item
    return {name: _changed_saying(part, change) if name in _TURN_TEXTS else part for name, part in item.items()}


def _changed_saying(value: Any, change: Callable[[str], str]) -> Any:
    """Return what is said in a turn changed: a text, or the texts of parts such as ``{"type": "text", "text": "…"}``."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return {**value, "text": change(value["text"])}
    return [_changed_saying(part, change) for part in value] if isinstance(value, list) else value
