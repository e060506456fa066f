"""``{"conversations"}``, perhaps with ``system`` and ``tools``: a conversation in ShareGPT's form, turns of ``from`` and ``value``.

``human`` and ``user`` ask, ``gpt``, ``assistant``, ``chatgpt``, ``model`` and ``bard`` answer; an answer may have a ``weight``, as
in the chat format: one of weight 0 is not learnt. ``function_call`` holds a call of a tool as JSON, ``observation`` and ``tool`` what came of it; ``tools`` declares the functions, as a list or its JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.files.json_values import BrokenJSONError, decode_text
from afinador.data.messages import checked_messages, weight_faults, why_no_text
from afinador.data.quoting import described, named
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, Reading, RecordShape, unusable_texts
from afinador.data.tool_calls import checked_tools, parsed_tools

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bard": "assistant",
    "system": "system",
    "function_call": "call",
    "observation": "reply",
    "tool": "reply",
}
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system", "call": "function_call", "reply": "observation"}
_OF_TURN = frozenset({"from", "value", "weight"})


def _read(record: Record) -> Reading:
    turns = record.fields["conversations"]
    if record.fields.get("system") is not None:
        yield from unusable_texts(record, "system", may_be_empty=True)
    if not isinstance(turns, list) or not turns:
        found = "empty" if turns == [] else described(turns)
        said = f"'conversations' is {found}, but must be a list of turns with 'from' and 'value'. Correct it, or remove the record."
        yield record.problem("bad_messages", said, "conversations")
        yield from checked_tools(record, record.fields.get("tools"), (), parse=_declared_tools)
        return None
    faulty = set()
    for index, turn in enumerate(turns):
        for problem in _turn_faults(record, turn, f"conversations[{index}]"):
            faulty.add(index)
            yield problem
    given = _messages_of(record.fields, faulty)
    offset = len(given) - len(turns)
    told = {offset + index for index in faulty}
    messages = yield from checked_messages(record, given, "conversations", offset=offset, told=told)
    tools = yield from checked_tools(record, record.fields.get("tools"), given, parse=_declared_tools)
    return Example(record.line, messages=messages, tools=tools)


def _turn_faults(record: Record, turn: Any, field: str) -> Iterator[Problem]:
    if not isinstance(turn, dict):
        said = f"{field} is {described(turn)}, but must be an object with 'from' and 'value'. Correct it, or remove the record."
        yield record.problem("bad_message", said, field)
        return
    role = _role_of(turn)
    if role is None:
        found = f"is {named(turn['from'])}" if "from" in turn else "is missing"
        said = f"{field}.from {found}; allowed are: {', '.join(ROLES)}. Correct it, or remove the record."
        if "from" not in turn and "role" in turn:
            said += """ Turns of 'role' and 'content' are messages: --mapping '{"messages": "conversations"}', or reading.mapping."""
        yield record.problem("bad_role", said, f"{field}.from")
        if "from" not in turn and "role" in turn:
            return
    yield from _value_faults(record, turn, role, f"{field}.value")
    if "weight" in turn:
        is_answer = None if role is None else role in ("assistant", "call")
        yield from weight_faults(record, turn["weight"], is_answer, field)


def _role_of(turn: Any) -> str | None:
    """Return what a turn is; None of one that is from nobody known."""
    speaker = turn.get("from") if isinstance(turn, dict) else None
    return ROLES.get(speaker) if isinstance(speaker, str) else None


def _value_faults(record: Record, turn: dict[str, Any], role: str | None, field: str) -> Iterator[Problem]:
    value = turn.get("value")
    if not isinstance(value, str):
        yield record.problem("bad_content", f"{field} {why_no_text(turn, 'value')}", field)
    elif role == "call":
        call = _parsed(value)
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            said = f'{field} is {described(value)}{_why_no_json(value)}; a call is written as {{"name": "…", "arguments": {{…}}}}. Correct it, or remove the record.'
            yield record.problem("bad_tool_call", said, field)
    elif role != "reply" and is_blank(value):
        yield record.problem("empty_content", f"{field} is empty. Write the text, or remove the record.", field)


def _to_messages(fields: Fields) -> Fields:
    tools = _declared_tools(fields.get("tools"))
    return {"messages": _messages_of(fields), **({"tools": tools} if tools else {})}


def _messages_of(fields: Fields, faulty: Collection[int] = ()) -> list[dict[str, Any]]:
    """Return the turns as messages, behind the system text; of faulty ones what is known of them."""
    messages: list[dict[str, Any]] = []
    if _has_system_text(fields):
        messages.append({"role": "system", "content": fields["system"]})
    calls = 0
    for index, turn in enumerate(fields["conversations"]):
        calls += _role_of(turn) == "call"
        messages.append(
            _faulty_message(turn) if index in faulty else _message_of(turn, f"call_{calls}" if calls else "")
        )
    return messages


def _has_system_text(fields: Fields) -> bool:
    return isinstance(fields.get("system"), str) and bool(fields["system"].strip())


def _message_of(turn: dict[str, Any], call_id: str) -> dict[str, Any]:
    role, value = ROLES[turn["from"]], turn["value"]
    weight = {"weight": turn["weight"]} if "weight" in turn else {}
    if role == "call":
        call = json.loads(value)
        arguments = call.get("arguments", {})
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        function = {"name": call["name"], "arguments": written}
        calls = [{"id": call_id, "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "tool_calls": calls, **weight}
    if role == "reply":
        return {"role": "tool", "tool_call_id": call_id, "content": value}
    return {"role": role, "content": value, **weight}


def _faulty_message(turn: Any) -> dict[str, Any]:
    role = _role_of(turn)
    weight = {"weight": turn["weight"]} if role is not None and "weight" in turn else {}
    if role in (None, "call"):
        return {"role": role and "assistant", "tool_calls": [{}], **weight}  # a call that nobody knows
    return {"role": "tool" if role == "reply" else role, **weight}


def _declared_tools(value: Any) -> Any:
    """Return declarations as OpenAI has them; ShareGPT's are often a JSON text, and the bare functions."""
    tools = parsed_tools(value)
    if not isinstance(tools, list):
        return tools or None
    return [
        {"type": "function", "function": tool} if isinstance(tool, dict) and "function" not in tool else tool
        for tool in tools
    ]


