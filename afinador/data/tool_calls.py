"""Checks the tools of one conversation in OpenAI's chat format: those that are declared, and the calls of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.files.json_values import BrokenJSONError, decode_text, why_not_json
from afinador.data.quoting import described, named, shortened
from afinador.data.records import Problem, Record

_TOOL = '{"type": "function", "function": {"name": "…", "parameters": {…}}}'


def parsed_tools(value: Any) -> Any:
    """Return declarations as they are, those that are a JSON text as its value; None of a blank one.

    Raises:
        BrokenJSONError: The text is no JSON.
    """
    if not isinstance(value, str):
        return value
    return None if is_blank(value) else decode_text(value)


def checked_tools(
    record: Record,
    given: Any,
    messages: Iterable[Any],
    *,
    name: str = "tools",
    parse: Callable[[Any], Any] = parsed_tools,
) -> Generator[Problem, None, tuple[dict[str, Any], ...] | None]:
    """Yield all faults of the tools of a record; return those declared, None where there are none.

    They must be a list of function declarations, or the JSON text of one, and among them each function that is called.

    Args:
        record: Whose tools they are.
        given: The declarations, as they stand there.
        messages: In the chat format; they may have faults of their own.
        name: The field that faults are told of.
        parse: Brings what the record has into a list of declarations.
    """
    try:
        value = parse(given)
    except BrokenJSONError as error:
        why = str(error).rstrip(".")
        said = f"{name!r} is {described(given)} that is no JSON ({why}). Write a list of such as {_TOOL}."
        yield record.problem("bad_tools", said, name)
        return None
    if value is None:
        return None
    if not isinstance(value, list):
        said = f"{name!r} is {described(value)}, but must be a list of such as {_TOOL}. Correct it."
        yield record.problem("bad_tools", said, name)
        return None
    declared = set()
    for index, tool in enumerate(value):
        declared.add((yield from _declared_name(record, tool, f"{name}[{index}]")))
    if (strange := why_not_json(value)) is not None:
        said = f"{name!r} holds {strange}, but must be what JSON can hold. Write it as text."
        yield record.problem("bad_tools", said, name)
    if declared and None not in declared:
        for called in dict.fromkeys(_names_called(messages)):
            if called not in declared:
                said = f"{shortened(called)} is called, but not declared in {name!r}. Add it."
                yield record.problem("undeclared_tool", said, name)
    return tuple(value) or None


def _declared_name(record: Record, tool: Any, field: str) -> Generator[Problem, None, str | None]:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        yield record.problem("bad_tools", f"{field!r} has no 'function' that has a 'name'. Write {_TOOL}.", field)
        return None
    if not isinstance(function.get("parameters", {}), dict):
        said = f"'{field}.function.parameters' must be a JSON schema, an object. Write {{}} if there are none."
        yield record.problem("bad_tools", said, f"{field}.function.parameters")
    return name


def _names_called(messages: Iterable[Any]) -> Iterator[str]:
    for message in messages:
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            name = function.get("name") if isinstance(function, dict) else None
            if isinstance(name, str) and name:
                yield name


def ids_called(message: Any) -> Iterable[str] | None:
    """Return the ids of the calls in a message; None where it has a fault that hides some."""
    if not isinstance(message, dict) or message.get("function_call") is not None:
        return None
    calls = message.get("tool_calls")
    if calls is None:
        return ()
    if not isinstance(calls, list):
        return None
    ids = [call.get("id") if isinstance(call, dict) else None for call in calls]
    return [id for id in ids if id is not None] if all(isinstance(id, str) for id in ids) else None


def checked_calls(
    record: Record, calls: Any, role: str | None, field: str
) -> Generator[Problem, None, list[dict[str, Any]]]:
    """Yield all faults of the calls in a message; return them with arguments that are JSON texts.

    Args:
        record: Whose message it is.
        calls: What should be a list of calls.
        role: Of the message; None where it is not known.
        field: Of the calls.
    """
    if role not in ("assistant", None):
        said = f"{field}: only the assistant calls tools, not the {role}. Remove it."
        yield record.problem("bad_tool_call", said, field)
        return []
    if not isinstance(calls, list):
        yield record.problem("bad_tool_call", f"{field} is {described(calls)}, but must be a list. Correct it.", field)
        return []
    checked = []
    for index, call in enumerate(calls):
        checked.append((yield from _checked_call(record, call, f"{field}[{index}]")))
    ids = [call["id"] for call in checked if isinstance(call.get("id"), str)]
    if len(set(ids)) < len(ids):
        yield record.problem("bad_tool_call", f"{field}: two calls have the same id. Give each its own.", field)
    return checked


def _checked_call(record: Record, call: Any, field: str) -> Generator[Problem, None, dict[str, Any]]:
    if not isinstance(call, dict):
        said = f"{field} is {described(call)}, but must be an object with 'id' and 'function'. Correct it."
        yield record.problem("bad_tool_call", said, field)
        return {}
    if not isinstance(call.get("id"), str):
        yield record.problem("bad_tool_call", f"{field} has no 'id', which must be text. Add it.", f"{field}.id")
    if call.get("type", "function") != "function":
        said = f"{field}.type is {named(call['type'])}; it must be 'function'. Correct it, or leave it out."
        yield record.problem("bad_tool_call", said, f"{field}.type")
    function = call.get("function")
    if not isinstance(function, dict):
        yield record.problem("bad_tool_call", f"{field} has no 'function' object. Add it.", f"{field}.function")
        return call
    if not isinstance(function.get("name"), str) or not function["name"]:
        said = f"{field}.function has no 'name'. Add it."
        yield record.problem("bad_tool_call", said, f"{field}.function.name")
    arguments = yield from _written_arguments(record, function.get("arguments"), f"{field}.function.arguments")
    return {**call, "type": "function", "function": {**function, "arguments": arguments}}


def _written_arguments(record: Record, arguments: Any, field: str) -> Generator[Problem, None, str]:
    if isinstance(arguments, dict):
        if (strange := why_not_json(arguments)) is not None:
            said = f"{field} holds {strange}, but must be what JSON can hold. Write it as text."
            yield record.problem("bad_tool_call", said, field)
            return ""
        arguments = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(arguments, str) or not _is_json_object(arguments):
        said = f"{field} is {described(arguments)}; it must be a JSON object written as text. Correct it, or remove the record."
        yield record.problem("bad_tool_call", said, field)
        return ""
    return arguments


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(decode_text(text), dict)
    except BrokenJSONError:
        return False
