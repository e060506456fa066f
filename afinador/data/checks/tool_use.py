"""What is doubtful about tools in a record: calls that nobody replies to, and types of parameters that there are none of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afinador.data.quoting import shortened
from afinador.data.records import Problem, Record
from afinador.data.schema_types import misspelt_object, unknown_types
from afinador.data.shapes import SHAPES, Example, Shape

UNKNOWN_TYPE = "unknown_schema_type"


def doubts_about_tools(record: Record, example: Example, shape: Shape | None) -> Iterator[Problem]:
    """Yield the warnings about the tools of a record, and about a schema that is hardly meant as it is."""
    for index, call_id in _without_reply(example.messages or ()):
        place = SHAPES[shape or "messages"].message_at(record.fields, index)
        said = (
            f"{record.place}: {place} calls a tool ({shortened(call_id)}), and no reply of a tool follows before the next "
            "turn: OpenAI's format asks for one to each call, unless the record ends with it. Add it, or end the record there."
        )
        yield Problem("unreplied_call", said, record.line, place)
    for index, tool in enumerate(example.tools or ()):
        place = f"{SHAPES[shape or 'messages'].name_of_tools}[{index}].function.parameters"
        for told in unknown_types(tool["function"].get("parameters") or {}, place):
            yield Problem(UNKNOWN_TYPE, f"{record.place}: {told} Correct it.", record.line, place)
    schema = example.document.schema if example.document is not None else None
    if schema is not None and (type := misspelt_object(schema)) is not None:
        said = (
            f"{record.place}: schema.type is {shortened(type)}, which no JSON Schema has, though it has 'properties': it is taken for a "
            "template of the fields that are wanted, and the metadata are not held against it. Write 'object', if a JSON Schema is meant."
        )
        yield Problem(UNKNOWN_TYPE, said, record.line, "schema")


def _without_reply(messages: tuple[dict[str, Any], ...]) -> Iterator[tuple[int, str]]:
    """Yield message and id of each call without a reply before the next turn; those of the last message need none."""
    waiting: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            waiting.pop(message["tool_call_id"], None)
            continue
        yield from ((called, call_id) for call_id, called in waiting.items())
        waiting = {call["id"]: index for call in message.get("tool_calls", ())}
