"""``{"input", "preferred_output", "non_preferred_output"}``: preference pairs as OpenAI's fine-tuning API takes them.

``input`` is an object with ``messages``, perhaps ``tools`` and ``parallel_tool_calls``; the outputs are lists of messages
that begin with the assistant's. Pairs are checked and stored, as those of ``preference``.
"""

from __future__ import annotations

from typing import Any

from afinador.data.messages import KEYS, BadMessagesError, parsed_tools
from afinador.data.quoting import described
from afinador.data.records import Problem, Record
from afinador.data.shapes.answer_pairs import AnswerPair, meaning_of, require_list, without_nulls
from afinador.data.shapes.example import Example
from afinador.data.shapes.form import Fields, RecordShape

_OUTPUTS = ("preferred_output", "non_preferred_output")


def _read(record: Record) -> Example | Problem:
    try:
        return _pair(record.fields).example(record.line)
    except BadMessagesError as error:
        field = f"input.{error.field}" if error.field.startswith("tools") else error.field
        return Problem(error.code, f"{record.place}: {error.message}", record.line, field)


def _pair(fields: Fields) -> AnswerPair:
    given = fields["input"]
    if not isinstance(given, dict):
        said = (
            f"'input' is {described(given)}, but must be an object with 'messages'. Correct it, or remove the record."
        )
        raise BadMessagesError("wrong_type", said, "input")
    if "messages" not in given:
        said = "'input' has no 'messages'. Put the conversation there that both outputs answer, or remove the record."
        raise BadMessagesError("missing_field", said, "input.messages")
    prompt = require_list(given["messages"], "input.messages")
    chosen, rejected = (require_list(fields[name], name) for name in _OUTPUTS)
    return AnswerPair(prompt, chosen, rejected, ("input.messages", *_OUTPUTS), given.get("tools"))


def _to_pair(fields: Fields) -> Fields:
    pair = _pair(fields)
    return meaning_of(pair.prompt, pair.chosen, pair.rejected, parsed_tools(pair.tools))


def _from_pair(pair: Fields) -> Fields:
    tools = {"tools": pair["tools"]} if "tools" in pair else {}
    outputs = dict(zip(_OUTPUTS, (pair["chosen"], pair["rejected"]), strict=True))
    return {"input": {"messages": pair["prompt"], **tools}, **outputs}


def _normal(fields: Fields) -> Fields:
    """Leave out what is null, and a list of tools that is empty; one that is a JSON text becomes a list."""
    given: dict[str, Any] = {key: value for key, value in fields["input"].items() if value is not None}
    tools = parsed_tools(given.pop("tools", None))
    given["messages"] = without_nulls(given["messages"])
    outputs = {name: without_nulls(fields[name]) for name in _OUTPUTS}
    return {"input": {**given, **({"tools": tools} if tools else {})}, **outputs}


SHAPE = RecordShape(
    name="openai_preference",
    fields=("input", *_OUTPUTS),
    description="A better and a worse answer to a conversation, as OpenAI's DPO has them; `input` holds `messages`, perhaps "
    "`tools`. Checked and stored, not trained on yet.",
    tasks=(),
    read=_read,
    turn_keys=KEYS,
    asked=("input",),
    is_pair=True,
    to_messages=_to_pair,
    from_messages=_from_pair,
    normal=_normal,
    instead="put those of 'input.messages' and 'preferred_output' into one list 'messages'",
)
