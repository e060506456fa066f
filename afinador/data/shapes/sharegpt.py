"""``{"conversations"}``, perhaps with ``system`` and ``tools``: a conversation in ShareGPT's form, turns of ``from`` and ``value``.

``human`` and ``user`` ask, ``gpt``, ``assistant``, ``chatgpt``, ``model`` and ``bard`` answer; an answer may have a ``weight``, as
in the chat format: one of weight 0 is not learnt. ``function_call`` holds a call of a tool as JSON, ``observation`` and ``tool`` what came of it; ``tools`` declares the functions, as a list or its JSON text.
"""

from __future__ import annotations

import json
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.files.json_values import BrokenJSONError, decode_text
from afinador.data.messages import BadMessagesError, check_weight, checked_messages, checked_tools, parsed_tools
from afinador.data.quoting import described, named
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, RecordShape

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


def _read(record: Record) -> Example | Problem:
    try:
        _check_turns(record.fields["conversations"])
        meant = _to_messages(record.fields)
        messages = checked_messages(meant["messages"])
        tools = checked_tools(meant.get("tools"), messages)
    except BadMessagesError as error:
        field = error.field.replace("messages", "conversations")
        return Problem(error.code, f"{record.place}: {_in_own_words(error.message)}", record.line, field)
    return Example(record.line, messages=messages, tools=tools)


def _in_own_words(message: str) -> str:
    return message.replace("'messages'", "'conversations'").replace("messages[", "conversations[")


def _check_turns(turns: Any) -> None:
    if not isinstance(turns, list) or not turns:
        raise BadMessagesError(
            "bad_messages",
            f"'conversations' is {described(turns)}, but must be a list of turns with 'from' and 'value'. Correct it, or remove the record.",
            "conversations",
        )
    for index, turn in enumerate(turns):
        field = f"conversations[{index}]"
        if not isinstance(turn, dict):
            said = f"{field} is {described(turn)}, but must be an object with 'from' and 'value'. Correct it, or remove the record."
            raise BadMessagesError("bad_message", said, field)
        if not isinstance(turn.get("from"), str) or turn["from"] not in ROLES:
            found = f"is {named(turn['from'])}" if "from" in turn else "is missing"
            said = f"{field}.from {found}; allowed are: {', '.join(ROLES)}. Correct it, or remove the record."
            if "from" not in turn and "role" in turn:
                said += """ Turns of 'role' and 'content' are messages: --mapping '{"messages": "conversations"}', or reading.mapping."""
            raise BadMessagesError("bad_role", said, f"{field}.from")
        _check_value(turn, field)
        check_weight(turn, ROLES[turn["from"]] in ("assistant", "call"), field)


def _check_value(turn: dict[str, Any], field: str) -> None:
    value, role = turn.get("value"), ROLES[turn["from"]]
    field = f"{field}.value"
    if not isinstance(value, str):
        found = f"is {described(value)}" if "value" in turn else "is missing"
        raise BadMessagesError(
            "bad_content", f"{field} {found}; it must be text. Write it, or remove the record.", field
        )
    if role == "call":
        call = _parsed(value)
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            said = f'{field} is {described(value)}{_why_no_json(value)}; a call is written as {{"name": "…", "arguments": {{…}}}}. Correct it, or remove the record.'
            raise BadMessagesError("bad_tool_call", said, field)
    elif role != "reply" and is_blank(value):
        raise BadMessagesError("empty_content", f"{field} is empty. Write the text, or remove the record.", field)


def _to_messages(fields: Fields) -> Fields:
    messages: list[dict[str, Any]] = []
    if isinstance(fields.get("system"), str) and fields["system"].strip():
        messages.append({"role": "system", "content": fields["system"]})
    call_id = ""
    for turn in fields["conversations"]:
        role, value = ROLES[turn["from"]], turn["value"]
        weight = {"weight": turn["weight"]} if "weight" in turn else {}
        if role == "call":
            call_id = f"call_{sum('tool_calls' in message for message in messages) + 1}"
            call = json.loads(value)
            arguments = call.get("arguments", {})
            written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            function = {"name": call["name"], "arguments": written}
            calls = [{"id": call_id, "type": "function", "function": function}]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls, **weight})
        elif role == "reply":
            messages.append({"role": "tool", "tool_call_id": call_id, "content": value})
        else:
            messages.append({"role": role, "content": value, **weight})
    tools = _declared_tools(fields.get("tools"))
    return {"messages": messages, **({"tools": tools} if tools else {})}


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
    to_messages=_to_messages,
    from_messages=_from_messages,
    normal=_normal,
)