def _why_no_json(text: str) -> str:
    try:
        decode_text(text)
    except BrokenJSONError as error:
        return f" that is no JSON ({str(error).rstrip('.')})"
    return ""


def _parsed(text: str) -> Any:
    try:
        return decode_text(text)
    except BrokenJSONError:
        return None


def _from_messages(fields: Fields) -> Fields:
    turns = []
    for index, message in enumerate(fields["messages"]):
        calls = message.get("tool_calls")
        weight = {"weight": message["weight"]} if message.get("weight") is not None else {}
        if calls:
            if len(calls) > 1 or message.get("content"):
                raise ValueError(
                    f"several calls, or a text beside a call, in messages[{index}]: a turn holds one of them"
                )
            function = calls[0]["function"]
            call = {"name": function["name"], "arguments": json.loads(function["arguments"])}
            turns.append({"from": "function_call", "value": json.dumps(call, ensure_ascii=False), **weight})
            continue
        role = "reply" if message["role"] == "tool" else message["role"]
        if role not in _SPEAKERS:
            raise ValueError(f"the role {named(role)} of messages[{index}], which a turn cannot be from")
        if not isinstance(message.get("content"), str):
            raise ValueError(f"messages[{index}].content ({described(message.get('content'))}): a turn holds text")
        turns.append({"from": _SPEAKERS[role], "value": message["content"], **weight})
    return {"conversations": turns, **({"tools": fields["tools"]} if fields.get("tools") else {})}


def _message_at(fields: Fields, index: int) -> str:
    return f"conversations[{index - _has_system_text(fields)}]"


def _normal(fields: Fields) -> Fields:
    """Write a record as ``from_messages`` does: one name for each speaker, and the system text as the first turn.

    What else a turn has stays: no other shape holds it.
    """
    written = _from_messages(_to_messages(fields))
    given, turns = fields["conversations"], written["conversations"]
    for turn, made in zip(given, turns[len(turns) - len(given) :], strict=True):
        made.update({key: value for key, value in turn.items() if key not in _OF_TURN and value is not None})
    others = {name: value for name, value in fields.items() if name not in ("conversations", "system", "tools")}
    return others | written


SHAPE = RecordShape(
    name="sharegpt",
    fields=("conversations",),
    optional=("system", "tools"),
    description="A conversation in ShareGPT's form, turns of 'from' and 'value': each answer is learnt, unless its weight is 0.",
    read=_read,
    turn_keys=_OF_TURN,
    asked=("human", "user"),
    message_at=_message_at,
    to_messages=_to_messages,
    from_messages=_from_messages,
    normal=_normal,
)
