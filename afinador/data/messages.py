"""Checks one conversation in OpenAI's chat format, and brings it into the one form that templates take.

Each check yields all faults that it finds. What follows from a fault that was told is none of its own: nothing is said of
the turns of a message whose role is unknown, nor of a reply to a call that could not be read.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from typing import Any

from afinador.data.blanks import is_blank
from afinador.data.quoting import described, named, shortened
from afinador.data.records import Problem, Record
from afinador.data.tool_calls import checked_calls, ids_called

ROLES = ("system", "developer", "user", "assistant", "tool")
KEYS = frozenset({"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call"})
KEYS |= {"reasoning_content", "reasoning", "thinking"}
"""Of a message: those of the chat format, and the names under which chat templates look for thoughts."""

_KEYS_OF_TEXT = ("text", "content", "value", "input_text", "output_text")
"""Under which other formats have what is said."""

Messages = tuple[dict[str, Any], ...]


def checked_messages(
    record: Record, value: Any, name: str = "messages", *, offset: int = 0, told: Collection[int] = ()
) -> Generator[Problem, None, Messages]:
    """Yield all faults of a conversation; return its messages, which are of use where there was none.

    The last message must be the assistant's, and at least one of the assistant's must not have weight 0. What is returned
    has text for content, ``system`` for ``developer``, and no call arguments but JSON texts.

    Args:
        record: Whose conversation it is.
        value: What should be a list of messages.
        name: The field that faults are told of.
        offset: How many messages stand before the first that this field holds.
        told: Messages whose own faults are known already: of them nothing but role and weight is looked at.
    """
    if not isinstance(value, list):
        said = f"{name!r} is {described(value)}, but must be a list of messages. Correct it, or remove the record."
        yield record.problem("bad_messages", said, name)
        return ()
    if not value:
        yield record.problem("bad_messages", f"{name!r} is empty. Add at least a question and an answer.", name)
        return ()
    checked = []
    for index, message in enumerate(value):
        if index not in told:
            checked.append((yield from _checked_message(record, message, f"{name}[{index - offset}]")))
    yield from _turn_faults(record, value, name)
    yield from _reply_faults(record, value, name, offset)
    return tuple(checked)


def _checked_message(record: Record, message: Any, field: str) -> Generator[Problem, None, dict[str, Any]]:
    if not isinstance(message, dict):
        said = f"{field} is {described(message)}, but must be an object with 'role' and 'content'. Correct it, or remove the record."
        yield record.problem("bad_message", said, field)
        return {}
    role = role_of(message)
    if role is None:
        yield record.problem("bad_role", _why_no_role(message, field), f"{field}.role")
        if _is_turn(message):
            return {}
    has_old_call = message.get("function_call") is not None
    if has_old_call:
        said = f"{field} has the old 'function_call'; write 'tool_calls'."
        yield record.problem("legacy_function_call", said, f"{field}.function_call")
    # Whatever else a message has (a name) is the template's business.
    checked = {key: value for key, value in message.items() if key not in ("content", "tool_calls", "function_call")}
    checked["role"] = "system" if role == "developer" else role
    calls = message.get("tool_calls")
    if calls is not None and (role != "assistant" or calls != []):
        checked["tool_calls"] = yield from checked_calls(record, calls, role, f"{field}.tool_calls")
    may_be_empty = has_old_call or "tool_calls" in checked
    checked["content"] = yield from _checked_content(record, message, f"{field}.content", may_be_empty=may_be_empty)
    if "weight" in message:
        yield from weight_faults(record, message["weight"], None if role is None else role == "assistant", field)
    name = message.get("name")
    if name is not None and not isinstance(name, str):
        said = f"{field}.name is {described(name)}, but must be text. Correct or remove it."
        yield record.problem("bad_name", said, f"{field}.name")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        said = f"{field} is a tool's reply without 'tool_call_id'. Add it."
        yield record.problem("bad_tool_reply", said, f"{field}.tool_call_id")
    return checked


def role_of(message: Any) -> str | None:
    """Return the role of a message; None if it has none that there is."""
    role = message.get("role") if isinstance(message, dict) else None
    return role if role in ROLES else None


def _is_turn(message: dict[str, Any]) -> bool:
    """Tell whether it is no message, but a turn of ``conversations``: one remedy for all of it."""
    return "role" not in message and "from" in message


def _why_no_role(message: dict[str, Any], field: str) -> str:
    found = f"is {named(message['role'])}" if "role" in message else "is missing"
    remedy = "Correct it, or remove the record."
    if _is_turn(message):
        remedy = "Turns of 'from' and 'value' are listed under 'conversations': rename 'messages'."
    return f"{field}.role {found}; allowed are: {', '.join(ROLES)}. {remedy}"


def _checked_content(
    record: Record, message: dict[str, Any], field: str, *, may_be_empty: bool
) -> Generator[Problem, None, str]:
    content = message.get("content")
    if content is None and may_be_empty:
        return ""
    if isinstance(content, list) and content:
        texts: list[str | None] = []
        for index, part in enumerate(content):
            texts.append((yield from _text_of_part(record, part, f"{field}[{index}]")))
        if None in texts:
            return ""
        content = "".join(text for text in texts if text is not None)
    if not isinstance(content, str):
        yield record.problem("bad_content", f"{field} {why_no_text(message, 'content')}", field)
        return ""
    if not may_be_empty and message.get("role") != "tool" and is_blank(content):
        yield record.problem("empty_content", f"{field} is empty. Write the text, or remove the record.", field)
    return content


def why_no_text(message: dict[str, Any], key: str) -> str:
    """Say what is wrong with a key that should hold what is said, and what to do: go on from its name."""
    if key in message:
        return f"is {described(message[key])}; it must be text. Write it, or remove the record."
    other = _other_key(message, key)
    remedy = f"Rename {other!r} to {key!r}" if other else "Write it"
    return f"is missing; it must be text. {remedy}, or remove the record."


def _other_key(holder: dict[str, Any], key: str) -> str | None:
    """Return the key under which something else has its text, if there is one."""
    return next((each for each in _KEYS_OF_TEXT if each != key and isinstance(holder.get(each), str)), None)


def _text_of_part(record: Record, part: Any, field: str) -> Generator[Problem, None, str | None]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    yield record.problem("bad_content_part", f"{field} {_why_no_part(part, kind)}", field)
    return None


def _why_no_part(part: Any, kind: Any) -> str:
    wanted = '{"type": "text", "text": …}'
    if isinstance(part, dict) and kind in (None, "text", *_KEYS_OF_TEXT):
        has_text = isinstance(part.get("text"), str)
        other = None if has_text else _other_key(part, "text")
        if other is not None:
            return f"has its text under {other!r}, which is called 'text' in {wanted}. Rename that key in the file, or remove the record."
        if has_text:
            type_found = "no 'type'" if kind is None else f"the type {named(kind)}"
            return f"has {type_found}, but must be {wanted}. Write the type 'text', or remove the record."
    found = f"of type {named(kind)}" if kind not in (None, "text") else described(part)
    return f"is {found}; only {wanted} is trained on. Leave it out, or remove the record."


def weight_faults(record: Record, weight: Any, is_answer: bool | None, field: str) -> Iterator[Problem]:
    """Yield what is wrong with a weight that a message has: it must be 0 or 1, and the assistant's.

    Args:
        record: Whose message it is.
        weight: What should be the number.
        is_answer: Whether the message is the assistant's; None where that is not known.
        field: Of the message.
    """
    if is_answer is False:
        said = f"{field} has a weight; only the assistant's messages are trained on. Remove it."
        yield record.problem("bad_weight", said, f"{field}.weight")
    elif not _is_weight(weight):
        said = f"{field}.weight is {described(weight)}; it must be 0 (not learnt) or 1. Correct or remove it."
        yield record.problem("bad_weight", said, f"{field}.weight")


def _is_weight(weight: Any) -> bool:
    return isinstance(weight, int) and not isinstance(weight, bool) and weight in (0, 1)


def _turn_faults(record: Record, messages: list[Any], name: str) -> Iterator[Problem]:
    roles = [role_of(message) for message in messages]
    if roles[-1] not in ("assistant", None):
        said = (
            f"the last message is the {roles[-1]}'s; it must be the assistant's. Add the answer, or remove the record."
        )
        yield record.problem("no_answer_at_end", said, name)
    if roles[0] == "assistant":
        said = "the first message is the assistant's; something must come before it to answer. Add it, or remove the record."
        yield record.problem("no_question", said, name)
    if roles[-1] == "assistant" and None not in roles and not any(map(_may_be_learnt, messages)):
        said = "all of the assistant's messages have weight 0, so there is nothing to learn. Give one of them weight 1, or remove the record."
        yield record.problem("nothing_to_train", said, name)


def _may_be_learnt(message: dict[str, Any]) -> bool:
    weight = message.get("weight")
    return message["role"] == "assistant" and not (_is_weight(weight) and weight == 0)


def _reply_faults(record: Record, messages: list[Any], name: str, offset: int) -> Iterator[Problem]:
    called: set[str] = set()
    for index, message in enumerate(messages):
        ids = ids_called(message)
        if ids is None:
            return
        called.update(ids)
        if message.get("role") != "tool" or not isinstance(message.get("tool_call_id"), str):
            continue
        if message["tool_call_id"] not in called:
            field = f"{name}[{index - offset}]"
            said = f"{field} replies to {shortened(message['tool_call_id'])}, which no call before it has. Add the call, or remove the reply."
            yield record.problem("bad_tool_reply", said, f"{field}.tool_call_id")
