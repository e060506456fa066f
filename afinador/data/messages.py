"""Checks one conversation in OpenAI's chat format, and brings it into the one form that templates take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.files.json_values import BrokenJSONError, decode_text, why_not_json
from afinador.data.quoting import described, named, shortened

ROLES = ("system", "developer", "user", "assistant", "tool")
KEYS = frozenset({"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call"})
KEYS |= {"reasoning_content", "reasoning", "thinking"}
"""Of a message: those of the chat format, and the names under which chat templates look for thoughts."""


_TOOL = '{"type": "function", "function": {"name": "…", "parameters": {…}}}'


class BadMessagesError(Exception):
    """A conversation that cannot be trained on; the message goes on from ``Line 17:``."""

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def checked_messages(value: Any) -> tuple[dict[str, Any], ...]:
    """Return the messages with text content, ``developer`` as ``system``, and no call arguments but JSON texts.

    Raises:
        BadMessagesError: Not a list of messages as the chat format has them, or nothing in it to learn: the last
            message must be the assistant's, and at least one of the assistant's must not have weight 0.
    """
    if not isinstance(value, list):
        raise BadMessagesError(
            "bad_messages",
            f"'messages' is {described(value)}, but must be a list of messages. Correct it, or remove the record.",
            "messages",
        )
    if not value:
        raise BadMessagesError(
            "bad_messages", "'messages' is empty. Add at least a question and an answer.", "messages"
        )
    messages = tuple(_checked_message(message, f"messages[{index}]") for index, message in enumerate(value))
    _check_turns(messages)
    _check_tool_replies(messages)
    return messages


def checked_tools(value: Any, messages: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...] | None:
    """Return the declared tools; None where there are none.

    Raises:
        BadMessagesError: Not a list of function declarations, nor the JSON text of one, or a call of a function that is
            not among them.
    """
    value = parsed_tools(value)
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadMessagesError(
            "bad_tools", f"'tools' is {described(value)}, but must be a list of such as {_TOOL}. Correct it.", "tools"
        )
    for index, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadMessagesError(
                "bad_tools", f"'tools[{index}]' has no 'function' that has a 'name'. Write {_TOOL}.", "tools"
            )
        if not isinstance(function.get("parameters", {}), dict):
            said = (
                f"'tools[{index}].function.parameters' must be a JSON schema, an object. Write {{}} if there are none."
            )
            raise BadMessagesError("bad_tools", said, "tools")
    if (strange := why_not_json(value)) is not None:
        raise BadMessagesError(
            "bad_tools", f"'tools' holds {strange}, but must be what JSON can hold. Write it as text.", "tools"
        )
    declared = {tool["function"]["name"] for tool in value}
    for call in _calls_of(messages):
        if value and call["function"]["name"] not in declared:
            raise BadMessagesError(
                "undeclared_tool",
                f"{shortened(call['function']['name'])} is called, but not declared in 'tools'. Add it.",
                "tools",
            )
    return tuple(value) or None


def parsed_tools(value: Any) -> Any:
    """Return declarations as they are, those that are a JSON text as its value; None of a blank one.

    Raises:
        BadMessagesError: The text is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return None if is_blank(value) else decode_text(value)
    except BrokenJSONError as error:
        why = str(error).rstrip(".")
        said = f"'tools' is {described(value)} that is no JSON ({why}). Write a list of such as {_TOOL}."
        raise BadMessagesError("bad_tools", said, "tools") from error


