"""``drop_invalid``: leaves out what nothing can be learnt from, and tells what it was.

Held against its shape is each record by itself, as validation does it. Lines that cannot be read are left out where the
step is the first one, if they stand for a record each: of a broken JSON document, or a quote that is never closed in a
CSV, nobody knows how much would go with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afinador.data.preparation.batches import batches
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.quoting import some_of
from afinador.data.records import Problem, Record
from afinador.data.schema_checks import DOUBTS, SchemaChecks
from afinador.data.shapes import (
    SHAPES,
    Shape,
    checked_shape,
    commonest_shape,
    fields_allowed,
    near_miss,
    to_example,
)
from afinador.errors import DataError
from afinador.figures import counted

UNREADABLE = frozenset({"json_syntax", "not_an_object", "column_count", "unmapped_column", "template_too_long"})
"""Codes of what was read in place of one record."""


def can_be_left_out(problem: Problem) -> bool:
    """Tell whether what was read stands for one record, behind which reading has gone on."""
    return problem.code in UNREADABLE and not problem.ends_reading


def readable(found: Iterable[Record | Problem], tally: Tally) -> Iterator[Record | Problem]:
    """Yield what was read but for what can be left out, which is told."""
    for each in found:
        if isinstance(each, Problem) and can_be_left_out(each):
            tally.rows_in += each.stands_for_a_record
            tally.drop(each)
        else:
            yield each


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    declared = checked_shape(settings.choice("shape", SHAPES)) if settings.has("shape") else None

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        checks, shape = SchemaChecks(), declared
        try:
            for batch in batches(rows):
                shape = shape or _shape_of(batch, settings.place)
                for row, problem in zip(
                    batch, _problems(batch, shape, checks, is_declared=declared is not None), strict=True
                ):
                    if problem is None:
                        yield row
                    else:
                        tally.drop(problem)
        finally:
            checks.finish()

    return work


def _shape_of(batch: list[Row], place: str) -> Shape:
    shape = commonest_shape((row.record for row in batch), "jsonl")
    if shape is None:
        fields = batch[0].record.fields
        others = f", nor are those of {counted(len(batch) - 1, 'record')} behind it" if len(batch) > 1 else ""
        raise DataError(
            f"{place}: {batch[0].record.place} has the fields {some_of(fields)}, which are of no known shape{others}; "
            f"there are: {fields_allowed('jsonl')}.{near_miss(fields)} Rename the fields before this step."
        )
    return shape


def _problems(batch: list[Row], shape: Shape, checks: SchemaChecks, *, is_declared: bool) -> list[Problem | None]:
    """Return what forbids training on each record."""
    found: list[Problem | None] = [None] * len(batch)

    def tell(place: int, problem: Problem | None) -> None:
        found[place] = None if problem is not None and problem.code in DOUBTS else problem

    for place, row in enumerate(batch):
        example = to_example(row.record, shape, is_declared=is_declared)
        if isinstance(example, Problem):
            found[place] = example
        elif example.document is not None:
            checks.ask(row.record, example.document, lambda problem, place=place: tell(place, problem))  # type: ignore[misc]
    checks.finish()
    return found


KIND = StepKind(
    name="drop_invalid",
    description="Leaves out the records that validation refuses, each for a fault of its own, and tells how many for which fault, with the "
    "first ten of each. As the first step it also leaves out lines that cannot be read, if they stand for one record each: JSON "
    "Lines that are no JSON or no object, rows of a CSV with another number of values. Without it a preparation ends at the first line "
    "that cannot be read, and takes all records, whatever they lack.",
    keys={"shape": "what the records are; found by the fields of the first ones if omitted"},
    make=_make,
)
