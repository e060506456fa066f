"""``{"input", "preferred_output", "non_preferred_output"}``: preference pairs as OpenAI's fine-tuning API takes them.

``input`` is an object with ``messages``, perhaps ``tools`` and ``parallel_tool_calls``; the outputs are lists of messages
that begin with the assistant's. Pairs are checked and stored, as those of ``preference``.
"""

from __future__ import annotations

from typing import Any

from afinador.data.messages import KEYS
from afinador.data.quoting import described
from afinador.data.records import Record
from afinador.data.shapes.answer_pairs import AnswerPair, meaning_of, without_nulls
from afinador.data.shapes.form import Fields, Reading, RecordShape
from afinador.data.tool_calls import parsed_tools

_OUTPUTS = ("preferred_output", "non_preferred_output")
_NAME_OF_TOOLS = "input.tools"


def _read(record: Record) -> Reading:
    given = record.fields["input"]
    if not isinstance(given, dict):
        said = (
            f"'input' is {described(given)}, but must be an object with 'messages'. Correct it, or remove the record."
        )
        yield record.problem("wrong_type", said, "input")
        given = {}
    elif "messages" not in given:
        said = "'input' has no 'messages'. Put the conversation there that both outputs answer, or remove the record."
        yield record.problem("missing_field", said, "input.messages")
    reading = _pair({**record.fields, "input": given}).read(record)
    while True:
        try:
            fault = next(reading)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if fault.field != "input.messages" or "messages" in given:
            yield fault


def _pair(fields: Fields) -> AnswerPair:
    given, (better, worse) = fields["input"], (fields[name] for name in _OUTPUTS)
    names = ("input.messages", *_OUTPUTS)
    return AnswerPair(given.get("messages"), better, worse, names, given.get("tools"), _NAME_OF_TOOLS)


def _to_pair(fields: Fields) -> Fields:
    pair = _pair(fields)
    return meaning_of(pair.prompt, pair.chosen, pair.rejected, parsed_tools(pair.tools))


def _from_pair(pair: Fields) -> Fields:
    tools = {"tools": pair["tools"]} if "tools" in pair else {}
    outputs = dict(zip(_OUTPUTS, (pair["chosen"], pair["rejected"]), strict=True))
    return {"input": {"messages": pair["prompt"], **tools}, **outputs}


def _message_at(fields: Fields, index: int) -> str:
    length = len(fields["input"]["messages"])
    return f"input.messages[{index}]" if index < length else f"preferred_output[{index - length}]"


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
    name_of_tools=_NAME_OF_TOOLS,
    message_at=_message_at,
    to_messages=_to_pair,
    from_messages=_from_pair,
    normal=_normal,
    instead="put those of 'input.messages' and 'preferred_output' into one list 'messages'",
)
