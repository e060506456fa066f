"""Records brought from one shape into another, without losing what they mean.

Whatever is converted is converted back at once, and refused by name where it would not mean the same again: a weight in
a file of prompts and completions, an input that nobody could tell from the instruction any more. What would mean the
same and be written otherwise (a label 1 as "1", tools that were a JSON text as a list) is told. Fields that belong to no
shape (an id) stay. ``flatten`` takes prompt and answer as training takes them, for good: the input of an instruction or
the documents of a RAFT record are in the prompt then, and weights and names are lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from afinador.data.quoting import described, masked, shortened
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, RecordShape, Shape, one_turn
from afinador.data.shapes.table import SHAPES, to_example
from afinador.errors import DataError, InvalidRequestError

_FLATTEN = " With flatten: true instruction and input are joined as training takes them, for good."
_FLATTEN_MESSAGES = (
    " With flatten: true what it has no place for is lost, for good: ids of calls, names, weights and further keys of messages; "
    "the role developer becomes system."
)


@dataclass(frozen=True)
class Converted:
    """A record in another shape.

    Attributes:
        otherwise: Its fields, as they were called, that brought back would mean the same and be written otherwise; none
            are told of what is flattened, which cannot be brought back.
    """

    record: Record
    otherwise: tuple[str, ...] = ()


def convertible_to(shape: Shape, *, flatten: bool = False) -> tuple[Shape, ...]:
    """Return the shapes that records of a shape may be brought into."""
    given = SHAPES[shape]
    if given.to_messages is None and not (flatten and given.tasks and shape != "text"):
        return ()
    return tuple(
        name
        for name, other in SHAPES.items()
        if name != shape and other.from_messages is not None and other.is_pair == given.is_pair
    )


def require_convertible(shape: Shape, target: Shape, *, flatten: bool = False) -> None:
    """Do nothing if records of a shape may be brought into another one.

    Raises:
        InvalidRequestError: They have another meaning; says what there is.
    """
    allowed = convertible_to(shape, flatten=flatten)
    if target in (*allowed, shape):
        return
    flat = convertible_to(shape, flatten=True)
    remedy = f"it can become: {', '.join(allowed)}" if allowed else "it cannot become any other"
    if target in flat and not flatten:
        remedy = "with flatten: true it can, for good: prompt and answer as training takes them"
    raise InvalidRequestError(f"The shape {shape} cannot become {target}; {remedy}.", param="to")


def converted(record: Record, shape: Shape, target: Shape, *, flatten: bool = False) -> Converted:
    """Return a record in another shape.

    Args:
        record: One that ``to_example`` takes.
        shape: Its own.
        target: The one that it shall have.
        flatten: Take what training takes, even if it cannot be brought back.

    Raises:
        InvalidRequestError: Records of the one shape have no meaning in the other.
        DataError: The record cannot be used, or the target has no place for something in it, which is named.
    """
    require_convertible(shape, target, flatten=flatten)
    if shape == target:
        return Converted(record)
    source, wanted = SHAPES[shape], SHAPES[target]
    flatten = flatten and not source.is_pair
    example = to_example(record, shape)
    if isinstance(example, Problem):
        raise DataError(example.message, problems=[example.message], fault=example.code, is_unusable=True)
    others = {name: value for name, value in record.fields.items() if name not in (*source.fields, *source.optional)}
    own = {name: value for name, value in record.fields.items() if name not in others}
    taken = sorted(others.keys() & {*wanted.fields, *wanted.optional})
    if taken:
        raise DataError(
            f"{record.place} has a field {shortened(taken[0])}, which means something else in {target}. Rename or remove it.",
            fault="field_taken",
        )
    try:
        made = _made(_flattened(example) if flatten else _meaning(source, own), wanted, record)
        back = None if flatten else _made(_meaning(wanted, made), source, record)
        missing = None if back is None else _difference(source.normal(own), source.normal(back))
    except ValueError as error:
        missing = str(error)
    if missing is not None:
        remedy = "" if flatten or source.is_pair else _remedy_by_flattening(example, wanted, record)
        raise DataError(
            f"{record.place}: {target} has no place for {missing}. Change or remove the record, or take another shape.{remedy}",
            fault="no_place",
        )
    otherwise = () if back is None else tuple(name for name in {**own, **back} if _differs(own, back, name))
    return Converted(replace(record, fields={**others, **made}), otherwise)


def _remedy_by_flattening(example: Example, wanted: RecordShape, record: Record) -> str:
    """Say what ``flatten`` would do; nothing where it could not be done either."""
    try:
        _made(_flattened(example), wanted, record)
    except (ValueError, DataError):
        return ""
    return _FLATTEN if example.messages is None else _FLATTEN_MESSAGES


def _differs(own: Fields, back: Fields, name: str) -> bool:
    return name not in own or name not in back or own[name] != back[name] or type(own[name]) is not type(back[name])


def _meaning(shape: RecordShape, fields: Fields) -> Fields:
    assert shape.to_messages is not None
    return shape.to_messages(fields)


def _made(meaning: Fields, shape: RecordShape, record: Record) -> Fields:
    assert shape.from_messages is not None
    made = shape.from_messages(meaning)
    found = to_example(replace(record, fields=made), shape.name)
    if isinstance(found, Problem):
        fault = f"{found.code}_in_{shape.name}"
        raise DataError(f"In the shape {shape.name}: {found.message}", problems=[found.message], fault=fault)
    return made


def _flattened(example: Example) -> Fields:
    if example.messages is None:
        return one_turn(example.prompt or "", example.completion or "")
    tools = {"tools": list(example.tools)} if example.tools else {}
    return {"messages": [dict(message) for message in example.messages], **tools}


def _difference(one: Fields, other: Fields) -> str | None:
    return None if one == other else _first_difference(one, other)  # mostly they are equal, and names take their time


def _first_difference(one: Any, other: Any, path: str = "") -> str | None:
    """Return the place of the first value that is in one and not in the other, as a message says it; None if equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name, value in one.items():
            found = _first_difference(value, other.get(name), f"{path}.{masked(name)}" if path else masked(name))
            if found is not None:
                return found
        return None if one.keys() >= other.keys() else f"{shortened(path) if path else 'the record'} as it is"
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        differences = (
            _first_difference(a, b, f"{path}[{index}]") for index, (a, b) in enumerate(zip(one, other, strict=True))
        )
        return next((each for each in differences if each is not None), None)
    return None if one == other else f"{shortened(path)} ({described(one)})"
