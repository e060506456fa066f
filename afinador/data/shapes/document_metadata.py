"""``{"document", "metadata"}``, perhaps with ``type`` and ``schema``: metadata to be extracted from a document.

What is learnt is the metadata, as JSON. How they are asked for is a matter of the job, see ``afinador.data.extraction``:
with the prompt of the document's ``type``, or with a template of the fields that are wanted, which ``schema`` may give.
Where ``schema`` is a JSON Schema, metadata have to fit it (``afinador.data.schema_checks``). Metadata and schema are objects, or JSON texts of objects as a CSV holds them.
"""

from __future__ import annotations

from typing import Any

from afinador.data.extraction import Document, default_request
from afinador.data.files.json_values import BrokenJSONError, decode_text, why_not_json
from afinador.data.quoting import described
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import RecordShape, unusable_text


def _read(record: Record) -> Example | Problem:
    fields = record.fields
    problem = unusable_text(record, "document")
    if problem is None and fields.get("type") is not None:
        problem = unusable_text(record, "type")
    metadata = _object(fields["metadata"])
    problem = problem or _unusable_object(record, "metadata", metadata)
    schema = _object(fields["schema"]) if fields.get("schema") not in (None, "") else None
    if problem is None and fields.get("schema") not in (None, ""):
        problem = _unusable_object(record, "schema", schema)
    return problem if problem is not None else _example(record, metadata, schema)


def _example(record: Record, metadata: dict[str, Any], schema: dict[str, Any] | None) -> Example | Problem:
    if schema is not None and (problem := _strange(record, "schema", schema)) is not None:
        return problem
    document = Document(record.fields["document"], metadata, record.fields.get("type"), schema)
    try:
        prompt, completion = default_request(document)
    except (TypeError, RecursionError):
        problem = _strange(record, "metadata", metadata)
        if problem is None:
            raise
        return problem
    may_hold_no_number = "NaN" in completion or "Infinity" in completion
    if may_hold_no_number and (problem := _strange(record, "metadata", metadata)) is not None:
        return problem
    return Example(record.line, prompt=prompt, completion=completion, document=document)


def _object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return decode_text(value)
    except BrokenJSONError as error:
        return error


def _unusable_object(record: Record, name: str, value: Any) -> Problem | None:
    if value is None:
        said = f"{record.place}: {name!r} is null. Write an object, or remove the record."
        return Problem("null_field", said, record.line, name)
    if isinstance(value, BrokenJSONError):
        said = f"{record.place}: {name!r} must be an object, or the JSON text of one, but is a text that is no JSON: {value}"
        return Problem("wrong_type", said, record.line, name)
    if not isinstance(value, dict):
        said = f'{record.place}: {name!r} is {described(value)}, but must be an object such as {{"title": "…"}}. Correct it, or remove the record.'
        return Problem("wrong_type", said, record.line, name)
    if not value:
        said = f"{record.place}: {name!r} is empty. Write at least one field, or remove the record."
        return Problem("empty_field", said, record.line, name)
    return None


def _strange(record: Record, name: str, value: Any) -> Problem | None:
    """Return what of a value JSON cannot hold; only tables and loaders give such values."""
    strange = why_not_json(value)
    if strange is None:
        return None
    said = f"{record.place}: {name!r} holds {strange}, but must be what JSON can hold. Write it as a text."
    return Problem("wrong_type", said, record.line, name)


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
