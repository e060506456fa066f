"""The shapes a record may have, and the one form, ``Example``, that training takes.

================== ================================ ===============================================
shape              fields                           what is learnt
================== ================================ ===============================================
text_label         ``text``, ``label``              the label, given the text
prompt_completion  ``prompt``, ``completion``       the completion, given the prompt
messages           ``messages``, perhaps ``tools``  each of the assistant's messages, given those before
text               ``text``                         the whole text
================== ================================ ===============================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal

from afinador.data.messages import BadMessagesError, checked_messages, checked_tools
from afinador.data.records import Format, Problem, Record, shortened

Shape = Literal["text_label", "prompt_completion", "messages", "text"]

# In the order in which they are recognised: text alone is a part of text_label.
SHAPES: dict[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "text_label": ("text", "label"),
    "text": ("text",),
}
_KNOWN_FIELDS = tuple(dict.fromkeys(name for names in SHAPES.values() for name in names))
OPTIONAL_FIELDS: dict[Shape, tuple[str, ...]] = {"messages": ("tools",)}

# A near miss is looked for among so many names, and in so much of each.
NAMES_COMPARED = 100
LONGEST_NAME = 100


@dataclass(frozen=True)
class Example:
    """One record that can be trained on: ``prompt`` and ``completion``, or ``messages``, or ``text``.

    Attributes:
        line: As in ``Record``.
        messages: Content is text; arguments of tool calls are JSON texts; ``weight`` 0 or 1 as it was given.
        tools: Declarations of functions, beside ``messages``.
    """

    line: int
    prompt: str | None = None
    completion: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    text: str | None = None
    tools: tuple[dict[str, Any], ...] | None = None


def shapes_of_format(format: Format) -> tuple[Shape, ...]:
    """Return the shapes that a format can carry; a CSV cannot carry conversations or whole texts."""
    if format == "csv":
        return ("text_label", "prompt_completion")
    return ("text",) if format == "text" else tuple(SHAPES)


def shape_of(fields: Mapping[str, Any], allowed: Iterable[Shape] = tuple(SHAPES)) -> Shape | None:
    """Return the first shape all of whose fields are there, in the order of ``SHAPES``; None if there is none."""
    allowed = tuple(allowed)
    return next((shape for shape, names in SHAPES.items() if shape in allowed and fields.keys() >= set(names)), None)


def commonest_shape(records: Iterable[Record], format: Format) -> Shape | None:
    """Return the shape that most of the records have, so that one bad record does not decide for all.

    Where some records carry a label, those without one are faults and not whole texts: a label is never left unused.
    """
    allowed = shapes_of_format(format)
    counted = Counter(shape for record in records if (shape := shape_of(record.fields, allowed)) is not None)
    if counted.get("text_label"):
        counted.pop("text", None)
    return counted.most_common(1)[0][0] if counted else None


def fields_allowed(format: Format) -> str:
    """Say which fields a record of a format may have, for messages."""
    return " or ".join(
        " and ".join(repr(name) for name in SHAPES[shape]) for shape in SHAPES if shape in shapes_of_format(format)
    )


def near_miss(found: Iterable[str], known: Iterable[str] = _KNOWN_FIELDS) -> str:
    """Say which name that was found is nearly one that is known: " Did you mean 'prompt' by 'promt'?", or nothing."""
    known = list(known)
    for name in islice(found, NAMES_COMPARED):
        near = get_close_matches(name[:LONGEST_NAME].strip().lower(), known, n=1, cutoff=0.75)
        if near and near[0] != name:
            return f" Did you mean {near[0]!r} by {shortened(name)}?"
    return ""


def to_example(record: Record, shape: Shape) -> Example | Problem:
    """Return what training takes of a record; labels that are numbers or true/false become text.

    Returns:
        A problem when a field is missing, null, of the wrong type or (but for a prompt) empty, when a conversation is
        not as ``checked_messages`` wants it, or when the record also has all fields of another shape.
    """
    fields = record.fields
    missing = [name for name in SHAPES[shape] if name not in fields]
    if missing:
        return _missing_field(record, shape, missing[0])
    other = next((name for name in ("messages", "prompt_completion") if name != shape and _has(fields, name)), None)
    if other is not None:
        both = f"{_names(shape)} as well as {_names(other)}"
        return Problem("two_shapes", f"{record.place} has {both}. Keep only one of them.", record.line)
    if shape == "messages":
        return _conversation(record)
    for name in SHAPES[shape]:
        problem = _unusable(record, name)
        if problem is not None:
            return problem
    if shape == "text":
        return Example(record.line, text=fields["text"])
    if shape == "text_label":
        return Example(record.line, prompt=fields["text"], completion=label_text(fields["label"]))
    return Example(record.line, prompt=fields["prompt"], completion=fields["completion"])


def label_text(label: Any) -> str:
    """Return a label as the text that is learnt: true and false as JSON writes them, other values as they are."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _has(fields: Mapping[str, Any], shape: Any) -> bool:
    return all(name in fields for name in SHAPES[shape])


def _names(shape: Any) -> str:
    return " and ".join(repr(name) for name in SHAPES[shape])


def _missing_field(record: Record, shape: Shape, name: str) -> Problem:
    found = ", ".join(shortened(key) for key in list(record.fields)[:8]) or "no fields"
    return Problem(
        "missing_field",
        f"{record.place} has no {name!r} (found: {found}).{near_miss(record.fields, [name])} "
        f"Each record of this file needs {_names(shape)}; "
        "add it, or remove the record.",
        record.line,
        name,
    )


def _unusable(record: Record, name: str) -> Problem | None:
    value = record.fields[name]
    if name == "label" and isinstance(value, bool | int | float):
        return None
    if value is None:
        said = f"{record.place}: {name!r} is null. Write a value, or remove the record."
        return Problem("null_field", said, record.line, name)
    if not isinstance(value, str):
        said = f"{record.place}: {name!r} is {shortened(value)}, but must be text."
        return Problem("wrong_type", said, record.line, name)
    if not value.strip() and name != "prompt":
        said = f"{record.place}: {name!r} is empty. Write a value, or remove the record."
        return Problem("empty_field", said, record.line, name)
    return None


def _conversation(record: Record) -> Example | Problem:
    if record.fields.get("functions") is not None:
        said = f"{record.place} has the old 'functions'; declare them in 'tools'."
        return Problem("legacy_function_call", said, record.line, "functions")
    try:
        messages = checked_messages(record.fields["messages"])
        tools = checked_tools(record.fields.get("tools"), messages)
    except BadMessagesError as error:
        return Problem(error.code, f"{record.place}: {error.message}", record.line, error.field)
    return Example(record.line, messages=messages, tools=tools)
