"""Fields of metadata that nobody has asked for.

Where documents are asked for by a schema, the answer is learnt as it was written. A field that the schema does not have is
learnt, too: the model will add it, where it is wanted and where it is not. It is told, and neither left out nor refused: a
misspelt name in a template would take good metadata away without a trace, and metadata may hold more on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from afinador.data.metadata_schema import is_json_schema
from afinador.data.quoting import shortened

FIELDS_TOLD = 8
_OPENING = frozenset({
    "$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "dependencies",
    "extends", "patternProperties", "additionalProperties", "unevaluatedProperties",
})  # fmt: skip
"""Keywords of JSON Schema by which an object may have other fields than those in ``properties``, or says itself that it has not."""


def unasked_fields(metadata: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the places of the first fields that a schema does not have: ``author.name``, ``parts[].title``.

    Args:
        metadata: What is learnt.
        schema: A template with the fields that are wanted, empty, or a JSON Schema; one that allows further fields in other
            ways than by silence asks for all.
    """
    found = _beyond_schema(metadata, schema, "") if is_json_schema(schema) else _beyond_template(metadata, schema, "")
    return list(islice(dict.fromkeys(found), FIELDS_TOLD + 1))


def doubt_of(fields: list[str] | tuple[str, ...], what: str) -> str:
    """Say, behind a place, which fields of its metadata nobody asks for.

    Args:
        fields: As ``unasked_fields`` gives them.
        what: Does not ask for them: ``its schema``.
    """
    named = ", ".join(map(shortened, fields[:FIELDS_TOLD])) + (", …" if len(fields) > FIELDS_TOLD else "")
    return (
        f"its metadata have {named}, which {what} does not ask for. Where documents are asked for by schema, the model learns to "
        "add them unasked: add them to the schema, or remove them from the metadata."
    )


def _beyond_template(value: Any, template: Any, place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        if template == {}:  # any object
            return
        for name, item in value.items():
            inner = f"{place}.{name}" if place else str(name)
            if not isinstance(template, Mapping) or name not in template:
                yield inner
            else:
                yield from _beyond_template(item, template[name], inner)
    elif isinstance(value, list):
        wanted = template[0] if isinstance(template, list) and template else ""
        for item in value:
            yield from _beyond_template(item, wanted, f"{place}[]")


def _beyond_schema(value: Any, schema: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, Mapping) or not _OPENING.isdisjoint(schema):
        return
    properties, items = schema.get("properties"), schema.get("items")
    if isinstance(value, Mapping) and isinstance(properties, Mapping):
        for name, item in value.items():
            inner = f"{place}.{name}" if place else str(name)
            if name not in properties:
                yield inner
            else:
                yield from _beyond_schema(item, properties[name], inner)
    elif isinstance(value, list) and isinstance(items, Mapping):
        for item in value:
            yield from _beyond_schema(item, items, f"{place}[]")
