"""Types in a JSON Schema that there are none of: validators and models take a schema with one for anything or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afinador.data.quoting import shortened
from afinador.errors import nearest

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_SCHEMAS = (
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
)
_LISTS = ("prefixItems", "items", "anyOf", "oneOf", "allOf")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def unknown_types(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield what a person should be told of each type that is none.

    Args:
        schema: A JSON Schema.
        place: Where it stands: ``tools[0].function.parameters``.
    """
    for path, type in _types_in(schema, place):
        if type not in TYPES:
            yield f"{shortened(f'{path}.type', 120)} is {shortened(type)}, but must be one of: {', '.join(TYPES)}.{nearest(type, TYPES)}"


def misspelt_object(schema: Mapping[str, Any]) -> str | None:
    """Return the type of what has ``properties`` and nearly the type ``object``, as a JSON Schema has it; None of all else."""
    type = schema.get("type")
    is_near = isinstance(type, str) and type not in TYPES and bool(nearest(type, TYPES))
    return type if is_near and isinstance(schema.get("properties"), Mapping) else None


def _types_in(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, Any]] = [(place, schema)]
    while waiting:
        path, each = waiting.pop()
        if not isinstance(each, Mapping):
            continue
        types = each.get("type")
        for type in types if isinstance(types, list) else [types]:
            if isinstance(type, str):
                yield path, type
        waiting += reversed(list(_inside(each, path)))


def _inside(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key in _SCHEMAS:
        yield f"{path}.{key}", schema.get(key)
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            yield from ((f"{path}.{key}[{at}]", each) for at, each in enumerate(schema[key]))
    for key in _NAMED:
        if isinstance(schema.get(key), Mapping):
            yield from ((f"{path}.{key}.{name}", each) for name, each in schema[key].items())
