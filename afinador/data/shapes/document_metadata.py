"""``{"document", "metadata"}``, perhaps with ``type`` and ``schema``: metadata to be extracted from a document.

What is learnt is the metadata, as JSON. How they are asked for is a matter of the job, see ``afinador.data.extraction``:
with the prompt of the document's ``type``, or with a template of the fields that are wanted, which ``schema`` may give.
Where ``schema`` is a JSON Schema, metadata have to fit it (``afinador.data.schema_checks``). Metadata and schema are objects, or JSON texts of objects as a CSV holds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afinador.data.extraction import Document, default_request
from afinador.data.files.json_values import BrokenJSONError, decode_text, why_not_json
from afinador.data.quoting import described
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Reading, RecordShape, unusable_texts


def _read(record: Record) -> Reading:
    metadata = _object(record.fields["metadata"])
    schema = _object(record.fields["schema"]) if _has_schema(record) else None
    is_usable = True
    for problem in _unusable(record, metadata, schema):
        is_usable = False
        yield problem
    if not is_usable:
        return None
    document = Document(record.fields["document"], metadata, record.fields.get("type"), schema)
    try:
        prompt, completion = default_request(document)
    except (TypeError, RecursionError):
        if why_not_json(metadata) is None:
            raise
        yield from _strange(record, "metadata", metadata)
        return None
    if "NaN" in completion or "Infinity" in completion:
        yield from _strange(record, "metadata", metadata)
    return Example(record.line, prompt=prompt, completion=completion, document=document)


def metadata_and_schema(record: Record) -> Document | None:
    """Return what of a record with other faults can still be held against its schema; None where either is at fault."""
    metadata = _object(record.fields.get("metadata"))
    schema = _object(record.fields["schema"]) if _has_schema(record) else None
    are_objects = all(isinstance(each, dict) and each and why_not_json(each) is None for each in (metadata, schema))
    return Document("", metadata, None, schema) if are_objects else None


def _has_schema(record: Record) -> bool:
    return record.fields.get("schema") not in (None, "")


def _unusable(record: Record, metadata: Any, schema: Any) -> Iterator[Problem]:
    yield from unusable_texts(record, "document")
    if record.fields.get("type") is not None:
        yield from unusable_texts(record, "type")
    yield from _unusable_object(record, "metadata", metadata)
    if _has_schema(record):
        yield from _unusable_object(record, "schema", schema)
        if isinstance(schema, dict):
            yield from _strange(record, "schema", schema)


def _object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return decode_text(value)
    except BrokenJSONError as error:
        return error


def _unusable_object(record: Record, name: str, value: Any) -> Iterator[Problem]:
    if value is None:
        yield record.problem("null_field", f"{name!r} is null. Write an object, or remove the record.", name)
    elif isinstance(value, BrokenJSONError):
        said = f"{name!r} must be an object, or the JSON text of one, but is a text that is no JSON: {value}"
        yield record.problem("wrong_type", said, name)
    elif not isinstance(value, dict):
        said = f'{name!r} is {described(value)}, but must be an object such as {{"title": "…"}}. Correct it, or remove the record.'
        yield record.problem("wrong_type", said, name)
    elif not value:
        said = f"{name!r} is empty. Write at least one field, or remove the record."
        yield record.problem("empty_field", said, name)


def _strange(record: Record, name: str, value: Any) -> Iterator[Problem]:
    """Yield what of a value JSON cannot hold; only tables and loaders give such values."""
    if (strange := why_not_json(value)) is not None:
        said = f"{name!r} holds {strange}, but must be what JSON can hold. Write it as a text."
        yield record.problem("wrong_type", said, name)


SHAPE = RecordShape(
    name="document_metadata",
    fields=("document", "metadata"),
    optional=("type", "schema"),
    description="A document and its metadata, which are learnt as JSON; prompts by type, or a schema in the prompt; metadata have to "
    "fit a schema that is a JSON Schema.",
    read=_read,
    in_table=True,
    asked=("document",),
)
