"""All shapes, in the order in which they are recognised, and how the shape of a record is found."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from afinador.data.labels import no_labels_in
from afinador.data.quoting import masked, shortened, some_of
from afinador.data.records import Format, Problem, Record
from afinador.data.shapes import (
    alpaca,
    document_metadata,
    messages,
    openai_preference,
    preference,
    prompt_completion,
    raft,
    sharegpt,
    source_target,
    text,
    text_label,
)
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Reading, RecordShape, Shape, near_miss_of
from afinador.errors import DataError, InvalidRequestError, nearest
from afinador.schemas.jobs import Task

# Text alone is a part of others, so it comes last; a label is never left unused.
SHAPES: dict[Shape, RecordShape] = {
    module.SHAPE.name: module.SHAPE
    for module in (
        messages,
        sharegpt,
        prompt_completion,
        preference,
        openai_preference,
        alpaca,
        raft,
        document_metadata,
        text_label,
        source_target,
        text,
    )
}
OPTIONAL_FIELDS: dict[Shape, tuple[str, ...]] = {name: shape.optional for name, shape in SHAPES.items()}
_KNOWN_FIELDS = tuple(dict.fromkeys(name for shape in SHAPES.values() for name in (*shape.fields, *shape.optional)))
MOST_COLUMNS_TRIED = 50
MOST_FAULTS = 1000
"""So many of one record are told and counted, so that one of millions of faults takes no longer than the others."""
_EASY_NAME = re.compile(r"[\w .:-]{1,60}")
_NAMES_RECORDS = re.compile(r"(?i:(?:^|[_. -])(?:id|idx|index|uuid))$|[a-z]I[dD]$")
"""A column that numbers records, or names them, is nothing to be learnt."""
_UNMISTAKABLE: tuple[Shape, ...] = tuple(name for name in SHAPES if name not in ("text_label", "source_target", "text"))
"""Whose fields nobody has by accident beside those of another shape."""


def checked_shape(name: str, *, param: str = "shape") -> Shape:
    """Return the shape of a name that somebody declared.

    Raises:
        InvalidRequestError: There is none; names all and the nearest.
    """
    for shape in SHAPES:
        if shape == name:
            return shape
    raise InvalidRequestError(
        f"The shape {shortened(name)} is unknown; there are: {', '.join(SHAPES)}.{nearest(str(name), SHAPES)}",
        param=param,
    )


def shapes_of_format(format: Format) -> tuple[Shape, ...]:
    """Return the shapes that a format can carry; a CSV cannot carry conversations, and see ``shape_of_columns``."""
    if format == "csv":
        return tuple(name for name, shape in SHAPES.items() if shape.in_table)
    return ("text",) if format == "text" else tuple(SHAPES)


def shape_of(
    fields: Mapping[str, Any], allowed: Iterable[Shape] = tuple(SHAPES), declared: Shape | None = None
) -> Shape | None:
    """Return the declared shape, or the first all of whose fields are there, in the order of ``SHAPES``, or None."""
    allowed = tuple(allowed)
    return declared or next(
        (name for name, shape in SHAPES.items() if name in allowed and fields.keys() >= set(shape)), None
    )


def shape_of_columns(columns: Iterable[str]) -> Shape | None:
    """Return the shape of a flat table; whole texts only where the table has no other column, which may be a label."""
    named = list(columns)
    return "text" if named == ["text"] else shape_of(dict.fromkeys(named), shapes_of_format("csv"))


def commonest_shape(records: Iterable[Record], format: Format, declared: Shape | None = None) -> Shape | None:
    """Return the declared shape, or the one that most of the records have, so that one bad record does not decide for all.

    Where some records carry a label, those without one are faults and not whole texts: a label is never left unused. So
    are rows of a table with such a column that is null in all of them.
    """
    if declared is not None:
        return declared
    allowed = shapes_of_format(format)
    found = (
        shape_of_columns(record.fields) if format == "csv" else _shape_of_row(record, allowed) for record in records
    )
    counted = Counter(shape for shape in found if shape is not None)
    if counted.get("text_label"):
        counted.pop("text", None)
    return counted.most_common(1)[0][0] if counted else None


def _shape_of_row(record: Record, allowed: tuple[Shape, ...]) -> Shape | None:
    """Return the shape of a record; of a row that has none, or nothing but a text, that of the columns of its table."""
    own = shape_of(record.fields, allowed)
    return shape_of(dict.fromkeys(record.columns), allowed) if record.columns and own in (None, "text") else own


def with_nulls(record: Record) -> Record:
    """Return a row of a table, for those who look at its fields alone: with null where it lacks what its shape needs."""
    if not record.columns:
        return record
    needed = SHAPES.get(_shape_of_row(record, tuple(SHAPES)), ())  # type: ignore[arg-type]
    missing = [name for name in needed if name not in record.fields]
    return replace(record, fields={**record.fields, **dict.fromkeys(missing)}, columns=())


def fields_allowed(format: Format) -> str:
    """Say which fields a record of a format may have, for messages."""
    return " or ".join(SHAPES[name].named_fields for name in shapes_of_format(format))


def near_miss(found: Iterable[str], known: Iterable[str] = _KNOWN_FIELDS) -> str:
    """Say which name that was found is nearly one that is known: " Did you mean 'prompt' by 'promt'?", or nothing."""
    found = list(found)
    if "input_ids" in found:
        return " These are tokens; jobs take the records that they were made of, and tokenise by themselves."
    return near_miss_of(found, known)


def mapping_for(columns: Iterable[str], format: Format) -> str:
    """Say how columns of other names are mapped to the fields of a shape, by an example made of them where one can be."""
    columns = list(islice(columns, MOST_COLUMNS_TRIED))
    if {"question", "document", "answer"} <= set(columns):
        return (
            "make records of the shape raft of them by a preparation with the step {type: raft} (afinador prepare dataset), or "
            "name the column of each field by a mapping (option --mapping, or reading.mapping)."
        )
    easy = [name for name in columns if _EASY_NAME.fullmatch(name) and masked(name) == name]
    guess = _mapping_of(easy, shapes_of_format(format))
    example = f" such as {guess}" if guess else ""
    return f"or name the column of each field by a mapping (option --mapping, or reading.mapping){example}."


def fault_of_mapping(mapping: Mapping[str, Any], declared: Shape | None = None) -> Problem | None:
    """Say why a mapping makes records of no shape, whatever the columns hold; None where it makes some.

    Args:
        mapping: By field what it is taken from.
        declared: The shape that records are declared to have.
    """
    missing = [field for field in SHAPES[declared] if field not in mapping] if declared else []
    if not missing and (declared or shape_of(mapping)):
        return None
    near = near_miss(mapping, SHAPES[declared].fields if declared else _KNOWN_FIELDS)
    if declared:
        allowed = f"{SHAPES[declared].named_fields}, as the shape is declared as {declared}"
    else:
        sharing = [shape for shape in SHAPES.values() if any(name in mapping or repr(name) in near for name in shape)]
        allowed = " or ".join(shape.named_fields for shape in sharing) or fields_allowed("jsonl")
    said = f"The mapping makes records with the fields {some_of(mapping)}; they need {allowed}.{near}"
    return Problem("unusable_mapping", f"{said} Correct the fields of the mapping, which stand on its left.")


def _mapping_of(columns: list[str], allowed: Iterable[Shape]) -> str | None:
    """Return the mapping to the shape that has most of the columns already; None where there are too few of them."""
    fitting = [name for name in allowed if len(SHAPES[name].fields) <= len(columns)]
    if not fitting or "input_ids" in columns:
        return None
    shape = SHAPES[max(fitting, key=lambda name: len(set(columns).intersection(SHAPES[name].fields)))]
    others = [name for name in columns if name not in shape.fields and not _NAMES_RECORDS.search(name)]
    missing = [field for field in shape.fields if field not in columns]
    if len(others) < len(missing):
        return None
    taken = dict(zip(missing, others, strict=False))
    mapping = {field: taken.get(field, field) for field in shape.fields}
    return f"'{json.dumps(mapping, ensure_ascii=False)}'"


def to_example(record: Record, shape: Shape, *, is_declared: bool = False) -> Example | Problem:
    """Return what training takes of a record, or the first of its faults; see ``examined``."""
    found = examined(record, shape, is_declared=is_declared, most_faults=1)
    return found if isinstance(found, Example) else found[0]


def examined(
    record: Record, shape: Shape, *, is_declared: bool = False, most_faults: int = MOST_FAULTS
) -> Example | list[Problem]:
    """Return what training takes of a record, or all that is wrong with it; labels that are numbers or true/false become text.

    Args:
        record: As it was read.
        shape: Its own, or that of the whole file.
        is_declared: A person has said that it is this shape; that it also has the fields of another is no fault then.
        most_faults: No more are looked for.

    Returns:
        Faults when a field is missing, null, of the wrong type or (but for a prompt) empty, when a conversation is
        not as ``checked_messages`` wants it, or when the record also has all fields of another shape.
    """
    reading = _reading(record, shape, is_declared)
    faults: list[Problem] = []
    try:
        while len(faults) < most_faults:
            faults.append(next(reading))
    except StopIteration as end:
        return faults or end.value
    return faults


def _reading(record: Record, shape: Shape, is_declared: bool) -> Reading:
    missing = [name for name in SHAPES[shape] if name not in record.fields]
    absent = [name for name in missing if name not in record.columns]
    is_another = len(absent) == len(SHAPES[shape].fields)  # something else altogether, which is one fault
    misspelt = [name for name in absent if near_miss(record.fields, [name])]
    for name in (misspelt or absent[:1]) if is_another else absent:
        yield _missing_field(record, shape, name)
    if is_another:
        return None
    if missing:  # null in this row of a table, which is as bad as in any other format
        record = replace(record, fields={**record.fields, **dict.fromkeys(missing)})
    elif not is_declared:
        yield from _other_shape(record, shape)
    reading = SHAPES[shape].read(record)
    if not absent:
        return (yield from reading)
    for problem in reading:
        if problem.field not in absent:  # which have been told
            yield problem
    return None


def _other_shape(record: Record, shape: Shape) -> Iterator[Problem]:
    others = (name for name in _UNMISTAKABLE if name != shape and record.fields.keys() >= set(SHAPES[name]))
    if (other := next(others, None)) is not None:
        both = f"{SHAPES[shape].named_fields} as well as {SHAPES[other].named_fields}"
        yield Problem("two_shapes", f"{record.place} has {both}. Keep only one of them.", record.line)


def require_trainable(
    shape: Shape | str | None, name: str, *, task: Task | None = None, param: str = "training_file"
) -> None:
    """Do nothing if records of a shape can be trained on.

    Args:
        shape: As a verdict names it.
        name: Of the file.
        task: For which one; None: for any.
        param: The field that names the file.

    Raises:
        DataError: They are preference pairs, which are only stored; or the task does not learn from them.
    """
    if shape not in SHAPES:
        return
    found = SHAPES[shape]  # type: ignore[index]
    if not found.tasks:
        raise DataError(
            f"{name} holds records of the shape {shape}, {found.named_fields}: "
            "they are checked and stored, but this version does not train on them; that comes later. "
            f"To learn the better answers alone, {found.instead}.",
            param=param,
        )
    if task == "sequence_classification" and task not in found.tasks:
        raise DataError(no_labels_in(name, shape), param=param)


def _missing_field(record: Record, shape: Shape, name: str) -> Problem:
    found = ", ".join(shortened(key) for key in list(record.fields)[:8]) or "no fields"
    return Problem(
        "missing_field",
        f"{record.place} has no {name!r} (found: {found}).{near_miss(record.fields, [name])} "
        f"Each record of this file needs {SHAPES[shape].named_fields}; "
        "add it, or remove the record.",
        record.line,
        name,
    )
