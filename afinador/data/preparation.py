"""Makes a data set ready: reads it, takes it through steps, and writes it in another format. Text alone, no torch.

================ ============================================================================================
step             does
================ ============================================================================================
``filter``       keeps the records of which ``condition`` is true: ``length > 10``, ``words >= 3 and length < 500``
``transform``    changes texts by ``operation``: lowercase, uppercase, strip, collapse_spaces, nfc
``rename``       gives ``fields`` other names: ``{"question": "prompt", "answer": "completion"}``
``deduplicate``  keeps the first of records that are the same
================ ============================================================================================

A record's *length* is the number of characters of all its texts together, ``words`` the number of their words parted by
white space: of every field that holds text, and of the ``content`` of its messages. ``"field": "text"`` in a ``filter``
or ``transform`` means that field alone.
"""

from __future__ import annotations

import json
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from afinador.data.records import Problem, Record
from afinador.errors import DataError, InvalidRequestError, UnknownFieldError, nearest

Step = Callable[[Iterator[Record]], Iterator[Record]]

OPERATIONS: dict[str, Callable[[str], str]] = {
    "lowercase": str.lower,
    "uppercase": str.upper,
    "strip": str.strip,
    "collapse_spaces": lambda text: " ".join(text.split()),
    "nfc": lambda text: unicodedata.normalize("NFC", text),
}
"""What ``transform`` offers: on each text by itself."""

_MEASURES: dict[str, Callable[[list[str]], int]] = {
    "length": lambda texts: sum(map(len, texts)),
    "words": lambda texts: sum(len(text.split()) for text in texts),
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*(\d{1,12})\s*")
_KEYS = {
    "filter": ("condition", "field"),
    "transform": ("operation", "field"),
    "rename": ("fields",),
    "deduplicate": (),
}


@dataclass(frozen=True)
class Condition:
    """``length > 10``, or several of these joined by ``and``."""

    comparisons: tuple[tuple[str, str, int], ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            InvalidRequestError: It is none; says what one looks like.
        """
        comparisons = []
        for part in re.split(r"\sand\s", text):
            found = _COMPARISON.fullmatch(part)
            if found is None or found[1] not in _MEASURES:
                raise InvalidRequestError(
                    f"The condition {text!r} is not understood at {part.strip()!r}. A condition compares "
                    f"{' or '.join(_MEASURES)} with a whole number by {' '.join(_COMPARISONS)}, and 'and' joins "
                    "several: 'length > 10', 'words >= 3 and length < 500'.",
                    param="condition",
                )
            comparisons.append((found[1], found[2], int(found[3])))
        return cls(tuple(comparisons))

    def holds(self, texts: list[str]) -> bool:
        """Tell whether it is true of a record with these texts."""
        return all(_COMPARISONS[sign](_MEASURES[name](texts), number) for name, sign, number in self.comparisons)


def prepare(found: Iterable[Record | Problem], name: str, steps: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
    """Take records through steps, one record at a time.

    Args:
        found: What was read.
        name: The data set's, for messages.
        steps: As people write them: ``{"type": "filter", "condition": "length > 10"}``; they are read at once.

    Raises:
        InvalidRequestError: A step, its condition or its operation is unknown; names what there is.
        DataError: While going through: something cannot be read, or a record lacks a field that a step needs.
    """
    parsed = [_step(number, step) for number, step in enumerate(steps, start=1)]
    records = _required(found, name)
    for step in parsed:
        records = step(records)
    return records


def _required(found: Iterable[Record | Problem], name: str) -> Iterator[Record]:
    for record in found:
        if isinstance(record, Problem):
            raise DataError(f"{name}: {record.message}", problems=[record.message])
        yield record


def _step(number: int, step: Mapping[str, Any]) -> Step:
    kind = step.get("type") if isinstance(step, Mapping) else None
    if kind not in _KEYS:
        raise InvalidRequestError(
            f"Step {number} is {step!r}; its 'type' must be one of: {', '.join(_KEYS)}.{nearest(str(kind), _KEYS)}",
            param="preprocessing_steps",
        )
    for key in step.keys() - {"type"}:
        if key not in _KEYS[kind]:
            allowed = ", ".join(_KEYS[kind]) or "nothing"
            raise UnknownFieldError(
                f"Step {number}, {kind!r}, has {key!r}; beside 'type' it takes: {allowed}.", param="preprocessing_steps"
            )
    if kind == "filter":
        condition = Condition.parse(str(step.get("condition", "")))
        return lambda records: _filtered(records, condition, step.get("field"))
    if kind == "transform":
        operation = _operation(number, step.get("operation"))
        return lambda records: _transformed(records, operation, step.get("field"))
    if kind == "rename":
        names = _names(number, step.get("fields"))
        return lambda records: _renamed(records, names)
    return _deduplicated


def _operation(number: int, name: object) -> Callable[[str], str]:
    if not isinstance(name, str) or name not in OPERATIONS:
        raise InvalidRequestError(
            f"The operation of step {number} is {name!r}; it must be one of: {', '.join(OPERATIONS)}."
            f"{nearest(str(name), OPERATIONS)}",
            param="preprocessing_steps",
        )
    return OPERATIONS[name]


def _names(number: int, names: object) -> dict[str, str]:
    if not isinstance(names, Mapping) or not all(isinstance(each, str) for pair in names.items() for each in pair):
        raise InvalidRequestError(
            f"The fields of step {number} are {names!r}; give old and new names, such as {{'question': 'prompt'}}.",
            param="preprocessing_steps",
        )
    return dict(names)


def _filtered(records: Iterator[Record], condition: Condition, field: str | None) -> Iterator[Record]:
    for record in records:
        if condition.holds(_texts(record, field)):
            yield record


def _transformed(records: Iterator[Record], change: Callable[[str], str], field: str | None) -> Iterator[Record]:
    for record in records:
        _texts(record, field)  # a field that is not there is said
        changed = {
            name: _changed(value, change) if field in (None, name) else value for name, value in record.fields.items()
        }
        yield Record(record.line, changed, record.unit)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [
            {**item, "content": change(item["content"])}
            if isinstance(item, dict) and isinstance(item.get("content"), str)
            else item
            for item in value
        ]
    return value


def _renamed(records: Iterator[Record], names: dict[str, str]) -> Iterator[Record]:
    for record in records:
        for old in names:
            _require_field(record, old)
        renamed = {names.get(name, name): value for name, value in record.fields.items()}
        if len(renamed) != len(record.fields):
            raise DataError(f"{record.place} would have two fields of one name after {names!r}. Choose other names.")
        yield Record(record.line, renamed, record.unit)


def _deduplicated(records: Iterator[Record]) -> Iterator[Record]:
    seen: set[bytes] = set()
    for record in records:
        digest = sha256(json.dumps(record.fields, sort_keys=True).encode()).digest()
        if digest not in seen:
            seen.add(digest)
            yield record


def _texts(record: Record, field: str | None) -> list[str]:
    if field is not None:
        _require_field(record, field)
    values = record.fields.values() if field is None else [record.fields[field]]
    texts = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            contents = (item.get("content") for item in value if isinstance(item, dict))
            texts += [content for content in contents if isinstance(content, str)]
    return texts


def _require_field(record: Record, field: str) -> None:
    if field not in record.fields:
        raise DataError(
            f"{record.place} has no field {field!r}; it has: {', '.join(record.fields)}.{nearest(field, record.fields)}"
        )
