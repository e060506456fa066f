"""``convert``: brings records into another shape, see ``afinador.data.shapes.conversion``."""

from __future__ import annotations

from collections.abc import Iterator

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.quoting import some_of
from afinador.data.records import Record
from afinador.data.schema_checks import SchemaChecks
from afinador.data.shapes import (
    SHAPES,
    Shape,
    checked_shape,
    converted,
    fields_allowed,
    near_miss,
    require_convertible,
    shape_of,
)
from afinador.data.shapes.document_metadata import metadata_and_schema
from afinador.errors import DataError, InvalidRequestError

_TARGETS = [name for name, shape in SHAPES.items() if shape.from_messages is not None]


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    target = checked_shape(settings.choice("to", _TARGETS))
    flatten = settings.flag("flatten")
    declared = checked_shape(settings.choice("from", SHAPES)) if settings.has("from") else None
    if declared is not None:
        require_convertible(declared, target, flatten=flatten)

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        schemas = SchemaChecks()
        try:
            yield from _converted(rows, tally, schemas)
        finally:
            schemas.finish()

    def _converted(rows: Iterator[Row], tally: Tally, schemas: SchemaChecks) -> Iterator[Row]:
        for row in rows:
            shape = declared or _shape_of(row.record)
            try:
                made = converted(row.record, shape, target, flatten=flatten)
            except InvalidRequestError as error:  # of this shape, which no declaration tells
                raise DataError(
                    f"{row.record.place}: {error.message} Convert to another shape, or filter such records out first.",
                    fault="no_way",
                ) from error
            if shape == "document_metadata":
                _require_fit(row.record, schemas)
            tally.changed += made.record is not row.record
            for name in made.otherwise:
                tally.counts[f"{name}_otherwise"] = tally.counts.get(f"{name}_otherwise", 0) + 1
            yield Row(made.record, row.part)

    return work


def _shape_of(record: Record) -> Shape:
    shape = shape_of(record.fields)
    if shape is None:
        found = f"the fields {some_of(record.fields)}, which are" if record.fields else "no fields, and so is"
        raise DataError(
            f"{record.place} has {found} of no known shape; there are: "
            f"{fields_allowed('jsonl')}.{near_miss(record.fields)} Rename the fields first.",
            fault="unknown_fields",
        )
    return shape


def _require_fit(record: Record, schemas: SchemaChecks) -> None:
    document = metadata_and_schema(record)
    problems = [each.message for each in schemas.faults_of(record, document)] if document is not None else []
    if problems:
        raise DataError(problems[0], problems=problems, fault="schema_mismatch")


KIND = StepKind(
    name="convert",
    description="Brings records into another shape; what that has no place for is refused by name, and how many records would come back written "
    "otherwise is told by field, as `FIELD_otherwise`; see [below](#conversions-of-shapes).",
    keys={
        "to": "the shape: " + ", ".join(f"`{name}`" for name in _TARGETS),
        "from": "their shape; found by their fields if omitted",
        "flatten": "`true`: take prompt and answer as training takes them (instruction and input joined; of messages without ids of calls, names and what else the shape has no place for), though they cannot be brought back",
    },
    make=_make,
    is_by_row=True,
)
