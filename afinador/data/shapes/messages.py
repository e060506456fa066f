"""``{"messages"}``, perhaps with ``tools``: a conversation in OpenAI's chat format.

Each of the assistant's messages is learnt, given those before it, but for those of weight 0. Names, calls of tools
and their replies go through the chat template of the base model. ``tools`` is a list, or its JSON text.
"""

from __future__ import annotations

from afinador.data.messages import KEYS, checked_messages
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape
from afinador.data.tool_calls import checked_tools, parsed_tools


def _read(record: Record) -> Reading:
    if record.fields.get("functions") is not None:
        said = f"{record.place} has the old 'functions'; declare them in 'tools'."
        yield Problem("legacy_function_call", said, record.line, "functions")
    given = record.fields["messages"]
    messages = yield from checked_messages(record, given)
    tools = yield from checked_tools(record, record.fields.get("tools"), given if isinstance(given, list) else ())
    return Example(record.line, messages=messages, tools=tools)


def _only_conversation(fields: Fields) -> Fields:
    tools = parsed_tools(fields.get("tools"))
    return {"messages": fields["messages"], **({} if tools is None else {"tools": tools})}


def _normal(fields: Fields) -> Fields:
    """Leave out what is null, as columns of a table have it, and a list of tools that is empty; one that is a JSON text becomes a list."""
    messages = [{key: value for key, value in each.items() if value is not None} for each in fields["messages"]]
    return {**fields, "messages": messages, "tools": parsed_tools(fields.get("tools")) or None}


SHAPE = RecordShape(
    name="messages",
    fields=("messages",),
    optional=("tools",),
    description="A conversation in OpenAI's chat format: each of the assistant's messages is learnt, unless its weight is 0.",
    read=_read,
    turn_keys=KEYS,
    asked=("user",),
    to_messages=_only_conversation,
    from_messages=_only_conversation,
    normal=_normal,
)
