"""Places in a record: ``metadata.title`` leads into an object, ``messages.0.content`` into a list; in templates between braces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from afinador.data.quoting import described, masked, shortened
from afinador.errors import nearest

PLACE = r"(\{\{|\}\})|\{([^{}]*)\}"
"""In a template: a brace that is meant as one, or a place."""

MISSING = object()
"""What there is where a place leads nowhere."""

NAMES_SHOWN = 20
_MOST_DIGITS = 9


def value_at(fields: Mapping[str, Any], place: str) -> Any:
    """Return what a field holds, or what a path leads to; ``MISSING`` if there is nothing. A field of just this name comes first."""
    if place in fields:
        return fields[place]
    value: Any = fields
    for step in place.split("."):
        value = _inside(value, step)
        if value is MISSING:
            break
    return value


def _inside(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    is_number = step.isascii() and step.isdigit() and len(step) <= _MOST_DIGITS
    return value[int(step)] if isinstance(value, list) and is_number and int(step) < len(value) else MISSING


def written(value: Any) -> str:
    """Return a value as a template puts it into a text: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def there_instead(fields: Mapping[str, Any], place: str, also_known: tuple[str, ...] = ()) -> str:
    """Say what there is where a path ends too soon: ``it has: 'text', 'label'. Did you mean 'text'?``.

    Args:
        fields: Of the record.
        place: What was sought.
        also_known: Words that may have been meant beside the names of fields.
    """
    value: Any = fields
    way = ""
    for step in place.split("."):
        inner = _inside(value, step)
        if inner is MISSING:
            break
        value, way = inner, f"{way}.{step}" if way else step
    has = f"{shortened(way)} has" if way else "it has"
    if isinstance(value, Mapping):
        names = list(value)
        more = ", …" if len(names) > NAMES_SHOWN else ""
        sought = place if not way else place[len(way) + 1 :]
        listed = ", ".join(map(shortened, names[:NAMES_SHOWN])) or "none"
        return f"{has}: {listed}{more}.{nearest(sought, [*map(masked, map(str, names)), *also_known])}"
    if isinstance(value, list):
        counted = f"values 0 to {len(value) - 1}" if value else "no value"
        return f"{has} {counted}."
    return f"{shortened(way)} is {described(value)}."