def _calls_of(messages: tuple[dict[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for message in messages:
        yield from message.get("tool_calls", ())


def _checked_message(message: Any, field: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise BadMessagesError(
            "bad_message",
            f"{field} is {described(message)}, but must be an object with 'role' and 'content'. Correct it, or remove the record.",
            field,
        )
    role = message.get("role")
    if role not in ROLES:
        found = f"is {named(role)}" if "role" in message else "is missing"
        remedy = "Correct it, or remove the record."
        if "role" not in message and "from" in message:
            remedy = "Turns of 'from' and 'value' are listed under 'conversations': rename 'messages'."
        said = f"{field}.role {found}; allowed are: {', '.join(ROLES)}. {remedy}"
        raise BadMessagesError("bad_role", said, f"{field}.role")
    if message.get("function_call") is not None:
        raise BadMessagesError(
            "legacy_function_call",
            f"{field} has the old 'function_call'; write 'tool_calls'.",
            f"{field}.function_call",
        )
    # Whatever else a message has (a name) is the template's business.
    checked = {key: value for key, value in message.items() if key not in ("content", "tool_calls", "function_call")}
    checked["role"] = "system" if role == "developer" else role
    calls = message.get("tool_calls")
    if calls is not None and (role != "assistant" or calls != []):
        checked["tool_calls"] = _checked_calls(calls, role, f"{field}.tool_calls")
    checked["content"] = _checked_content(message, "tool_calls" in checked, field)
    check_weight(message, role == "assistant", field)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise BadMessagesError(
            "bad_tool_reply", f"{field} is a tool's reply without 'tool_call_id'. Add it.", f"{field}.tool_call_id"
        )
    return checked


def _checked_content(message: dict[str, Any], has_calls: bool, field: str) -> str:
    content = message.get("content")
    if content is None and has_calls:
        return ""
    field = f"{field}.content"
    if isinstance(content, list) and content:
        content = "".join(_text_of_part(part, f"{field}[{index}]") for index, part in enumerate(content))
    if not isinstance(content, str):
        found = f"is {described(content)}" if "content" in message else "is missing"
        raise BadMessagesError(
            "bad_content", f"{field} {found}; it must be text. Write it, or remove the record.", field
        )
    if not has_calls and message["role"] != "tool" and is_blank(content):
        raise BadMessagesError("empty_content", f"{field} is empty. Write the text, or remove the record.", field)
    return content


def _text_of_part(part: Any, field: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        found = f"of type {named(kind)}" if kind not in (None, "text") else described(part)
        raise BadMessagesError(
            "bad_content_part",
            f'{field} is {found}; only {{"type": "text", "text": …}} is trained on. Leave it out, or remove the record.',
            field,
        )
    return part["text"]


def check_weight(message: dict[str, Any], is_answer: bool, field: str) -> None:
    """Do nothing if a message has no weight, or is the assistant's and has weight 0 or 1.

    Raises:
        BadMessagesError: It is not so.
    """
    if "weight" not in message:
        return
    weight = message["weight"]
    if not is_answer:
        raise BadMessagesError(
            "bad_weight",
            f"{field} has a weight; only the assistant's messages are trained on. Remove it.",
            f"{field}.weight",
        )
    if isinstance(weight, bool) or not isinstance(weight, int) or weight not in (0, 1):
        raise BadMessagesError(
            "bad_weight",
            f"{field}.weight is {described(weight)}; it must be 0 (not learnt) or 1. Correct or remove it.",
            f"{field}.weight",
        )


def _checked_calls(calls: Any, role: str, field: str) -> list[dict[str, Any]]:
    if role != "assistant":
        raise BadMessagesError(
            "bad_tool_call", f"{field}: only the assistant calls tools, not the {role}. Remove it.", field
        )
    if not isinstance(calls, list):
        raise BadMessagesError(
            "bad_tool_call", f"{field} is {described(calls)}, but must be a list. Correct it.", field
        )
    checked = [_checked_call(call, f"{field}[{index}]") for index, call in enumerate(calls)]
    if len({call["id"] for call in checked}) < len(checked):
        raise BadMessagesError("bad_tool_call", f"{field}: two calls have the same id. Give each its own.", field)
    return checked


def _checked_call(call: Any, field: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise BadMessagesError("bad_tool_call", f"{field} has no 'function' object. Add it.", field)
    if not isinstance(call.get("id"), str):
        raise BadMessagesError("bad_tool_call", f"{field} has no 'id', which must be text. Add it.", f"{field}.id")
    if call.get("type", "function") != "function":
        raise BadMessagesError(
            "bad_tool_call",
            f"{field}.type is {named(call['type'])}; it must be 'function'. Correct it, or leave it out.",
            f"{field}.type",
        )
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise BadMessagesError("bad_tool_call", f"{field}.function has no 'name'. Add it.", f"{field}.function.name")
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        if (strange := why_not_json(arguments)) is not None:
            said = f"{field}.function.arguments holds {strange}, but must be what JSON can hold. Write it as text."
            raise BadMessagesError("bad_tool_call", said, f"{field}.function.arguments")
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(arguments, str) or not _is_json_object(arguments):
        raise BadMessagesError(
            "bad_tool_call",
            f"{field}.function.arguments is {described(arguments)}; it must be a JSON object written as text. Correct it, or remove the record.",
            f"{field}.function.arguments",
        )
    return {**call, "type": "function", "function": {**function, "arguments": arguments}}


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(decode_text(text), dict)
    except BrokenJSONError:
        return False


def _check_turns(messages: tuple[dict[str, Any], ...]) -> None:
    last = messages[-1]
    if last["role"] != "assistant":
        raise BadMessagesError(
            "no_answer_at_end",
            f"the last message is the {last['role']}'s; it must be the assistant's. Add the answer, or remove the record.",
            "messages",
        )
    if messages[0]["role"] == "assistant":
        raise BadMessagesError(
            "no_question",
            "the first message is the assistant's; something must come before it to answer. Add it, or remove the record.",
            "messages",
        )
    if all(message.get("weight") == 0 for message in messages if message["role"] == "assistant"):
        raise BadMessagesError(
            "nothing_to_train",
            "all of the assistant's messages have weight 0, so there is nothing to learn. Give one of them weight 1, or remove the record.",
            "messages",
        )


def _check_tool_replies(messages: tuple[dict[str, Any], ...]) -> None:
    called: set[str] = set()
    for index, message in enumerate(messages):
        called.update(call["id"] for call in message.get("tool_calls", ()))
        if message["role"] == "tool" and message["tool_call_id"] not in called:
            raise BadMessagesError(
                "bad_tool_reply",
                f"messages[{index}] replies to {shortened(message['tool_call_id'])}, which no call before it has. Add the call, or remove the reply.",
                f"messages[{index}].tool_call_id",
            )
